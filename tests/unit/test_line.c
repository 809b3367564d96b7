/* test_line.c - lines written to what can raise a signal: none reaches the program. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/line.h"

enum {
    KERNEL_SET = 8
}; /* bytes of a sigset_t that the kernel uses, 64 signals; the rest is undefined */

static const char line[] = "a line\n";

static volatile sig_atomic_t delivered;

static void note(int number)
{
    delivered = number;
}

/* Runs with files limited to 3 bytes; Check writes to a file too. */
static void with_small_files(void (*action)(int fd), int fd)
{
    struct rlimit large, small;
    getrlimit(RLIMIT_FSIZE, &large);
    small = (struct rlimit){3, large.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    errno = EXFULL;
    action(fd);
    int error = errno;
    setrlimit(RLIMIT_FSIZE, &large);
    errno = error;
}

static void write_line(int fd)
{
    line_write(fd, line, sizeof line - 1);
}

static void write_plainly(int fd)
{
    ssize_t n = write(fd, line, sizeof line - 1);
    n = write(fd, line, sizeof line - 1); /* the first write may have fitted in part */
    errno = n < 0 ? errno : 0;
}

static void put_line(int fd)
{
    with_small_files(write_line, fd);
    ck_assert_int_eq(errno, EXFULL);
}

static int pipe_without_reader(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    return ends[1];
}

static int socket_without_peer(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[0]);
    return ends[1];
}

static int file_that_may_not_grow(void)
{
    return open(in_folder("small"), O_CREAT | O_RDWR | O_APPEND, 0600);
}

/* The signal that a write to such a descriptor raises. */
static const struct kind {
    int (*make)(void);
    int number;
} kinds[] = {{pipe_without_reader, SIGPIPE},
             {socket_without_peer, SIGPIPE},
             {file_that_may_not_grow, SIGXFSZ}};

static bool is_pending(int number)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, number) == 1;
}

static void block(int number)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
}

static void brings_none(const struct kind *kind, void (*disposition)(int))
{
    sigset_t before, after;
    int fd = kind->make();
    signal(kind->number, disposition);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    put_line(fd);
    put_line(fd);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ck_assert_mem_eq(&before, &after, KERNEL_SET);
    ck_assert_int_eq(delivered, 0);
    ck_assert(!is_pending(kind->number));
    if (disposition == note) { /* a write of the program's own raises it */
        with_small_files(write_plainly, fd);
        ck_assert_int_eq(delivered, kind->number);
        delivered = 0;
    }
    close(fd);
}

/* For each disposition of the signal. */
TEST(brings_no_signal)
{
    void (*const dispositions[])(int) = {SIG_DFL, SIG_IGN, note};
    for (size_t i = 0; i < LENGTH_OF(kinds); i++)
        for (size_t j = 0; j < LENGTH_OF(dispositions); j++)
            brings_none(&kinds[i], dispositions[j]);
}

static void leaves_it(const struct kind *kind, bool pending)
{
    sigset_t before, after;
    int fd = kind->make();
    signal(kind->number, note);
    block(kind->number);
    if (pending)
        raise(kind->number);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    put_line(fd);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ck_assert_mem_eq(&before, &after, KERNEL_SET);
    ck_assert_int_eq(is_pending(kind->number), pending);
    ck_assert_int_eq(delivered, 0);
    signal(kind->number, SIG_IGN); /* forgets it */
    close(fd);
}

/* A signal that was pending stays pending, and no other one is. */
TEST(leaves_what_was_pending)
{
    for (size_t i = 0; i < LENGTH_OF(kinds); i++)
        for (int pending = 0; pending < 2; pending++)
            leaves_it(&kinds[i], pending);
}

static int full_pipe(int flags, int *reader)
{
    int ends[2];
    char block_of_bytes[4096] = {0};
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], block_of_bytes, sizeof block_of_bytes) > 0)
        ;
    fcntl(ends[1], F_SETFL, flags);
    *reader = ends[0];
    return ends[1];
}

TEST(does_not_wait_where_the_program_would_not)
{
    int reader, fd = full_pipe(O_NONBLOCK, &reader);
    put_line(fd);
}

/* A signal of the program interrupts the wait for a reader that does not read. */
TEST(is_interrupted)
{
    int reader, fd = full_pipe(0, &reader);
    struct sigaction action = {.sa_handler = note};
    struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    put_line(fd);
    ck_assert_int_eq(delivered, SIGALRM);
}

/* stty tostop: a write from the background stops the writer, by default. */
TEST(is_not_stopped_in_the_background)
{
    int status, terminal = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        int fd = open(ptsname(terminal), O_RDWR);
        struct termios settings;
        tcgetattr(fd, &settings);
        settings.c_lflag |= TOSTOP;
        tcsetattr(fd, TCSANOW, &settings);
        pid_t writer = fork();
        if (writer == 0) {
            setpgid(0, 0);
            line_write(fd, line, sizeof line - 1);
            _exit(is_pending(SIGTTOU));
        }
        waitpid(writer, &status, WUNTRACED);
        if (WIFSTOPPED(status))
            kill(writer, SIGKILL);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    ck_assert_int_eq(waitpid(leader, &status, 0), leader);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    char text[64];
    ck_assert_int_gt(read(terminal, text, sizeof text), (int)sizeof line - 2);
}

/* Descriptor 2 is now a daemon's own file. */
TEST(says_nothing_into_a_file_of_the_program)
{
    line_remember_stderr();
    int saved = dup(STDERR_FILENO);
    int own = open(in_folder("data"), O_CREAT | O_RDWR, 0600);
    dup2(own, STDERR_FILENO);
    errno = EXFULL;
    line_write_stderr(line, sizeof line - 1);
    ck_assert_int_eq(errno, EXFULL);
    dup2(saved, STDERR_FILENO);
    ck_assert_str_eq(read_file(in_folder("data"), NULL), "");
}

/* The same if there was no stderr at the start. */
TEST(says_nothing_without_stderr)
{
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    line_remember_stderr();
    ck_assert_int_eq(open(in_folder("data"), O_CREAT | O_RDWR, 0600), STDERR_FILENO);
    line_write_stderr(line, sizeof line - 1);
    dup2(saved, STDERR_FILENO);
    ck_assert_str_eq(read_file(in_folder("data"), NULL), "");
}
