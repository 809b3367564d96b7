/* files.h - what tests of preload/profile share. They are linked so that map and jitdump, which perf
 * looks for in /tmp, are made in the test's folder (units.mk). */
#ifndef PYPERF_TEST_FILES_H
#define PYPERF_TEST_FILES_H

#include <time.h>

#include "preload/profile/registry.h"
#include "tests/unit/support/plan.h"

/* How often each was opened, and what is to happen when a map is. */
extern int maps_opened, dumps_opened;
extern void (*when_map_opens)(void);

/* The clock by which the registry waits before it tries something again goes on by so much. */
void let_seconds_pass(time_t seconds);

/* Images are made in the folder, for trampolines that lead to a function of three numbers, which
 * returns their sum. */
void start_registry(void);
long sum(long a, long b, long c);

/* From here on what is reported is in a file, and `reports` reads it. */
void catch_reports(void);
const char *reports(void);
int count_reports(void);

/* Files of the folder, which are removed or not. */
int count_files(const char *pattern);
int remove_files(const char *pattern);
int count_images(pid_t pid);
const char *first_file(const char *pattern); /* its path */

/* Adds the function that name_of(n) calls so, in line n, of one file; or one by all it has. */
uint32_t add_function(enum profile_mode mode, uint32_t n);
uint32_t add_named(enum profile_mode mode, const char *qualname, const char *file, uint32_t line);
extern struct failure why_not; /* add_... returned REGISTRY_NONE */

/* As perf is to show the function: py::<qualified name>:<file>. Valid until the next call. */
const char *shown_name(uint32_t id);

/* The map of a process holds the lines of these functions in this order and nothing else, but
 * newlines behind them and what `first` says before them. */
void check_map(pid_t pid, const char *first, const uint32_t *ids, size_t count);

/* The jitdump of a process: one header, and the records of these functions in this order. */
void check_dump(pid_t pid, const uint32_t *ids, size_t count);

/* No file can be opened any more, or it can again. */
void use_up_descriptors(void);
void give_descriptors_back(void);

/* In a child: so many more bytes of addresses may be used; 0: any. */
void limit_address_space(size_t more);

/* A child of the system call alone, that no handler of pthread_atfork is told of: as of clone(2) and
 * _Fork(3). */
void assert_in_raw_child(void (*body)(void));

#endif
