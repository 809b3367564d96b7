/* A program that loads libpython long after its start: late HOW LIBPYTHON SCRIPT [FROM TO]... HOW
 * is
 *   local, global   loaded so, and started
 *   again           loaded and unloaded first; setlocale is called in between
 *   never           loaded, and not started
 *   changed         loaded; then FROM moved to TO, or removed when that is empty, and so on, as an
 *                   upgrade does it; then started
 *   elsewhere       loaded; then the current directory becomes FROM; then started
 * It prints whether dlsym finds Py_Initialize before, and whether the program's own locale was
 * set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static bool change(const char *how, char **words)
{
    if (strcmp(how, "elsewhere") == 0)
        return chdir(words[0]) == 0;
    for (; words[0] != NULL; words += 2)
        if ((*words[1] == '\0' ? remove(words[0]) : rename(words[0], words[1])) != 0)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *how = argv[1];
    int flags = RTLD_NOW | (strcmp(how, "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL);
    const char *set = setlocale(LC_ALL, "C.UTF-8");
    /* musl names the locale of each category. */
    printf("%s %.*s\n", dlsym(RTLD_DEFAULT, "Py_Initialize") ? "found" : "none",
           set ? (int)strcspn(set, ";") : 0, set);
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
    if (!change(how, argv + 4))
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
