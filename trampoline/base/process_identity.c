#include "trampoline/base/process_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    START_FIELD = 22, /* proc(5), /proc/pid/task/tid/stat */
    /* Seconds: times here are truncated to whole seconds, those of some file systems to two. */
    SLACK = 3,
};

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The start of a process, 0 when it cannot be read. That of its first thread is the same, and no
 * emulator makes up the file: qemu-user's own /proc/PID/stat has other times than processes see of each
 * other. */
static uint64_t start_of(pid_t pid)
{
    char path[48], text[1024];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    if (!read_text(path, text, sizeof text) || strtol(text, NULL, 10) != pid)
        return 0;
    const char *at = strrchr(text, ')'); /* the command name may hold blanks and parentheses */
    for (int field = 2; at != NULL && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

/* Whether /proc is of the pid namespace that this process is in. */
static bool is_own_proc(void)
{
    char text[24];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    return strtol(text, NULL, 10) == getpid();
}

/* Parses 16 bytes from hexadecimal digits and hyphens. */
static bool read_boot(uint8_t boot[16])
{
    char text[64], digits[33];
    size_t count = 0;
    if (!read_text("/proc/sys/kernel/random/boot_id", text, sizeof text))
        return false;
    for (const char *at = text; *at != '\0' && *at != '\n' && count < 32; at++)
        if (*at != '-')
            digits[count++] = *at;
    digits[count] = '\0';
    for (size_t i = 0; i < 16; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        boot[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count == 32;
}

bool process_identity_get(struct process_identity *own)
{
    int saved = errno;
    struct stat status;
    memset(own, 0, sizeof *own);
    bool known = is_own_proc() && stat("/proc/self/ns/pid", &status) == 0 && read_boot(own->boot);
    if (known) {
        own->pid = (uint32_t)getpid();
        own->pid_namespace = status.st_ino;
        own->start = start_of(getpid());
    }
    errno = saved;
    return known && own->start != 0;
}

bool process_is_alive(const struct process_identity *process, const struct process_identity *own)
{
    int saved = errno;
    bool alive = process->pid != 0 && process->start != 0 && own->start != 0 &&
                 process->pid_namespace == own->pid_namespace &&
                 memcmp(process->boot, own->boot, sizeof own->boot) == 0 &&
                 (kill((pid_t)process->pid, 0) == 0 || errno != ESRCH);
    if (alive) {
        /* 0 where /proc hides other users' processes (hidepid) */
        uint64_t start = start_of((pid_t)process->pid);
        alive = start == 0 || start == process->start;
    }
    errno = saved;
    return alive;
}

bool process_is_younger_than(int64_t time)
{
    int saved = errno;
    struct timespec now, since_boot;
    uint64_t start = is_own_proc() ? start_of(getpid()) : 0;
    bool younger = false;
    /* In this order, so that a delay in between makes the process look older. */
    if (start != 0 && clock_gettime(CLOCK_REALTIME, &now) == 0 &&
        clock_gettime(CLOCK_BOOTTIME, &since_boot) == 0) {
        int64_t age = since_boot.tv_sec - (int64_t)(start / (uint64_t)sysconf(_SC_CLK_TCK));
        younger = time < now.tv_sec - age - SLACK;
    }
    errno = saved;
    return younger;
}
