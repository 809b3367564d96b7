/* later_libc.c - functions that headers and archives of the building machine call, and that glibc
 * 2.17 or musl has not got. For this object alone. */
#ifndef PYPERF_WHOLE_LIBC /* not linked to this machine's (Makefile, SHARED) */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OURS __attribute__((visibility("hidden")))

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
