/* rights.h - what a process may do: its user, capabilities, seccomp filters, root and namespaces.
 *
 * The watcher has what the program had when it was started. A program that gives something up must
 * not leave a process behind that still has it, in memory that both can write to. */
#ifndef PYPERF_RIGHTS_H
#define PYPERF_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

struct rights {
    char text[4096]; /* too much for the stack of a signal handler */
};

/* By /proc/PROCESS; nothing stands for what cannot be read. By system calls alone. */
void rights_read(uint32_t process, struct rights *rights);

bool rights_are_same(const struct rights *one, const struct rights *other);

#endif
