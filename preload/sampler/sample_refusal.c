#include "preload/sampler/sample_refusal.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/sampler/proc_file.h"
#include "trampoline/base/line.h"

enum { LENGTH = 512 };
static char line[LENGTH]; /* of who has set `told`: the stack may be small */
static bool told;

static size_t put(size_t at, const char *text)
{
    while (*text != '\0' && at < LENGTH - 1)
        line[at++] = *text++;
    return at;
}

/* The libc's texts may not be asked for in a handler. */
static const struct {
    int error;
    const char *text;
} texts[] = {
    {EACCES, "Permission denied"},
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {ENOSPC, "No space left on device"},
    {EDQUOT, "Disk quota exceeded"},
    {EROFS, "Read-only file system"},
    {EFBIG, "File too large"},
    {ENOMEM, "Cannot allocate memory"},
    {EMFILE, "Too many open files"},
};

static const char *text_of(int error)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].error == error)
            return texts[i].text;
    return NULL;
}

void sample_refusal_tell(const char *directory, int error)
{
    enum { LONGEST = 300 };
    if (__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        return;
    const char *text = text_of(error);
    size_t at = put(0, "libpyperf: not sampling: no file of samples can be made: ");
    for (size_t i = 0; directory[i] != '\0' && i < LONGEST; i++)
        line[at++] = directory[i];
    at = put(at, text != NULL ? ": " : ": error ");
    if (text != NULL)
        at = put(at, text);
    else
        at = (size_t)(put_decimal(line + at, (uint32_t)error) - line);
    line[at++] = '\n';
    line_write_stderr(line, at);
}
