/* A program that embeds Python: embed HOW FILE runs the file in an interpreter without a command
 * line. HOW is the way to initialise it. */
#include <Python.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const char *path)
{
    FILE *file = fopen(path, "r");
    int status = file == NULL ? 1 : PyRun_SimpleFile(file, path);
    if (file != NULL)
        fclose(file);
    return status;
}

#if PY_VERSION_HEX >= 0x03080000
static void configured(const char *how)
{
    PyConfig config;
    if (strcmp(how, "isolated") == 0)
        PyConfig_InitIsolatedConfig(&config);
    else
        PyConfig_InitPythonConfig(&config);
    if (strcmp(how, "no-environment") == 0)
        config.use_environment = 0;
    if (strcmp(how, "xoption") == 0)
        PyWideStringList_Append(&config.xoptions, L"perf");
    if (strcmp(how, "xoption-jit") == 0)
        PyWideStringList_Append(&config.xoptions, L"perf_jit");
    PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}
#else
static void configured(const char *how)
{
    Py_FatalError(how);
}
#endif

static int by_main(const char *option, const char *path)
{
    wchar_t words[2][4096];
    swprintf(words[0], 4096, L"%s", option);
    swprintf(words[1], 4096, L"%s", path);
    wchar_t *arguments[] = {L"embed", L"-X", words[0], words[1], NULL};
    return Py_Main(4, arguments);
}

static void say_so(int number)
{
    char text[] = "the program's handler\n";
    (void)number;
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const char *how = argv[1];
    if (strncmp(how, "main-", 5) == 0)
        return by_main(how + 5, argv[2]);
    if (strcmp(how, "ignore") == 0)
        Py_IgnoreEnvironmentFlag = 1;
    if (strcmp(how, "plain") == 0 || strcmp(how, "ignore") == 0 || strcmp(how, "twice") == 0)
        Py_Initialize();
    else if (strcmp(how, "no-signals") == 0)
        Py_InitializeEx(0);
    else if (strcmp(how, "handler") == 0) {
        signal(SIGUSR2, say_so);
        Py_Initialize();
    } else
        configured(how);
    int status = run(argv[2]);
    Py_Finalize();
    if (strcmp(how, "twice") == 0) {
        Py_Initialize();
        status |= run(argv[2]);
        Py_Finalize();
    }
    return status;
}
