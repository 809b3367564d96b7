/* proc_file.h - files of /proc/PROCESS, by system calls alone: for signal handlers, and for the
 * watcher. */
#ifndef PYPERF_PROC_FILE_H
#define PYPERF_PROC_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Puts a number in decimal, without a zero byte. Returns where it ends: 10 characters at most. */
char *put_decimal(char *out, uint32_t number);

/* "/proc/PROCESS" and a name, which begins with a slash. Returns where it ends. */
enum { PROC_PATH = 64 };
char *proc_path(char path[PROC_PATH], uint32_t process, const char *name);

/* Reads the beginning of a file: size - 1 bytes at most, and a zero byte behind them. Returns how
 * many, or -1 with errno. */
long proc_read(const char *path, char *text, size_t size);

#endif
