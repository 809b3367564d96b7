#include "tests/unit/profile/files.h"

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jitdump/jitdump.h"
#include "jitdump/perf_map.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/names.h"

int __real_perf_map_open(struct perf_map *map, const char *directory, pid_t pid);
int __wrap_perf_map_open(struct perf_map *map, const char *directory, pid_t pid);
int __real_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine);
int __wrap_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine);
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int maps_opened, dumps_opened;
void (*when_map_opens)(void);
struct failure why_not;
static time_t passed;

int __wrap_perf_map_open(struct perf_map *map, const char *directory, pid_t pid)
{
    maps_opened++;
    if (when_map_opens != NULL)
        when_map_opens();
    return strcmp(directory, "/tmp") == 0 ? __real_perf_map_open(map, folder, pid) : ENOTDIR;
}

int __wrap_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine)
{
    dumps_opened++;
    return strcmp(directory, "/tmp") == 0 ? __real_jitdump_open(dump, folder, pid, machine)
                                          : ENOTDIR;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = __real_clock_gettime(clock, time);
    if (clock == CLOCK_MONOTONIC_COARSE)
        time->tv_sec += passed;
    return result;
}

#ifdef __SANITIZE_THREAD__
/* A child does not have its parent's other threads. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}

/* gcc 12's ThreadSanitizer does not know this lock and would report what it guards. */
int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *end)
{
    struct timespec now;
    while (pthread_mutex_trylock(mutex) != 0) {
        __real_clock_gettime(clock, &now);
        if (now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec))
            return ETIMEDOUT;
        usleep(100);
    }
    return 0;
}
#endif

void let_seconds_pass(time_t seconds)
{
    passed += seconds;
}

long sum(long a, long b, long c)
{
    return a + b + c;
}

void start_registry(void)
{
    registry_start(folder, plan_to(sum));
}

void catch_reports(void)
{
    int fd = open(in_folder("reports"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

const char *reports(void)
{
    return read_file(in_folder("reports"), NULL);
}

int count_reports(void)
{
    int lines = 0;
    for (const char *text = reports(); *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static int for_files(const char *pattern, bool remove)
{
    glob_t found;
    if (glob(in_folder("%s", pattern), 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc && remove; i++)
        unlink(found.gl_pathv[i]);
    int count = (int)found.gl_pathc;
    globfree(&found);
    return count;
}

int count_files(const char *pattern)
{
    return for_files(pattern, false);
}

int remove_files(const char *pattern)
{
    return for_files(pattern, true);
}

int count_images(pid_t pid)
{
    char pattern[40];
    snprintf(pattern, sizeof pattern, "pyperf-%d-*.so", (int)pid);
    return count_files(pattern);
}

const char *first_file(const char *pattern)
{
    static char path[256];
    glob_t found;
    ck_assert_int_eq(glob(in_folder("%s", pattern), 0, NULL, &found), 0);
    snprintf(path, sizeof path, "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

uint32_t add_named(enum profile_mode mode, const char *qualname, const char *file, uint32_t line)
{
    struct registry_function function = {.qualname = intern(qualname, strlen(qualname)),
                                         .file = intern(file, strlen(file)),
                                         .line = line};
    why_not = (struct failure){.code = FAILURE_NONE};
    return registry_add(mode, &function, &why_not);
}

uint32_t add_function(enum profile_mode mode, uint32_t n)
{
    return add_named(mode, name_of(n), "/srv/app.py", n);
}

const char *shown_name(uint32_t id)
{
    static char text[NAME_LIMIT + 1];
    const struct name *name = registry_name(id);
    memcpy(text, name->text, name->length);
    text[name->length] = '\0';
    return text;
}

void check_map(pid_t pid, const char *first, const uint32_t *ids, size_t count)
{
    static char wanted[NAME_LIMIT + 64];
    size_t size;
    const char *line = read_file(in_folder("perf-%d.map", (int)pid), &size), *end = line + size;
    if (strncmp(line, first, strlen(first)) != 0)
        ck_abort_msg("the map begins with %.200s, expected %s", line, first);
    line += strlen(first);
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(wanted, sizeof wanted, "%" PRIxPTR " %x %s\n",
                              registry_address(ids[i]), ARCH_TRAMPOLINE_SIZE, shown_name(ids[i]));
        if (strncmp(line, wanted, (size_t)length) != 0)
            ck_abort_msg("line %zu: %.*s, expected %s", i, (int)strcspn(line, "\n"), line, wanted);
        line += length;
    }
    size_t rest = strspn(line, "\n");
    if (line + rest != end)
        ck_abort_msg("behind the last line: %.200s", line + rest);
}

/* Words of the records: jitdump-specification.txt, version 1. */
static uint32_t word_at(const char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

void check_dump(pid_t pid, const uint32_t *ids, size_t count)
{
    enum {
        HEADER = 40,
        LOAD = 0,
        DEBUG_INFO = 2,
        UNWINDING = 4,
        ADDRESS = 32,
        INDEX = 48,
        NAME = 56
    };
    size_t size, found = 0;
    const char *bytes = read_file(in_folder("jit-%d.dump", (int)pid), &size);
    uint32_t before = DEBUG_INFO;
    ck_assert_uint_ge(size, HEADER);
    ck_assert_uint_eq(word_at(bytes), 0x4A695444);
    ck_assert_uint_eq(word_at(bytes + 20), (uint32_t)pid);
    for (size_t at = HEADER; at < size; at += word_at(bytes + at + 4)) {
        uint32_t kind = word_at(bytes + at);
        uint64_t address, index;
        ck_assert(kind == LOAD || kind == UNWINDING || kind == DEBUG_INFO);
        ck_assert_uint_le(at + word_at(bytes + at + 4), size);
        if (kind == LOAD) {
            memcpy(&address, bytes + at + ADDRESS, sizeof address);
            memcpy(&index, bytes + at + INDEX, sizeof index);
            ck_assert_msg(found < count, "more than %zu functions: %s", count, bytes + at + NAME);
            ck_assert_str_eq(bytes + at + NAME, shown_name(ids[found]));
            ck_assert_uint_eq(address, registry_address(ids[found]));
            ck_assert_uint_eq(index, found);
            ck_assert_uint_eq(before, UNWINDING);
            found++;
        }
        before = kind;
    }
    ck_assert_uint_eq(found, count);
}

static struct rlimit descriptors;

void use_up_descriptors(void)
{
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    const struct rlimit none = {0, descriptors.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
}

void give_descriptors_back(void)
{
    if (setrlimit(RLIMIT_NOFILE, &descriptors) != 0)
        abort();
}

void limit_address_space(size_t more)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    child_check(fscanf(file, "%zu", &pages) == 1, "%d", errno);
    fclose(file);
    struct rlimit limit = {more == 0 ? RLIM_INFINITY : pages * 4096 + more, RLIM_INFINITY};
    child_check(setrlimit(RLIMIT_AS, &limit) == 0, "%d", errno);
    if (more != 0)
        child_skip_without_limit();
}

void assert_in_raw_child(void (*body)(void))
{
    int status;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* not the libc's fork */
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body();
        unmap_images();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "the child ended with status %#x", status);
}
