/* A program that loads libpython long after its start: late HOW LIBPYTHON SCRIPT [ANOTHER]. HOW is
 *   local, global   loaded so, and started
 *   again           loaded and unloaded first; the locale is asked for meanwhile
 *   never           loaded, and not started
 *   replaced        loaded, and the file ANOTHER moved to its place, before it is started
 *   removed         loaded, and its file removed, before it is started
 * It prints whether a search for Py_Initialize finds one before, and whether the program's own
 * locale was set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static int start_and_run(void *python, const char *path)
{
    void (*initialize)(void) = (void (*)(void))dlsym(python, "Py_Initialize");
    void (*finalize)(void) = (void (*)(void))dlsym(python, "Py_Finalize");
    int (*run)(FILE *, const char *) =
        (int (*)(FILE *, const char *))dlsym(python, "PyRun_SimpleFile");
    FILE *file = fopen(path, "r");
    if (file == NULL || initialize == NULL || run == NULL)
        return 3;
    initialize();
    int status = run(file, path);
    fclose(file);
    finalize();
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *how = argv[1];
    int flags = RTLD_NOW | (strcmp(how, "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL);
    const char *set = setlocale(LC_ALL, "C.UTF-8");
    printf("%s %s\n", dlsym(RTLD_DEFAULT, "Py_Initialize") ? "found" : "none", set);
    void *python = dlopen(argv[2], flags);
    if (python != NULL && strcmp(how, "again") == 0) {
        setlocale(LC_NUMERIC, "C");
        dlclose(python);
        setlocale(LC_TIME, "C");
        python = dlopen(argv[2], flags);
    }
    if (python == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    if (strcmp(how, "replaced") == 0 && (argc < 5 || rename(argv[4], argv[2]) != 0))
        return 4;
    if (strcmp(how, "removed") == 0 && remove(argv[2]) != 0)
        return 4;
    dlopen("no such library", RTLD_LAZY);
    setlocale(LC_COLLATE, "C");
    if (dlerror() == NULL)
        fprintf(stderr, "dlerror has lost its words\n");
    fflush(stdout);
    int status = strcmp(how, "never") == 0 ? 0 : start_and_run(python, argv[3]);
    printf("%s\n", setlocale(LC_ALL, NULL));
    return status;
}
