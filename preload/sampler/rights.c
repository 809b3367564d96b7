#include "preload/sampler/rights.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/sampler/proc_file.h"

/* proc(5), /proc/PID/status: Seccomp_filters, too, from Linux 5.9 on. */
static bool is_right(const char *line)
{
    static const char *const names[] = {"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Moves the lines that count to the beginning. Returns where they end. */
static char *keep_rights(char *text)
{
    char *end = text;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n"), step = length + (text[length] == '\n');
        if (is_right(text)) {
            memmove(end, text, length);
            end += length;
        }
        text += step;
    }
    return end;
}

void rights_read(uint32_t process, struct rights *rights)
{
    static const char *const links[] = {"/root", "/ns/user", "/ns/mnt", "/ns/pid",
                                        "/ns/pid_for_children"};
    char path[PROC_PATH], *last = rights->text + sizeof rights->text;
    proc_path(path, process, "/status");
    proc_read(path, rights->text, sizeof rights->text);
    char *end = keep_rights(rights->text);
    memset(end, 0, (size_t)(last - end));
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        proc_path(path, process, links[i]);
        long size = syscall(SYS_readlinkat, AT_FDCWD, path, end, last - end);
        end += size > 0 ? size : 0;
    }
}

bool rights_are_same(const struct rights *one, const struct rights *other)
{
    return memcmp(one->text, other->text, sizeof one->text) == 0;
}
