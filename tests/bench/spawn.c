/* spawn.c - times whole commands, one after the other, many times.
 *
 *   spawn ROUNDS [NAME=VALUE]... COMMAND [ARGUMENT]... [+ [NAME=VALUE]... COMMAND [ARGUMENT]...]...
 *
 * Each round runs every command once, so that a disturbance affects all of them; the order rotates.
 * Prints a line for each round, for each command two numbers: nanoseconds from posix_spawn to its
 * end, and nanoseconds of CPU time, which does not include other programs. A shell, or Python's
 * subprocess, would cost as much as /bin/true itself. The commands' map files are removed, output
 * goes to /dev/null. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 8, VARIABLES = 128 };

extern char **environ;

struct command {
    char **arguments;
    char *environment[VARIABLES];
};

struct taken {
    int64_t time, cpu;
};

static void stop(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* One command; its variables come after those of this process. */
static void read_command(struct command *command, char **words)
{
    size_t count = 0;
    for (char **variable = environ; *variable != NULL && count < VARIABLES - 8; variable++)
        command->environment[count++] = *variable;
    for (; *words != NULL && strchr(*words, '=') != NULL && count < VARIABLES - 1; words++)
        command->environment[count++] = *words;
    command->environment[count] = NULL;
    command->arguments = words;
}

static int64_t nanoseconds(struct timeval time)
{
    return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

static struct taken run(const struct command *command, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    struct rusage usage;
    int64_t start = now();
    int error = posix_spawn(&pid, command->arguments[0], actions, NULL, command->arguments,
                            (char **)command->environment);
    if (error != 0) {
        errno = error;
        stop(command->arguments[0]);
    }
    if (wait4(pid, &status, 0, &usage) != pid)
        stop("wait4");
    struct taken taken = {now() - start, nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)};
    if (status != 0) {
        fprintf(stderr, "%s: status %x\n", command->arguments[0], (unsigned)status);
        exit(EXIT_FAILURE);
    }
    char map[64];
    snprintf(map, sizeof map, "/tmp/perf-%d.map", (int)pid);
    unlink(map);
    return taken;
}

int main(int argc, char **argv)
{
    static struct command commands[COMMANDS];
    int count = 0;
    if (argc < 3)
        return EXIT_FAILURE;
    long rounds = strtol(argv[1], NULL, 10);
    for (char **word = argv + 2, **start = word; count < COMMANDS; word++) {
        if (*word != NULL && strcmp(*word, "+") != 0)
            continue;
        bool is_last = *word == NULL;
        *word = NULL;
        read_command(&commands[count++], start);
        if (is_last)
            break;
        start = word + 1;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (long round = 0; round < rounds; round++) {
        struct taken taken[COMMANDS];
        for (int i = 0; i < count; i++) {
            int which = (int)((i + round) % count);
            taken[which] = run(&commands[which], &actions);
        }
        for (int i = 0; i < count; i++)
            printf("%lld %lld%c", (long long)taken[i].time, (long long)taken[i].cpu,
                   i + 1 < count ? ' ' : '\n');
    }
    return EXIT_SUCCESS;
}
