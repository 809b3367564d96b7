/* A program that starts and ends interpreters repeatedly: lives STEP... does one step after the
 * other. It holds the interpreter's lock only within a step, so that any thread can do the next
 * one.
 *
 *   init                          Py_Initialize
 *   configured, isolated, ...     from such a configuration; xperf, xjit: with -X perf, perf_jit
 *   final                         Py_FinalizeEx
 *   NAME=VALUE, NAME=             a variable of the environment is set or taken away
 *   sub:A, end:A                  Py_NewInterpreter, called A from now on; Py_EndInterpreter
 *   run:A:FILE                    runs the file in A; "main" is the main interpreter
 *   keep:A:FILE                   the same, and keeps a reference to its variable `kept`
 *   use:A, drop:A                 runs that code object or calls that function in A; drops it
 *   thread ... join               the steps in between are done by a new thread
 *   storm:FILE                    eight threads, each with five interpreters, one after the other
 *   wait                          until there is one thread, ten seconds at most */
#include <Python.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if PY_MAJOR_VERSION == 2
#define Py_FinalizeEx()     (Py_Finalize(), 0)
#define PyUnicode_AsUTF8(s) PyString_AsString(s)
#endif

enum { STORM_THREADS = 8, STORM_INTERPRETERS = 5, NAMES = 128 };

static PyThreadState *first_state, *states[NAMES]; /* indexed by the first letter */
static PyObject *kept;

static void initialise(const char *how)
{
    /* Without a machine's site-packages: an interpreter that has imported threading waits at its
     * end for the thread that did it. */
    if (strcmp(how, "init") == 0) {
        Py_NoSiteFlag = 1;
        Py_Initialize();
    } else {
#if PY_VERSION_HEX >= 0x03080000
        PyConfig config;
        if (strcmp(how, "isolated") == 0)
            PyConfig_InitIsolatedConfig(&config);
        else
            PyConfig_InitPythonConfig(&config);
        config.site_import = 0;
        if (strcmp(how, "xperf") == 0)
            PyWideStringList_Append(&config.xoptions, L"perf");
        if (strcmp(how, "xjit") == 0)
            PyWideStringList_Append(&config.xoptions, L"perf_jit");
        PyStatus status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
        if (PyStatus_Exception(status))
            Py_ExitStatusException(status);
#endif
    }
#if PY_VERSION_HEX < 0x03070000
    PyEval_InitThreads();
#endif
    first_state = PyEval_SaveThread();
}

static void finalise(void)
{
    PyEval_RestoreThread(first_state);
    if (Py_FinalizeEx() != 0)
        printf("Py_FinalizeEx failed\n");
}

static PyInterpreterState *interpreter_of(const char *name)
{
    return strcmp(name, "main") == 0 ? first_state->interp : states[(unsigned char)*name]->interp;
}

/* Takes the lock, with a thread state for this step only. */
static PyThreadState *enter(PyInterpreterState *interpreter)
{
    PyThreadState *state = PyThreadState_New(interpreter);
    PyEval_AcquireThread(state);
    return state;
}

static void leave(PyThreadState *state)
{
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
}

static PyThreadState *new_interpreter(void)
{
    PyThreadState *here = enter(first_state->interp);
    PyThreadState *made = Py_NewInterpreter();
    PyThreadState_Swap(here);
    leave(here);
    return made;
}

static void end_interpreter(PyThreadState *state)
{
    PyThreadState *here = enter(first_state->interp);
    PyThreadState_Swap(state);
    Py_EndInterpreter(state);
    PyThreadState_Swap(here);
    leave(here);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL || PyRun_SimpleFile(file, path) != 0)
        printf("%s failed\n", path);
    if (file != NULL)
        fclose(file);
}

static PyObject *globals(void)
{
    return PyModule_GetDict(PyImport_AddModule("__main__"));
}

static void run(const char *name, const char *path, int keep)
{
    PyThreadState *here = enter(interpreter_of(name));
    run_file(path);
    if (keep) {
        kept = PyDict_GetItemString(globals(), "kept");
        Py_XINCREF(kept);
    }
    leave(here);
}

static void use(const char *name)
{
    PyThreadState *here = enter(interpreter_of(name));
    PyObject *result = PyCode_Check(kept) ? PyEval_EvalCode(kept, globals(), globals())
                                          : PyObject_CallFunction(kept, NULL);
    PyObject *text = result == NULL ? NULL : PyObject_Str(result);
    if (text == NULL)
        PyErr_Print();
    else
        printf("%s\n", PyUnicode_AsUTF8(text));
    Py_XDECREF(text);
    Py_XDECREF(result);
    leave(here);
}

static void drop(const char *name)
{
    PyThreadState *here = enter(interpreter_of(name));
    Py_CLEAR(kept);
    leave(here);
}

static void *storm_thread(void *path)
{
    for (int i = 0; i < STORM_INTERPRETERS; i++) {
        PyThreadState *made = new_interpreter();
        PyEval_AcquireThread(made);
        run_file(path);
        PyEval_ReleaseThread(made);
        end_interpreter(made);
    }
    return NULL;
}

static void storm(char *path)
{
    pthread_t threads[STORM_THREADS];
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_create(&threads[i], NULL, storm_thread, path);
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* A directory's link count: 2 plus its subdirectories. */
static void wait_for_threads(void)
{
    struct stat status;
    for (int i = 0; i < 1000 && stat("/proc/self/task", &status) == 0 && status.st_nlink > 3; i++)
        usleep(10000);
}

static void set_variable(const char *step)
{
    char *name = strdup(step), *value = strchr(name, '=');
    *value++ = '\0';
    if (*value == '\0')
        unsetenv(name);
    else
        setenv(name, value, 1);
    free(name);
}

static char **do_thread(char **steps);

/* Returns the next step. */
static char **do_step(char **steps)
{
    char *words = strdup(*steps), *verb = words;
    char *name = strchr(words, ':'), *path = name == NULL ? NULL : strchr(name + 1, ':');
    if (name != NULL)
        *name++ = '\0';
    if (path != NULL)
        *path++ = '\0';
    if (strcmp(verb, "thread") == 0)
        return do_thread(steps + 1);
    if (strchr(*steps, '=') != NULL)
        set_variable(*steps);
    else if (strcmp(verb, "final") == 0)
        finalise();
    else if (strcmp(verb, "sub") == 0)
        states[(unsigned char)*name] = new_interpreter();
    else if (strcmp(verb, "end") == 0)
        end_interpreter(states[(unsigned char)*name]);
    else if (strcmp(verb, "run") == 0 || strcmp(verb, "keep") == 0)
        run(name, path, strcmp(verb, "keep") == 0);
    else if (strcmp(verb, "use") == 0)
        use(name);
    else if (strcmp(verb, "drop") == 0)
        drop(name);
    else if (strcmp(verb, "storm") == 0)
        storm(name);
    else if (strcmp(verb, "wait") == 0)
        wait_for_threads();
    else
        initialise(verb);
    fflush(stdout);
    free(words);
    return steps + 1;
}

static void *do_steps(void *first)
{
    char **steps = first;
    while (*steps != NULL && strcmp(*steps, "join") != 0)
        steps = do_step(steps);
    return steps;
}

static char **do_thread(char **steps)
{
    pthread_t thread;
    void *end;
    pthread_create(&thread, NULL, do_steps, steps);
    pthread_join(thread, &end);
    return (char **)end + 1;
}

int main(int argc, char **argv)
{
    do_steps(argv + 1);
    return 0;
}
