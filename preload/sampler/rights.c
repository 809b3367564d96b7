#include "preload/sampler/rights.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/sampler/thread_name.h"

static void add(struct rights *rights, size_t *at, const char *bytes, size_t size)
{
    if (size > sizeof rights->text - *at)
        size = sizeof rights->text - *at;
    memcpy(rights->text + *at, bytes, size);
    *at += size;
}

/* proc(5), /proc/PID/status: Seccomp_filters, too, from Linux 5.9 on. */
static bool is_right(const char *line)
{
    static const char *const names[] = {"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void add_lines(struct rights *rights, size_t *at, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (is_right(text))
            add(rights, at, text, length);
        text += length + (text[length] == '\n');
    }
}

void rights_read(uint32_t process, struct rights *rights)
{
    static const char *const links[] = {"/root", "/ns/user", "/ns/mnt", "/ns/pid",
                                        "/ns/pid_for_children"};
    char path[64] = "/proc/", bytes[4096];
    char *end = put_decimal(path + strlen(path), process);
    size_t at = 0;
    memset(rights, 0, sizeof *rights);
    strcpy(end, "/status");
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    long size = fd < 0 ? -1 : syscall(SYS_read, fd, bytes, sizeof bytes - 1);
    if (fd >= 0)
        syscall(SYS_close, fd);
    bytes[size > 0 ? size : 0] = '\0';
    add_lines(rights, &at, bytes);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        strcpy(end, links[i]);
        size = syscall(SYS_readlinkat, AT_FDCWD, path, bytes, sizeof bytes);
        add(rights, &at, bytes, size > 0 ? (size_t)size : 0);
    }
}

bool rights_are_same(const struct rights *one, const struct rights *other)
{
    return memcmp(one->text, other->text, sizeof one->text) == 0;
}
