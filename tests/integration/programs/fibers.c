/* A program that runs Python on a stack that it has allocated: fibers WHERE KIBIBYTES FILE. WHERE
 * is
 *   main     beside the main thread, whose stack is above all others
 *   above    beside another thread, at higher addresses than its stack
 *   below    at lower ones
 *
 * The file defines inside() and outside(). inside() runs on the other stack, of so many KiB, and
 * may call leave(): the thread then continues on its own stack, runs outside() there, and
 * returns. */
#include <Python.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { THREAD_STACK = 2 << 20, GUARD = 1 << 16 };

static ucontext_t outer, inner;
static char *fiber_stack;
static size_t fiber_size;
static int finished;

static void call(const char *name)
{
    PyObject *module = PyImport_AddModule("__main__");
    PyObject *result = PyObject_CallMethod(module, name, NULL);
    if (result == NULL)
        PyErr_Print();
    Py_XDECREF(result);
}

static PyObject *leave(PyObject *self, PyObject *arguments)
{
    swapcontext(&inner, &outer);
    Py_RETURN_NONE;
}

static PyMethodDef method = {"leave", leave, METH_NOARGS, NULL};

static void on_fiber(void)
{
    call("inside");
    finished = 1;
}

static void *work(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    getcontext(&inner);
    inner.uc_stack.ss_sp = fiber_stack;
    inner.uc_stack.ss_size = fiber_size;
    inner.uc_link = &outer;
    makecontext(&inner, on_fiber, 0);
    swapcontext(&outer, &inner);
    while (!finished) {
        call("outside");
        swapcontext(&outer, &inner);
    }
    PyGILState_Release(state);
    return NULL;
}

static char *map(size_t size)
{
    char *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    return memory == MAP_FAILED ? exit(3), memory : memory;
}

/* Runs work() in a thread whose stack is beside the fiber's. */
static void work_in_thread(int above)
{
    char *memory = map(THREAD_STACK + fiber_size + 3 * GUARD);
    char *lower = memory + GUARD, *thread_stack = above ? lower : lower + fiber_size + GUARD;
    fiber_stack = above ? lower + THREAD_STACK + GUARD : lower;
    mprotect(fiber_stack - GUARD, GUARD, PROT_NONE);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, thread_stack, THREAD_STACK);
    if (pthread_create(&thread, &attributes, work, NULL) != 0)
        exit(3);
    pthread_join(thread, NULL);
}

int main(int count, char **words)
{
    FILE *file = count == 4 ? fopen(words[3], "r") : NULL;
    if (file == NULL)
        return 2;
    fiber_size = (size_t)atoi(words[2]) << 10;
    Py_Initialize();
    PyObject *module = PyImport_AddModule("__main__");
    PyObject_SetAttrString(module, "leave", PyCFunction_New(&method, NULL));
    if (PyRun_SimpleFile(file, words[3]) != 0)
        return 3;
    fclose(file);
    if (strcmp(words[1], "main") == 0) {
        fiber_stack = map(fiber_size + GUARD) + GUARD;
        mprotect(fiber_stack - GUARD, GUARD, PROT_NONE);
        work(NULL);
    } else {
        PyThreadState *state = PyEval_SaveThread();
        work_in_thread(strcmp(words[1], "above") == 0);
        PyEval_RestoreThread(state);
    }
    Py_Finalize();
    return 0;
}
