/* line.h - a line for the user, on stderr or in a file, of which the program notices nothing.
 *
 * A write can bring a signal that ends or stops the program: SIGPIPE where nobody reads any more,
 * SIGXFSZ where a file may not grow further (RLIMIT_FSIZE), SIGTTOU in the background of a terminal
 * that wants that (stty tostop). CPython ignores the first two only once it has started, and a program
 * may have handlers for them. So all three are blocked in this thread while the line is written. What
 * the write has then left pending is taken away, unless it was pending before; and the thread's mask
 * is put back.
 *
 *     mask: +PIPE +XFSZ +TTOU     write: EPIPE, SIGPIPE pending     sigtimedwait     mask as before
 *
 * Ignoring them instead would go for all threads, and be seen. send() could leave SIGPIPE out, but
 * only on sockets. */
#ifndef PYPERF_LINE_H
#define PYPERF_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* At start: what stderr is. A daemon may close it and open a file of its own under the number 2;
 * from then on nothing is said, because that file is no place for us. Keeps errno. */
void line_remember_stderr(void);

/* Writes the line, with its newline, in one write where the descriptor takes all of it. A full pipe
 * that does not block, and one where a signal of the program ends the waiting, loses it. Keeps errno.
 * No allocation. */
void line_write(int fd, const char *line, size_t length);

/* The same on stderr, if that is still what it was. */
void line_write_stderr(const char *line, size_t length);

#endif
