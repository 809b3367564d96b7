#include "trampoline/base/libc_functions.h"

#ifdef PYPERF_WHOLE_LIBC /* linked to this machine's (Makefile, SHARED) */

void libc_functions_find(void)
{
}

bool libc_is_musl(void)
{
    return false;
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "trampoline/base/next_symbol.h"

/* Before glibc 2.33 an inline function of its headers called __fxstat for fstat, and so on, with the
 * version of struct stat: 1 for the kernel's (bits/stat.h of x86-64, _STAT_VER). */
enum { STAT_VERSION = 1 };

typedef void handler(void);
typedef struct stat status;

static int not_there(void)
{
    errno = ENOSYS;
    return -1;
}

/* A library may be loaded later; what a libc has not got, it will not get. */
enum { LIBC, LIBRARY };

/* Where it is, result, name, parameters, arguments, and the result where there is no such function.
 * stat is the libc's, so that its system call is one that the process makes, too. */
#define FUNCTIONS(F)                                                                               \
    F(LIBRARY, void *, dlopen, (const char *path, int mode), (path, mode), NULL)                   \
    F(LIBRARY, void *, dlsym, (void *restrict object, const char *restrict name), (object, name),  \
      NULL)                                                                                        \
    F(LIBRARY, int, dlclose, (void *object), (object), -1)                                         \
    F(LIBRARY, char *, dlerror, (void), (), (char *)"the program has no libdl")                    \
    F(LIBRARY, int, dlinfo, (void *restrict object, int what, void *restrict result),              \
      (object, what, result), -1)                                                                  \
    F(LIBRARY, int, pthread_getattr_np, (pthread_t thread, pthread_attr_t * attributes),           \
      (thread, attributes), ENOSYS)                                                                \
    F(LIBRARY, int, pthread_attr_getstack,                                                         \
      (const pthread_attr_t *restrict attributes, void **restrict lowest, size_t *restrict size),  \
      (attributes, lowest, size), ENOSYS)                                                          \
    F(LIBRARY, int, pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end),    \
      ENOSYS)                                                                                      \
    F(LIBRARY, int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value),     \
      ENOSYS)                                                                                      \
    F(LIBC, int, __fxstat, (int version, int fd, status *out), (version, fd, out), not_there())    \
    F(LIBC, int, __xstat, (int version, const char *path, status *out), (version, path, out),      \
      not_there())                                                                                 \
    F(LIBC, int, __lxstat, (int version, const char *path, status *out), (version, path, out),     \
      not_there())                                                                                 \
    F(LIBC, int, __fxstatat, (int version, int folder, const char *path, status *out, int flags),  \
      (version, folder, path, out, flags), not_there())                                            \
    F(LIBC, int, fstat, (int fd, status *out), (fd, out), __fxstat(STAT_VERSION, fd, out))         \
    F(LIBC, int, stat, (const char *restrict path, status *restrict out), (path, out),             \
      __xstat(STAT_VERSION, path, out))                                                            \
    F(LIBC, int, lstat, (const char *restrict path, status *restrict out), (path, out),            \
      __lxstat(STAT_VERSION, path, out))                                                           \
    F(LIBC, int, fstatat,                                                                          \
      (int folder, const char *restrict path, status *restrict out, int flags),                    \
      (folder, path, out, flags), __fxstatat(STAT_VERSION, folder, path, out, flags))              \
    F(LIBC, const char *, strerrordesc_np, (int error), (error), strerror(error))                  \
    F(LIBC, const char *, gnu_get_libc_version, (void), (), NULL)

#define DEFINE(place, result, name, parameters, arguments, otherwise)                              \
    typedef result type_##name parameters;                                                         \
    static type_##name *find_##name(void)                                                          \
    {                                                                                              \
        static type_##name *found;                                                                 \
        static bool missing;                                                                       \
        type_##name *function = __atomic_load_n(&found, __ATOMIC_RELAXED);                         \
        if (function != NULL || __atomic_load_n(&missing, __ATOMIC_RELAXED))                       \
            return function;                                                                       \
        function = (type_##name *)next_symbol(#name);                                              \
        __atomic_store_n(&found, function, __ATOMIC_RELAXED);                                      \
        __atomic_store_n(&missing, place == LIBC && function == NULL, __ATOMIC_RELAXED);           \
        return function;                                                                           \
    }                                                                                              \
    __attribute__((visibility("hidden"))) type_##name name;                                        \
    result name parameters                                                                         \
    {                                                                                              \
        type_##name *function = find_##name();                                                     \
        return function != NULL ? function arguments : (otherwise);                                \
    }
FUNCTIONS(DEFINE)
#undef DEFINE

void libc_functions_find(void)
{
#define FIND(place, result, name, ...) find_##name();
    FUNCTIONS(FIND)
#undef FIND
}

bool libc_is_musl(void)
{
    return gnu_get_libc_version() == NULL;
}

extern void *__dso_handle __attribute__((visibility("hidden"))); /* of crtbegin: this object */

/* glibc's pthread_atfork is in each object that uses it, and calls __register_atfork. musl's is in its
 * libc. Called once. */
__attribute__((visibility("hidden"))) int pthread_atfork(handler *before, handler *after,
                                                         handler *in_child)
{
    int (*of_glibc)(handler *, handler *, handler *, void *) =
        (__typeof__(of_glibc))next_symbol("__register_atfork");
    int (*of_musl)(handler *, handler *, handler *) =
        (__typeof__(of_musl))next_symbol("pthread_atfork");
    if (of_glibc != NULL)
        return of_glibc(before, after, in_child, &__dso_handle);
    return of_musl != NULL ? of_musl(before, after, in_child) : ENOSYS;
}

#endif
