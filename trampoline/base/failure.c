#include "trampoline/base/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool failure_set(struct failure *why, enum failure_code code, int sys_errno, const char *what, ...)
{
    if (why == NULL)
        return false;
    int saved = errno;
    why->code = code;
    why->sys_errno = sys_errno;
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(why->what, sizeof why->what, what, arguments);
    va_end(arguments);
    errno = saved;
    return false;
}

const char *failure_message(enum failure_code code)
{
    static const char *const messages[] = {
#define X(code, message) message,
        FAILURE_LIST(X)
#undef X
    };
    return (unsigned)code < sizeof messages / sizeof messages[0] ? messages[code] : "unknown code";
}
