/* later_libc.c - functions that headers and archives of the building machine call, and that glibc
 * 2.17 or musl has not got, or has under another name. For this object alone. */
#include "trampoline/base/later_libc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "trampoline/base/next_symbol.h"

#ifdef PYPERF_WHOLE_LIBC /* linked to this machine's (Makefile, SHARED) */

void later_libc_find(void)
{
}

#else

#define OURS __attribute__((visibility("hidden")))

/* glibc has these from 2.33 on, and before only functions with one parameter more, which an inline
 * function of its headers called: the version of struct stat, 1 for the kernel's (bits/stat.h of
 * x86-64, _STAT_VER). Whichever the process has is called, and not the kernel, so that the system
 * call is one that the process makes, too. */
enum { STAT_VERSION = 1 };

#define STAT_FUNCTIONS(F)                                                                          \
    F(fstat, __fxstat, (int fd, struct stat *status), (int version, int fd, struct stat *status),  \
      (fd, status), (STAT_VERSION, fd, status))                                                    \
    F(stat, __xstat, (const char *restrict path, struct stat *restrict status),                    \
      (int version, const char *path, struct stat *status), (path, status),                        \
      (STAT_VERSION, path, status))                                                                \
    F(lstat, __lxstat, (const char *restrict path, struct stat *restrict status),                  \
      (int version, const char *path, struct stat *status), (path, status),                        \
      (STAT_VERSION, path, status))                                                                \
    F(fstatat, __fxstatat,                                                                         \
      (int directory, const char *restrict path, struct stat *restrict status, int flags),         \
      (int version, int directory, const char *path, struct stat *status, int flags),              \
      (directory, path, status, flags), (STAT_VERSION, directory, path, status, flags))

#define DEFINE(name, earlier, parameters, earlier_parameters, arguments, earlier_arguments)        \
    static int(*found_##name) parameters;                                                          \
    static int(*found##earlier) earlier_parameters;                                                \
    OURS int name parameters                                                                       \
    {                                                                                              \
        later_libc_find();                                                                         \
        if (found_##name != NULL)                                                                  \
            return found_##name arguments;                                                         \
        if (found##earlier != NULL)                                                                \
            return found##earlier earlier_arguments;                                               \
        errno = ENOSYS;                                                                            \
        return -1;                                                                                 \
    }
STAT_FUNCTIONS(DEFINE)

void later_libc_find(void)
{
    static bool looked;
    if (__atomic_load_n(&looked, __ATOMIC_ACQUIRE))
        return;
#define FIND(name, earlier, ...)                                                                   \
    found_##name = (__typeof__(found_##name))next_symbol(#name);                                   \
    found##earlier = (__typeof__(found##earlier))next_symbol(#earlier);
    STAT_FUNCTIONS(FIND)
    __atomic_store_n(&looked, true, __ATOMIC_RELEASE);
}

/* _FORTIFY_SOURCE, with which distributions make their archives: musl has no such functions. The
 * text is cut off where they would end the program. */
int __sprintf_chk(char *out, int flag, size_t size, const char *format, ...);
OURS int __sprintf_chk(char *out, int flag, size_t size, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return length;
}

char *__strcpy_chk(char *restrict out, const char *restrict in, size_t size);
OURS char *__strcpy_chk(char *restrict out, const char *restrict in, size_t size)
{
    size_t length = strnlen(in, size - 1);
    memcpy(out, in, length);
    out[length] = '\0';
    return out;
}

/* The headers of glibc 2.38 and later turn calls of the functions on the right into those on the left,
 * which also know C23's binary numbers. */
#define BEFORE_C23(result, later, earlier, parameters, arguments)                                  \
    result later parameters;                                                                       \
    result before_##later parameters __asm__(earlier);                                             \
    OURS result later parameters                                                                   \
    {                                                                                              \
        return before_##later arguments;                                                           \
    }
BEFORE_C23(long, __isoc23_strtol, "strtol", (const char *text, char **end, int base),
           (text, end, base))
BEFORE_C23(unsigned long, __isoc23_strtoul, "strtoul", (const char *text, char **end, int base),
           (text, end, base))
BEFORE_C23(unsigned long long, __isoc23_strtoull, "strtoull",
           (const char *text, char **end, int base), (text, end, base))
BEFORE_C23(int, __isoc23_vsscanf, "__isoc99_vsscanf",
           (const char *text, const char *format, va_list out), (text, format, out))

int __isoc23_sscanf(const char *text, const char *format, ...);
OURS int __isoc23_sscanf(const char *text, const char *format, ...)
{
    va_list out;
    va_start(out, format);
    int count = __isoc23_vsscanf(text, format, out);
    va_end(out);
    return count;
}

#endif
