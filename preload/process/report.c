#include "preload/process/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool known;
    bool open;
    dev_t device;
    ino_t inode;
} at_start;

void report_remember_stderr(void)
{
    int saved = errno;
    struct stat status;
    at_start.known = true;
    at_start.open = fstat(STDERR_FILENO, &status) == 0;
    if (at_start.open) {
        at_start.device = status.st_dev;
        at_start.inode = status.st_ino;
    }
    errno = saved;
}

static bool stderr_is_what_it_was(void)
{
    struct stat status;
    return !at_start.known || (at_start.open && fstat(STDERR_FILENO, &status) == 0 &&
                               status.st_dev == at_start.device && status.st_ino == at_start.inode);
}

void report(const char *format, ...)
{
    int saved = errno;
    if (!stderr_is_what_it_was()) {
        errno = saved;
        return;
    }
    char line[512] = "libpyperf: ";
    size_t prefix = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0)
        errno = saved; /* nobody is there to be told */
    errno = saved;
}

void report_failure(const char *consequence, const struct failure *why)
{
    const char *reason = why->sys_errno != 0 ? strerrordesc_np(why->sys_errno) : NULL;
    report("%s: %s%s%s%s%s", consequence, failure_message(why->code), *why->what ? ": " : "",
           why->what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}
