/* line.h - writes a line for the user to stderr or a file, without effects on the program.
 *
 * A write can raise a signal that ends or stops the program: SIGPIPE for a pipe without reader,
 * SIGXFSZ for a file at its limit (RLIMIT_FSIZE), SIGTTOU for a background process on a terminal
 * with `stty tostop`. CPython ignores the first two only once it has started, and a program may
 * have handlers for them. So all three are blocked in this thread while the line is written. A
 * signal that the write has left pending is consumed, unless it was pending before; then the
 * thread's mask is restored.
 *
 *     mask: +PIPE +XFSZ +TTOU     write: EPIPE, SIGPIPE pending     sigtimedwait     mask as before
 *
 * Ignoring them (SIG_IGN) would affect all threads and be visible to the program. send() can
 * suppress SIGPIPE, but only on sockets. */
#ifndef PYPERF_LINE_H
#define PYPERF_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* At start: remembers which file stderr is. A daemon may close it and open its own file as
 * descriptor 2; from then on nothing is written there. Keeps errno. */
void line_remember_stderr(void);

/* In a process that has not remembered it at its start: its streams are not written to. */
void line_leave_stderr(void);

/* Writes the line, with its newline, by one write if the descriptor takes all of it. The line is
 * lost if a non-blocking pipe is full, or if a signal of the program interrupts the wait for one.
 * Keeps errno. No allocation. */
void line_write(int fd, const char *line, size_t length);

/* The same to stderr, if that is still the same file. */
void line_write_stderr(const char *line, size_t length);

#endif
