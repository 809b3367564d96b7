#include "trampoline/base/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "trampoline/base/line.h"

void report(const char *format, ...)
{
    int saved = errno;
    char line[512] = "libpyperf: ";
    size_t prefix = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    line[length++] = '\n';
    line_write_stderr(line, length);
    errno = saved;
}

void report_failure(const char *consequence, const struct failure *why)
{
    const char *reason = why->sys_errno != 0 ? strerrordesc_np(why->sys_errno) : NULL;
    report("%s: %s%s%s%s%s", consequence, failure_message(why->code), *why->what ? ": " : "",
           why->what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}
