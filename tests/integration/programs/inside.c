/* A program with a statically linked interpreter: inside SCRIPT. */
#include <stdio.h>

/* Without site.py: in 2.7 it imports modules that load a second interpreter, libpython2.7.so. */
extern int Py_NoSiteFlag __attribute__((weak));
void Py_Initialize(void);
void Py_Finalize(void);
int PyRun_SimpleFile(FILE *, const char *);

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (file == NULL)
        return 2;
    if (&Py_NoSiteFlag != NULL)
        Py_NoSiteFlag = 1;
    Py_Initialize();
    int status = PyRun_SimpleFile(file, argv[1]);
    fclose(file);
    Py_Finalize();
    return status;
}
