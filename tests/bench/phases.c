/* phases.c - the steps of libpyperf before the interpreter starts.
 *
 *   phases LIBPYPERF-PLAN.SO FILE MINOR     FILE: libpython, or a static python3.MINOR
 *
 * Does the same as libpyperf's constructor (preload/process/lifecycle.c) in a process of its own,
 * and prints the nanoseconds of three steps: loading libpyperf-plan.so with what it needs (libelf,
 * capstone and their libraries), looking up the interpreter's symbols, and unloading. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "preload/cpython/python.h"
#include "trampoline/plan/elf_lookup.h"

static const char *const functions[] = {
#define X(result, name, arguments) #name,
    PYTHON_FUNCTIONS(X)
#undef X
#define X(type, name) #name,
        PYTHON_DATA(X)
#undef X
            "_PyEval_EvalFrameDefault",
};

/* From 3.11 on; python.h. */
static const char *const evaluator_functions[] = {
#define X(result, name, arguments) #name,
    PYTHON_EVALUATOR_FUNCTIONS(X)
#undef X
};

enum {
    FUNCTIONS = sizeof functions / sizeof *functions,
    EVALUATOR_FUNCTIONS = sizeof evaluator_functions / sizeof *evaluator_functions,
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
    struct elf_symbol symbols[FUNCTIONS + EVALUATOR_FUNCTIONS] = {{0}};
    struct failure why;
    size_t count = 0;
    if (argc != 4)
        return EXIT_FAILURE;
    for (; count < FUNCTIONS; count++)
        symbols[count].name = functions[count];
    if (atoi(argv[3]) >= 11)
        for (size_t i = 0; i < EVALUATOR_FUNCTIONS; i++)
            symbols[count++].name = evaluator_functions[i];

    int64_t start = now();
    void *plan = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    __typeof__(&elf_lookup) lookup =
        plan == NULL ? NULL : (__typeof__(&elf_lookup))dlsym(plan, "elf_lookup");
    if (lookup == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return EXIT_FAILURE;
    }
    int64_t loaded = now();
    bool found = lookup(argv[2], argv[2], "/usr/lib/debug", symbols, count, &why);
    int64_t looked_up = now();
    dlclose(plan);
    int64_t unloaded = now();
    printf("%lld %lld %lld\n", (long long)(loaded - start), (long long)(looked_up - loaded),
           (long long)(unloaded - looked_up));
    return found ? EXIT_SUCCESS : EXIT_FAILURE;
}
