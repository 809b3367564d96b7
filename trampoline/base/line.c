#include "trampoline/base/line.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
    bool known;
    bool open;
    dev_t device;
    ino_t inode;
} at_start;

void line_remember_stderr(void)
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

void line_leave_stderr(void)
{
    at_start.known = true;
}

static bool stderr_is_what_it_was(void)
{
    struct stat status;
    return !at_start.known || (at_start.open && fstat(STDERR_FILENO, &status) == 0 &&
                               status.st_dev == at_start.device && status.st_ino == at_start.inode);
}

/* Whether a signal that this thread has just blocked was pending already. Only a signal that was
 * blocked before can have been pending. */
static bool was_pending(int number, const sigset_t *mask)
{
    sigset_t pending;
    return sigismember(mask, number) == 1 && sigpending(&pending) == 0 &&
           sigismember(&pending, number) == 1;
}

/* The kernel sends them to the writing thread, and sigtimedwait takes a thread's signals before the
 * process's (kernel/signal.c, dequeue_signal). */
static void take_pending(int number)
{
    sigset_t one;
    struct timespec at_once = {0, 0};
    sigemptyset(&one);
    sigaddset(&one, number);
    while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR)
        ;
}

/* 0, or the errno value of the write that failed. */
static int write_all(int fd, const char *line, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, line, length);
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        line += n;
        length -= (size_t)n;
    }
    return 0;
}

void line_write(int fd, const char *line, size_t length)
{
    int saved = errno;
    sigset_t quiet, mask;
    sigemptyset(&quiet);
    sigaddset(&quiet, SIGPIPE);
    sigaddset(&quiet, SIGXFSZ);
    sigaddset(&quiet, SIGTTOU); /* a blocked SIGTTOU is not sent at all */
    if (sigprocmask(SIG_BLOCK, &quiet, &mask) == 0) {
        bool pipe_pending = was_pending(SIGPIPE, &mask), size_pending = was_pending(SIGXFSZ, &mask);
        int error = write_all(fd, line, length);
        if (error == EPIPE && !pipe_pending)
            take_pending(SIGPIPE);
        if (error == EFBIG && !size_pending)
            take_pending(SIGXFSZ);
        sigprocmask(SIG_SETMASK, &mask, NULL);
    }
    errno = saved;
}

void line_write_stderr(const char *line, size_t length)
{
    int saved = errno;
    if (stderr_is_what_it_was())
        line_write(STDERR_FILENO, line, length);
    errno = saved;
}
