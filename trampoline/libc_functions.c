#include "trampoline/libc_functions.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "trampoline/base/error_text.h"
#include "trampoline/base/later_libc.h"
#include "trampoline/base/next_symbol.h"

#ifdef PYPERF_WHOLE_LIBC /* linked to this machine's (Makefile, SHARED) */

void libc_functions_find(void)
{
    error_text(0);
}

#else

/* Result, name, parameters, arguments, and the result where there is no such function. */
#define FUNCTIONS(F)                                                                               \
    F(void *, dlopen, (const char *path, int mode), (path, mode), NULL)                            \
    F(void *, dlsym, (void *restrict object, const char *restrict name), (object, name), NULL)     \
    F(int, dlclose, (void *object), (object), -1)                                                  \
    F(char *, dlerror, (void), (), (char *)"the program has no libdl")                             \
    F(int, dlinfo, (void *restrict object, int what, void *restrict result),                       \
      (object, what, result), -1)                                                                  \
    F(int, pthread_getattr_np, (pthread_t thread, pthread_attr_t * attributes),                    \
      (thread, attributes), ENOSYS)                                                                \
    F(int, pthread_attr_getstack,                                                                  \
      (const pthread_attr_t *restrict attributes, void **restrict lowest, size_t *restrict size),  \
      (attributes, lowest, size), ENOSYS)                                                          \
    F(int, pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end), ENOSYS)     \
    F(int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value), ENOSYS)

typedef void handler(void);

static struct {
#define MEMBER(result, name, parameters, arguments, otherwise) result(*name) parameters;
    FUNCTIONS(MEMBER)
#undef MEMBER
    /* glibc's pthread_atfork is in each object that uses it, and calls this one. */
    int (*register_atfork)(handler *before, handler *after, handler *in_child, void *object);
    int (*pthread_atfork)(handler *before, handler *after, handler *in_child); /* musl */
} found;

/* Functions that are missing are looked for again: the program may load their library later. */
static bool all_found(void)
{
    bool all = true;
#define IS_FOUND(result, name, parameters, arguments, otherwise)                                   \
    all = all && __atomic_load_n(&found.name, __ATOMIC_RELAXED) != NULL;
    FUNCTIONS(IS_FOUND)
#undef IS_FOUND
    return all;
}

void libc_functions_find(void)
{
    if (all_found())
        return;
#define FIND(result, name, parameters, arguments, otherwise)                                       \
    __atomic_store_n(&found.name, (__typeof__(found.name))next_symbol(#name), __ATOMIC_RELAXED);
    FUNCTIONS(FIND)
#undef FIND
    found.register_atfork = (__typeof__(found.register_atfork))next_symbol("__register_atfork");
    found.pthread_atfork = (__typeof__(found.pthread_atfork))next_symbol("pthread_atfork");
    error_text(0); /* looks for a function, too */
    later_libc_find();
}

#define DEFINE(result, name, parameters, arguments, otherwise)                                     \
    __attribute__((visibility("hidden"))) result name parameters                                   \
    {                                                                                              \
        if (__atomic_load_n(&found.name, __ATOMIC_RELAXED) == NULL)                                \
            libc_functions_find();                                                                 \
        __typeof__(found.name) function = __atomic_load_n(&found.name, __ATOMIC_RELAXED);          \
        return function != NULL ? function arguments : (otherwise);                                \
    }
FUNCTIONS(DEFINE)
#undef DEFINE

extern void *__dso_handle __attribute__((visibility("hidden"))); /* of crtbegin: this object */

__attribute__((visibility("hidden"))) int pthread_atfork(handler *before, handler *after,
                                                         handler *in_child)
{
    libc_functions_find();
    if (found.register_atfork != NULL)
        return found.register_atfork(before, after, in_child, &__dso_handle);
    return found.pthread_atfork != NULL ? found.pthread_atfork(before, after, in_child) : ENOSYS;
}

#endif
