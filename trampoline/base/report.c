#include "trampoline/base/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "trampoline/base/line.h"

static struct {
    bool on;
    uint32_t used; /* of text; more if there was no room */
    char text[512];
} kept;

/* Another thread may be printing, so the place is reserved first. */
static void keep(const char *line, size_t length)
{
    uint32_t at = __atomic_fetch_add(&kept.used, (uint32_t)length, __ATOMIC_RELAXED);
    if (at < sizeof kept.text && length < sizeof kept.text - at)
        memcpy(kept.text + at, line, length);
}

void report_keep(void)
{
    memset(&kept, 0, sizeof kept);
    __atomic_store_n(&kept.on, true, __ATOMIC_RELEASE);
}

void report_kept(char *text, size_t size)
{
    __atomic_store_n(&kept.on, false, __ATOMIC_RELEASE);
    kept.text[sizeof kept.text - 1] = '\0';
    size_t length = strlen(kept.text);
    while (length > 0 && kept.text[length - 1] == '\n')
        kept.text[--length] = '\0';
    snprintf(text, size, "%s", kept.text);
}

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
    if (__atomic_load_n(&kept.on, __ATOMIC_ACQUIRE))
        keep(line + prefix, length - prefix);
    else
        line_write_stderr(line, length);
    errno = saved;
}

void report_failure(const char *consequence, const struct failure *why)
{
    const char *reason = why->sys_errno != 0 ? strerrordesc_np(why->sys_errno) : NULL;
    report("%s: %s%s%s%s%s", consequence, failure_message(why->code), *why->what ? ": " : "",
           why->what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}
