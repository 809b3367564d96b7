/* support.h - shared by unit tests: a folder of their own, child processes, and the mappings of
 * this process.
 *
 * Check runs each test in a process of its own, so a test need not restore its process; the folder
 * is removed after the suite, also after a crash. */
#ifndef PYPERF_TEST_SUPPORT_H
#define PYPERF_TEST_SUPPORT_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))

/* TEST(name) { ... } is a test, TEST_FOR_EACH one for each index _i below `count`. Tests register
 * themselves; Check's own macros, whose tests must also be listed, are not used. */
#undef START_TEST
#undef END_TEST
#define TEST(name) TEST_FOR_EACH(name, 1)
#define TEST_FOR_EACH(name, count)                                                                 \
    static void name##_test(int _i);                                                               \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        static const TTest test = {#name, name##_test, __FILE__, __LINE__};                        \
        register_test(&test, count);                                                               \
    }                                                                                              \
    static void name##_test(__attribute__((unused)) int _i)
void register_test(const TTest *test, size_t count);

/* A test whose body is run by `runner`, as assert_in_child is one. */
#define TEST_BY(runner, name)                                                                      \
    static void name##_body(void);                                                                 \
    TEST(name)                                                                                     \
    {                                                                                              \
        runner(name##_body);                                                                       \
    }                                                                                              \
    static void name##_body(void)
#define TEST_IN_CHILD(name) TEST_BY(assert_in_child, name)

/* Runs the tests of this program in the order of its file, each between set_up and tear_down, in a
 * folder of their own; returns main's value. A test program without a main of its own gets one that
 * calls this. A test may take a minute: tests also run under valgrind. */
enum { TEST_SECONDS = 60 };
int run_tests(void (*set_up)(void), void (*tear_down)(void), int seconds);

/* The folder, a path in it (valid for the next seven calls), and the number of its entries. */
extern char folder[];
const char *in_folder(const char *format, ...) __attribute__((format(printf, 1, 2)));
int count_entries(void);

/* Empties the folder. */
void clear_folder(void);

/* A whole file, NUL terminated, valid until the next call. */
const char *read_file(const char *path, size_t *length);
void write_file(const char *path, const char *bytes, size_t length);

int count_descriptors(void);

/* The maps of the process that has called open_maps, also when it can no longer open files. The
 * text is valid until the call after the next. */
int open_maps(void);
const char *read_maps(int fd);

/* The line of a text that has `part` in it; NULL: none has. */
const char *whole_line(const char *text, const char *part);

/* Fails when any page of this process is both writable and executable. */
void assert_never_writable_and_executable(void);

/* Limits the size of files, and restores SIGXFSZ's default, which kills. */
void limit_file_size(size_t bytes);

/* Keeps memory that is never freed on purpose reachable for LeakSanitizer. */
extern void *kept[];
void *keep(void *memory);

/* Prints "SKIP test_name: what: reason" on stdout: Check has no skipping. */
void skip(const char *what, const char *reason);
bool under_valgrind(void);
bool under_address_sanitizer(void);
/* Unmaps images, whose mappings reach beyond the end of their files: valgrind looks for lost memory
 * in all mappings, a signal for each word there, minutes for each process. Called when a test ends;
 * a child that exits by itself calls it before. Does nothing without valgrind. */
void unmap_images(void);
bool skip_under_valgrind(void); /* true: the test, which takes minutes there, is skipped */

/* Runs body in a child process that ends without atexit handlers: for what cannot be undone
 * (seccomp, prctl, limits) or may kill. The test fails unless body returns and no child_check in it
 * failed. A child that says child_skip is skipped by name. */
void assert_in_child(void (*body)(void));
void child_failed(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void child_skip(const char *what, int error) __attribute__((noreturn));
void child_skip_under_valgrind(void); /* call it before something that breaks valgrind itself */
void child_skip_without_limit(void);  /* call it when the address space has just been limited */
void child_skip_with_threads(void);   /* call it in a child that has made no thread */

#define child_check(condition, format, ...)                                                        \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : child_failed("%s:%d: %s: " format, __FILE__, __LINE__, #condition, __VA_ARGS__))

/* In a child: mounts a disk of `bytes` at the folder, in a mount namespace of the child's own.
 * Skips if that is not permitted. */
void child_mount_small_disk(size_t bytes, unsigned long flags);

/* In a child: mounts an overlay of the folder at the folder, which has a disk of its own. */
void child_mount_overlay(void);

/* In a child: open() and openat() fail with EPERM from now on. */
void child_forbid_open(void);

/* In a child: process_vm_readv and process_vm_writev fail with EPERM from now on. */
void child_forbid_transfers(void);

/* In a child: no memory becomes executable from now on. */
void child_deny_write_execute(void);

/* In a child: no page of this program's file becomes executable from now on, as where SELinux
 * denies execmod; other memory still does. */
void child_deny_execmod(void);

#endif
