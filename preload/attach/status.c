#include "preload/attach/status.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS_SIZE = 8192 };

ssize_t status_file(pid_t pid, const char *name, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = fd >= 0 ? 1 : -1;
    while (got > 0 && used < size - 1)
        if ((got = read(fd, text + used, size - 1 - used)) > 0)
            used += (size_t)got;
    int error = errno;
    if (fd >= 0)
        close(fd);
    text[used] = '\0';
    errno = error;
    return got < 0 && used == 0 ? -1 : (ssize_t)used;
}

/* The value behind "\nname:\t"; NULL: there is no such line. */
static const char *field(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

static long number_of(const char *text, const char *name, long otherwise)
{
    const char *value = field(text, name);
    return value != NULL ? strtol(value, NULL, 10) : otherwise;
}

static uint64_t bits_of(const char *text, const char *name)
{
    const char *value = field(text, name);
    return value != NULL ? strtoull(value, NULL, 16) : 0;
}

/* NSpid has the number in each namespace, the innermost last. */
static pid_t own_pid(const char *text, pid_t otherwise)
{
    const char *value = field(text, "NSpid");
    if (value == NULL) /* before Linux 4.1 */
        return otherwise;
    size_t length = strcspn(value, "\n");
    while (length > 0 && (value[length - 1] < '0' || value[length - 1] > '9'))
        length--;
    while (length > 0 && value[length - 1] >= '0' && value[length - 1] <= '9')
        length--;
    return (pid_t)strtol(value + length, NULL, 10);
}

bool status_read(pid_t pid, struct status *status)
{
    char text[STATUS_SIZE];
    if (status_file(pid, "status", text, sizeof text) <= 0)
        return false;
    memset(status, 0, sizeof *status);
    const char *name = field(text, "Name"), *state = field(text, "State");
    if (name != NULL)
        snprintf(status->name, sizeof status->name, "%.*s", (int)strcspn(name, "\n"), name);
    status->state = state != NULL ? *state : '?';
    status->tracer = (pid_t)number_of(text, "TracerPid", 0);
    status->user = (uid_t)number_of(text, "Uid", -1);
    status->own_pid = own_pid(text, pid);
    status->threads = (int)number_of(text, "Threads", 1);
    status->seccomp = (int)number_of(text, "Seccomp", 0);
    status->filters = (int)number_of(text, "Seccomp_filters", -1);
    status->permitted = bits_of(text, "CapPrm");
    status->effective = bits_of(text, "CapEff");
    return true;
}

static bool link_of(pid_t pid, const char *name, char text[PATH_MAX])
{
    char path[128];
    if (pid == 0)
        snprintf(path, sizeof path, "/proc/self/%s", name);
    else
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    ssize_t length = readlink(path, text, PATH_MAX - 1);
    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}

enum sharing status_sharing(pid_t pid, const char *name)
{
    char theirs[PATH_MAX], ours[PATH_MAX];
    if (!link_of(pid, name, theirs) || !link_of(0, name, ours))
        return SHARING_UNKNOWN;
    return strcmp(theirs, ours) == 0 ? SHARING_YES : SHARING_NO;
}

size_t status_threads(pid_t pid, pid_t *threads, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    size_t count = 0;
    if (folder == NULL)
        return 0;
    for (struct dirent *entry; count < room && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            threads[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    closedir(folder);
    return count;
}

/* task/TID/stat: the letter behind the name, which may have any characters. */
static char state_of(pid_t pid, pid_t thread)
{
    char name[64], text[1024];
    snprintf(name, sizeof name, "task/%d/stat", (int)thread);
    if (status_file(pid, name, text, sizeof text) <= 0)
        return 'X';
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : '?';
}

enum thread_activity status_runs(pid_t pid, pid_t thread)
{
    switch (state_of(pid, thread)) {
    case 'R':
        return THREAD_RUNS;
    case 'S':
        return THREAD_SLEEPS;
    case 'D':
        return THREAD_UNREACHABLE;
    default:
        return THREAD_ENDED;
    }
}

/* task/TID/syscall: "running", or the number, six arguments, the stack pointer and the pc. */
enum thread_activity status_activity(pid_t pid, pid_t thread, long *number, uint64_t *stack_pointer)
{
    char name[64], text[512];
    enum thread_activity activity = status_runs(pid, thread);
    *number = -1;
    *stack_pointer = 0;
    snprintf(name, sizeof name, "task/%d/syscall", (int)thread);
    if (activity != THREAD_SLEEPS || status_file(pid, name, text, sizeof text) <= 0)
        return activity;
    if (strncmp(text, "running", 7) == 0)
        return THREAD_RUNS;
    char *at;
    *number = strtol(text, &at, 10);
    for (int i = 0; *number >= 0 && i < 6; i++)
        strtoull(at, &at, 16);
    *stack_pointer = strtoull(at, NULL, 16);
    return THREAD_SLEEPS;
}

/* /proc/PID/limits, "Max file size": the soft limit is the first value. */
bool status_permits_file(pid_t pid, uint64_t size)
{
    static const char name[] = "Max file size";
    char text[STATUS_SIZE];
    if (status_file(pid, "limits", text, sizeof text) <= 0)
        return true;
    const char *line = strstr(text, name), *value = line == NULL ? "" : line + strlen(name);
    value += strspn(value, " ");
    return *value < '0' || *value > '9' || strtoull(value, NULL, 10) >= size;
}

/* permissions */

static long setting(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    return got > 0 ? strtol(text, NULL, 10) : -1;
}

/* Files of /proc/PID belong to root while the process is not dumpable (proc(5)). */
static bool is_dumpable(pid_t pid, const struct status *status)
{
    char path[64];
    struct stat file;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return stat(path, &file) != 0 || file.st_uid == status->user;
}

#define AS_ROOT "as root, in a container with CAP_SYS_PTRACE (docker: --cap-add SYS_PTRACE)"

bool status_explain_permission(pid_t pid, const struct status *status, struct refusal *why)
{
    enum { CAP_SYS_PTRACE = 19 }; /* linux/capability.h */
    struct status own;
    bool known = status_read(getpid(), &own);
    bool may = known && (own.effective >> CAP_SYS_PTRACE & 1) != 0;
    long scope = setting("/proc/sys/kernel/yama/ptrace_scope");
    if (scope == 3)
        return refuse(why,
                      "process %d: nobody may attach here: kernel.yama.ptrace_scope is 3, which "
                      "only a restart of the machine changes",
                      pid);
    if (status_sharing(pid, "ns/user") == SHARING_NO && !may)
        return refuse(why,
                      "process %d is in another user namespace: run this as root of the machine, "
                      "or inside of its container",
                      pid);
    if (!may && known && own.user != status->user)
        return refuse(why, "process %d is of user %u: run this as that user, or " AS_ROOT, pid,
                      (unsigned)status->user);
    if (!may && scope == 2)
        return refuse(why,
                      "process %d: only root may attach here (kernel.yama.ptrace_scope is 2): "
                      "run this " AS_ROOT,
                      pid);
    if (!may && scope == 1)
        return refuse(why,
                      "process %d: kernel.yama.ptrace_scope is 1, so that only its ancestors may "
                      "attach: run this " AS_ROOT,
                      pid);
    if (!may && !is_dumpable(pid, status))
        return refuse(why,
                      "process %d is not dumpable (it has changed its user or its rights): run "
                      "this as root",
                      pid);
    if (!may && known && (status->permitted & ~own.permitted) != 0)
        return refuse(why,
                      "process %d has capabilities that this one has not: run this with "
                      "CAP_SYS_PTRACE (docker: --cap-add SYS_PTRACE)",
                      pid);
    if (!may)
        return refuse(why, "process %d may not be traced: run this " AS_ROOT, pid);
    return refuse(why,
                  "process %d may not be traced, though this process has CAP_SYS_PTRACE: a "
                  "security module or a seccomp filter forbids it",
                  pid);
}
