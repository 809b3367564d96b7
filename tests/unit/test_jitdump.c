/* test_jitdump.c - the dump, read back by the specification; and other files, which must not
 * change. */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jitdump/jitdump.h"
#include "support/support.h"

enum { PID = 4711, LOAD = 0, DEBUG = 2, UNWINDING = 4, PAGE = 4096 };

static struct jitdump dump;
static const uint8_t code[16] = "0123456789abcde";
static const uint8_t unwind[37] = "unwind";

/* The n-th function of a test. */
static struct jitdump_function function(unsigned n)
{
    static char name[64];
    struct jitdump_function made = {
        .address = 0x7f0000000000u + n * 256,
        .code = code,
        .code_size = sizeof code,
        .name = name,
        .unwind = unwind,
        .unwind_size = sizeof unwind,
        .unwind_header_size = 20,
    };
    made.name_length = (size_t)snprintf(name, sizeof name, "py::function_%u:/srv/app.py", n);
    return made;
}

static void open_dump(void)
{
    int descriptors = count_descriptors();
    errno = EXFULL;
    ck_assert_int_eq(jitdump_open(&dump, folder, PID, EM_X86_64), 0);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

static void append(unsigned n)
{
    struct jitdump_function next = function(n);
    int descriptors = count_descriptors();
    errno = EXFULL;
    ck_assert_int_eq(jitdump_append(&dump, &next), 0);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

static uint64_t field(const char *at, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

/* Skips a filler at the end of a page. */
static const char *skip_filler(const char *text, const char *at)
{
    if (field(at, 4) != DEBUG)
        return at;
    size_t size = field(at + 4, 4);
    ck_assert_uint_eq(field(at + 24, 8), 0);
    ck_assert_uint_eq((size_t)(at + size - text) % PAGE, 0);
    return at + size;
}

/* Checks the two records of the n-th function and returns the next one. */
static const char *check_records(const char *at, unsigned n, uint64_t *time)
{
    struct jitdump_function expected = function(n);
    size_t size = field(at + 4, 4);
    ck_assert_uint_eq(field(at, 4), UNWINDING);
    ck_assert_uint_eq(size, 40 + 40); /* 37 bytes of data, to a multiple of 8 */
    ck_assert_uint_ge(field(at + 8, 8), *time);
    *time = field(at + 8, 8);
    ck_assert_uint_eq(field(at + 16, 8), sizeof unwind);
    ck_assert_uint_eq(field(at + 24, 8), 20);
    ck_assert_uint_eq(field(at + 32, 8), 48);
    ck_assert_mem_eq(at + 40, unwind, sizeof unwind);
    at += size;

    size = field(at + 4, 4);
    ck_assert_uint_eq(field(at, 4), LOAD);
    ck_assert_uint_eq(size, 56 + expected.name_length + 1 + sizeof code + JITDUMP_SALT_SIZE);
    ck_assert_uint_ge(field(at + 8, 8), *time);
    ck_assert_uint_eq(field(at + 16, 4), PID);
    ck_assert_uint_eq(field(at + 20, 4), (uint64_t)getpid());
    ck_assert_uint_eq(field(at + 24, 8), expected.address);
    ck_assert_uint_eq(field(at + 32, 8), expected.address);
    ck_assert_uint_eq(field(at + 40, 8), sizeof code + JITDUMP_SALT_SIZE);
    ck_assert_uint_eq(field(at + 48, 8), n);
    ck_assert_str_eq(at + 56, expected.name);
    ck_assert_mem_eq(at + 56 + expected.name_length + 1, code, sizeof code);
    return at + size;
}

static void check_file(unsigned functions)
{
    size_t size;
    uint64_t time = 0;
    const char *text = read_file(dump.path, &size), *at = text + 40;
    ck_assert_uint_ge(size, 40);
    ck_assert_uint_eq(field(text, 4), 0x4A695444);
    ck_assert_uint_eq(field(text + 4, 4), 1);
    ck_assert_uint_eq(field(text + 8, 4), 40);
    ck_assert_uint_eq(field(text + 12, 4), EM_X86_64);
    ck_assert_uint_eq(field(text + 20, 4), PID);
    ck_assert_uint_eq(field(text + 32, 8), 0);
    for (unsigned n = 0; n < functions; n++) {
        const char *start = skip_filler(text, at);
        at = check_records(start, n, &time);
        ck_assert_uint_eq((size_t)(start - text) / PAGE, (size_t)(at - 1 - text) / PAGE);
    }
    ck_assert_uint_eq((size_t)(at - text), size);
}

TEST(records)
{
    struct stat status;
    open_dump();
    ck_assert_str_eq(dump.path, in_folder("jit-%d.dump", PID));
    ck_assert_int_eq(stat(dump.path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
    check_file(0);
    for (unsigned n = 0; n < 100; n++) {
        append(n);
        check_file(n + 1);
    }
}

TEST(no_two_copies_of_the_code_are_alike)
{
    open_dump();
    append(0);
    append(1);
    size_t size;
    const char *text = read_file(dump.path, &size);
    const char *second = text + 40; /* after the first function's two records */
    second += field(second + 4, 4);
    second += field(second + 4, 4);
    size_t last = size - JITDUMP_SALT_SIZE, one = size - (size_t)(second - text);
    ck_assert_mem_ne(text + last, text + last - one, JITDUMP_SALT_SIZE);
}

TEST(marker_is_mapped_executable_and_not_writable)
{
    open_dump();
    const char *line = whole_line(read_maps(open_maps()), dump.path);
    ck_assert_ptr_nonnull(line);
    ck_assert_msg(strstr(line, " r-xp 00000000 ") != NULL, "%.80s", line);
}

TEST(file_of_an_earlier_process_is_emptied)
{
    open_dump();
    append(7);
    append(8);
    jitdump_abandon(&dump);
    open_dump();
    append(0);
    check_file(1);
}

static void check_refused(int expected)
{
    errno = EXFULL;
    int error = jitdump_open(&dump, folder, PID, EM_X86_64);
    ck_assert_msg(error == expected, "%s, expected %s", strerror(error), strerror(expected));
    ck_assert_int_eq(errno, EXFULL);
    struct jitdump_function dropped = function(0);
    ck_assert_int_eq(jitdump_append(&dump, &dropped), 0);
}

TEST(links_are_not_followed)
{
    write_file(in_folder("target"), "precious", 8);
    ck_assert_int_eq(symlink("target", in_folder("jit-%d.dump", PID)), 0);
    check_refused(ELOOP);
    ck_assert_int_eq(unlink(in_folder("jit-%d.dump", PID)), 0);
    ck_assert_int_eq(link(in_folder("target"), in_folder("jit-%d.dump", PID)), 0);
    check_refused(EPERM);
    ck_assert_str_eq(read_file(in_folder("target"), NULL), "precious");
}

TEST(file_that_is_no_dump_is_left_alone)
{
    write_file(in_folder("jit-%d.dump", PID), "precious", 8);
    check_refused(EPERM);
    ck_assert_str_eq(read_file(in_folder("jit-%d.dump", PID), NULL), "precious");
}

TEST(neither_pipe_nor_folder)
{
    ck_assert_int_eq(mkfifo(in_folder("jit-%d.dump", PID), 0600), 0);
    check_refused(EPERM);
    ck_assert_int_eq(unlink(in_folder("jit-%d.dump", PID)), 0);
    ck_assert_int_eq(mkdir(in_folder("jit-%d.dump", PID), 0700), 0);
    check_refused(EISDIR);
}

TEST(file_that_was_exchanged_is_left_alone)
{
    open_dump();
    append(0);
    ck_assert_int_eq(unlink(dump.path), 0);
    write_file(dump.path, "precious", 8);
    struct jitdump_function next = function(1);
    ck_assert_int_eq(jitdump_append(&dump, &next), ESTALE);
    ck_assert(!dump.open);
    ck_assert_str_eq(read_file(dump.path, NULL), "precious");
}

TEST(file_that_was_truncated)
{
    open_dump();
    append(0);
    ck_assert_int_eq(truncate(dump.path, 40), 0);
    struct jitdump_function next = function(1);
    ck_assert_int_eq(jitdump_append(&dump, &next), ESTALE);
    ck_assert(!dump.open);
    open_dump();
    append(0);
    check_file(1);
}

TEST(file_that_was_removed)
{
    open_dump();
    append(0);
    ck_assert_int_eq(unlink(dump.path), 0);
    struct jitdump_function next = function(1);
    ck_assert_int_eq(jitdump_append(&dump, &next), ESTALE);
    ck_assert_int_eq(count_entries(), 0);
    open_dump();
    append(0);
    check_file(1);
}

/* Appends until there is an error, checks that it repeats, and returns the number of functions. */
static unsigned child_append_until(int expected)
{
    unsigned n = 0;
    for (int failures = 0; failures < 4;) {
        struct jitdump_function next = function(n);
        errno = EXFULL;
        int error = jitdump_append(&dump, &next);
        child_check(error == expected || (error == 0 && failures == 0), "%s", strerror(error));
        child_check(errno == EXFULL, "%s", strerror(errno));
        child_check(dump.open && n < 10000, "%u", n);
        failures += error != 0;
        n += error == 0;
    }
    return n;
}

/* Complete records so far, and after them those appended when there is room again. */
static void child_check_whole(unsigned functions)
{
    struct stat status;
    child_check(stat(dump.path, &status) == 0 && status.st_size == dump.size, "%d bytes, %d good",
                (int)status.st_size, (int)dump.size);
    child_check(dump.functions == functions, "%d", (int)dump.functions);
}

static void child_go_on(unsigned from)
{
    for (unsigned n = from; n < from + 100; n++) {
        struct jitdump_function next = function(n);
        int error = jitdump_append(&dump, &next);
        child_check(error == 0, "%u: %s", n, strerror(error));
    }
    /* Records by the specification, from the first to the last. */
    FILE *file = fopen(dump.path, "re");
    uint32_t head[2], loads = 0;
    long at = 40;
    for (; fseek(file, at, SEEK_SET) == 0 && fread(head, sizeof head, 1, file) == 1;
         at += head[1]) {
        child_check(head[0] <= UNWINDING && head[1] >= 16, "record %u at %ld", head[0], at);
        loads += head[0] == LOAD;
    }
    child_check(at == (long)dump.size && loads == from + 100, "%u records", loads);
    fclose(file);
}

TEST_IN_CHILD(limit_of_size)
{
    struct rlimit all;
    child_check(jitdump_open(&dump, folder, PID, EM_X86_64) == 0, "%s", dump.path);
    getrlimit(RLIMIT_FSIZE, &all);
    limit_file_size(10000);
    unsigned n = child_append_until(EFBIG);
    child_check_whole(n);
    all.rlim_cur = all.rlim_max;
    setrlimit(RLIMIT_FSIZE, &all);
    child_go_on(n);
}

TEST_IN_CHILD(small_disk)
{
    child_mount_small_disk(3 * PAGE, 0);
    child_check(jitdump_open(&dump, folder, PID, EM_X86_64) == 0, "%s", dump.path);
    unsigned n = child_append_until(ENOSPC);
    child_check_whole(n);
    child_check(mount("none", folder, "tmpfs", MS_REMOUNT, "size=1M") == 0, "%s", strerror(errno));
    child_go_on(n);
}

/* A name of several pages: the first pages of its record are written, and then truncated. */
TEST_IN_CHILD(small_disk_and_long_record)
{
    static char name[16000];
    memset(name, 'n', sizeof name);
    child_mount_small_disk(3 * PAGE, 0);
    child_check(jitdump_open(&dump, folder, PID, EM_X86_64) == 0, "%s", dump.path);
    struct jitdump_function next = function(0);
    child_check(jitdump_append(&dump, &next) == 0, "%s", dump.path);
    next.name = name;
    next.name_length = sizeof name;
    for (int i = 0; i < 3; i++) {
        int error = jitdump_append(&dump, &next);
        child_check(error == ENOSPC, "%s", strerror(error));
        child_check_whole(1);
    }
    child_check(mount("none", folder, "tmpfs", MS_REMOUNT, "size=1M") == 0, "%s", strerror(errno));
    child_go_on(1);
}

TEST_IN_CHILD(no_descriptors)
{
    struct rlimit all, none;
    child_skip_under_valgrind();
    child_check(jitdump_open(&dump, folder, PID, EM_X86_64) == 0, "%s", dump.path);
    getrlimit(RLIMIT_NOFILE, &all);
    none = (struct rlimit){0, all.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    child_append_until(EMFILE);
    setrlimit(RLIMIT_NOFILE, &all);
    child_go_on(0);
}

TEST(child_forgets_the_dump)
{
    open_dump();
    append(0);
    pid_t child = fork();
    if (child == 0) {
        jitdump_abandon(&dump);
        struct jitdump_function dropped = function(1);
        _exit(jitdump_append(&dump, &dropped));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    check_file(1);
    append(1);
    check_file(2);
}
