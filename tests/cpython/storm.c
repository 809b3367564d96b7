/* storm HZ: sends the sampler's signal to all running threads of all processes that sample themselves and have
 * PYPERF_STORM in their environment, as if their timers had expired, until it is killed. A kernel's timers of CPU time
 * give no more than its HZ signals a second.
 *
 * /proc/PID/timers shows what a timer's signal carries; sigqueue(3) may send a signal that claims to come from a timer,
 * since SI_TIMER is negative (kernel/signal.c, do_rt_tgsigqueueinfo). */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 256, THREADS = 64, EVERY = 200 };

static struct process {
    int pid;
    void *value;
    int threads[THREADS];
    int count;
} processes[PROCESSES];
static int count;

static void *value_of(int pid)
{
    char path[64], line[256];
    void *value = NULL;
    int number;
    snprintf(path, sizeof path, "/proc/%d/timers", pid);
    FILE *timers = fopen(path, "r");
    while (timers != NULL && fgets(line, sizeof line, timers) != NULL)
        if (sscanf(line, "signal: %d/%p", &number, &value) == 2 && number == SIGURG)
            break;
        else
            value = NULL;
    if (timers != NULL)
        fclose(timers);
    return value;
}

/* Reads the beginning of a file of /proc; NUL terminated. */
static ssize_t read_start(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, bytes, size - 1);
    if (fd >= 0)
        close(fd);
    bytes[length < 0 ? 0 : length] = '\0';
    return length;
}

static bool is_meant(int pid)
{
    char path[64], bytes[65536];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    ssize_t length = read_start(path, bytes, sizeof bytes);
    return length > 0 && memmem(bytes, (size_t)length, "PYPERF_STORM=", 13) != NULL;
}

/* One that waits would have its system call interrupted, which the sampler does not do. */
static bool is_running(int pid, int thread)
{
    char path[64], bytes[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, thread);
    read_start(path, bytes, sizeof bytes);
    const char *end = strrchr(bytes, ')');
    return end != NULL && strncmp(end, ") R", 3) == 0;
}

static void look_at(int pid)
{
    char path[64];
    struct process *process = &processes[count];
    process->value = is_meant(pid) ? value_of(pid) : NULL;
    if (process->value == NULL)
        return;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    process->pid = pid;
    process->count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (isdigit(entry->d_name[0]) && process->count < THREADS)
            process->threads[process->count++] = atoi(entry->d_name);
    if (folder != NULL)
        closedir(folder);
    count++;
}

static void look(void)
{
    DIR *folder = opendir("/proc");
    count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (isdigit(entry->d_name[0]) && count < PROCESSES)
            look_at(atoi(entry->d_name));
    if (folder != NULL)
        closedir(folder);
}

static void send_all(void)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < processes[i].count; k++) {
            if (!is_running(processes[i].pid, processes[i].threads[k]))
                continue;
            siginfo_t info;
            memset(&info, 0, sizeof info);
            info.si_signo = SIGURG;
            info.si_code = SI_TIMER;
            info.si_value.sival_ptr = processes[i].value;
            syscall(SYS_rt_tgsigqueueinfo, processes[i].pid, processes[i].threads[k], SIGURG,
                    &info);
        }
}

int main(int argc, char **argv)
{
    int hz = argc == 2 ? atoi(argv[1]) : 0;
    if (hz <= 0)
        return 2;
    struct timespec wait = {0, 1000000000 / hz};
    for (unsigned round = 0; getppid() != 1; round++) {
        if (round % EVERY == 0)
            look();
        send_all();
        nanosleep(&wait, NULL);
    }
    return 0;
}
