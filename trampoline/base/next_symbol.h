/* next_symbol.h - dlsym(RTLD_NEXT, name) where there may be no dlsym, which before glibc 2.34 is in
 * libdl. */
#ifndef PYPERF_NEXT_SYMBOL_H
#define PYPERF_NEXT_SYMBOL_H

/* The address of a function in the first object that was loaded after this one and has it. If there is
 * none, in the first one before: the libc is before what a program has loaded by dlopen, such as
 * libpyperf-plan.so. NULL when no other object has it. Takes the loader's lock. */
void *next_symbol(const char *name);

#endif
