/* files.h - shared by the tests of preload/profile. They are linked so that map and jitdump are
 * made in the test's folder, and not in /tmp (units.mk). */
#ifndef PYPERF_TEST_FILES_H
#define PYPERF_TEST_FILES_H

#include <time.h>

#include "preload/profile/registry.h"
#include "tests/unit/support/plan.h"

/* How often each was opened, and a function to call when a map is opened. */
extern int maps_opened, dumps_opened;
extern void (*when_map_opens)(void);

/* Advances the clock that the registry uses to delay a new attempt. */
void let_seconds_pass(time_t seconds);

/* Starts the registry: images are made in the folder; their trampolines call a function that
 * returns the sum of three numbers. */
void start_registry(void);
long sum(long a, long b, long c);

/* From here on reports go to a file, which `reports` reads. */
void catch_reports(void);
const char *reports(void);
int count_reports(void);

/* Counts or removes files of the folder. */
int count_files(const char *pattern);
int remove_files(const char *pattern);
int count_images(pid_t pid);
const char *first_file(const char *pattern); /* its path */

/* Adds the function with the name name_of(n) in line n of one file; or one by all its fields. */
uint32_t add_function(enum profile_mode mode, uint32_t n);
uint32_t add_named(enum profile_mode mode, const char *qualname, const char *file, uint32_t line);
extern struct failure why_not; /* add_... returned REGISTRY_NONE */

/* The function's name in perf: py::<qualified name>:<file>. Valid until the next call. */
const char *shown_name(uint32_t id);

/* Checks that a process's map holds the text `first`, the lines of these functions in this order,
 * and nothing but newlines behind them. */
void check_map(pid_t pid, const char *first, const uint32_t *ids, size_t count);

/* Checks that a process's jitdump holds one header and the records of these functions in this
 * order. */
void check_dump(pid_t pid, const uint32_t *ids, size_t count);

/* Makes open fail with EMFILE, or work again. */
void use_up_descriptors(void);
void give_descriptors_back(void);

/* In a child: limits address space to so many more bytes; 0: no limit. */
void limit_address_space(size_t more);

/* Forks by the system call alone, without handlers of pthread_atfork, as clone(2) and _Fork(3)
 * do. */
void assert_in_raw_child(void (*body)(void));

#endif
