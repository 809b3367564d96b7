/* test_registry.c - the functions of a process: who is the same as whom, in which image, and whose
 * files these are after a fork. Linked so that the map and the dump go to the test's folder. */
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch.h"
#include "jitdump/jitdump.h"
#include "jitdump/perf_map.h"
#include "preload/profile/registry.h"
#include "support/plan.h"

int __real_perf_map_open(struct perf_map *map, const char *directory, pid_t pid);
int __wrap_perf_map_open(struct perf_map *map, const char *directory, pid_t pid);
int __real_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine);
int __wrap_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine);

static int maps_opened, dumps_opened;

/* perf looks in /tmp; tests leave nothing there. */
int __wrap_perf_map_open(struct perf_map *map, const char *directory, pid_t pid)
{
    maps_opened++;
    return strcmp(directory, "/tmp") == 0 ? __real_perf_map_open(map, folder, pid) : ENOENT;
}

int __wrap_jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine)
{
    dumps_opened++;
    return strcmp(directory, "/tmp") == 0 ? __real_jitdump_open(dump, folder, pid, machine)
                                          : ENOENT;
}

static long evaluate(long a, long b, long c)
{
    return a + b + c;
}

/* From here on what is reported is in the file "reports". */
static void catch_reports(void)
{
    int fd = open(in_folder("reports"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

static const char *reports(void)
{
    return read_file(in_folder("reports"), NULL);
}

static void use(enum registry_writer writer)
{
    struct failure why = {.what = ""};
    ck_assert_msg(registry_use(writer, plan_to(evaluate), folder, &why), "%s: %s",
                  failure_message(why.code), why.what);
}

static uint32_t add_line(const char *name, uint32_t line)
{
    return registry_add(name, strlen(name), line);
}

static int count_files(const char *pattern, bool remove)
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

START_TEST(same_function_same_id)
{
    use(REGISTRY_MAP);
    uint32_t id = add_line("py::f:f.py", 7);
    ck_assert_uint_ne(id, REGISTRY_NONE);
    ck_assert_uint_eq(add_line("py::f:f.py", 7), id);
    ck_assert_uint_eq(registry_add("py::f:f.py and more", 10, 7), id);

    const uint32_t others[] = {
        id,
        add_line("py::f:f.py", 8),
        add_line("py::f:f.py", 0),
        add_line("py::f:f.pyc", 7),
        add_line("py::f:f.p", 7),
        add_line("py::g:f.py", 7),
        add_line("", 7),
        registry_add("", 0, 8),
    };
    for (size_t i = 0; i < LENGTH_OF(others); i++) {
        ck_assert_uint_ne(others[i], REGISTRY_NONE);
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(others[i], others[j]);
            ck_assert_uint_ne(registry_address(others[i]), registry_address(others[j]));
        }
    }
    ck_assert_uint_eq(add_line("py::f:f.py", 7), id);
    ck_assert_str_eq(registry_name(id), "py::f:f.py");
    ck_assert_str_eq(registry_name(others[4]), "py::f:f.p");
    ck_assert_str_eq(registry_name(others[6]), "");
}
END_TEST

START_TEST(found_by_address)
{
    use(REGISTRY_MAP);
    uint32_t first = add_line("py::f:f.py", 1), second = add_line("py::g:f.py", 2);
    ck_assert_uint_eq(registry_at(registry_address(first)), first);
    ck_assert_uint_eq(registry_at(registry_address(second)), second);
    ck_assert_uint_eq(registry_at(registry_address(second) + 13), second);
    ck_assert_uint_eq(registry_at(registry_address(second) + ARCH_TRAMPOLINE_SIZE), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(registry_address(first) - 1), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at((uintptr_t)evaluate), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(0), REGISTRY_NONE);
    evaluator *trampoline;
    uintptr_t address = registry_address(second);
    memcpy(&trampoline, &address, sizeof trampoline);
    ck_assert_int_eq(trampoline(1, 2, 3), 6);
}
END_TEST

/* The map's lines, in the order of registration. */
static void check_map(pid_t pid, const uint32_t *ids, uint32_t count)
{
    char wanted[256];
    const char *line = read_file(in_folder("perf-%d.map", (int)pid), NULL);
    for (uint32_t i = 0; i < count; i++) {
        int length = snprintf(wanted, sizeof wanted, "%" PRIxPTR " 10 %s\n",
                              registry_address(ids[i]), name_of(i));
        if (strncmp(line, wanted, (size_t)length) != 0)
            ck_abort_msg("line %u: %.*s, expected %s", i, (int)strcspn(line, "\n"), line, wanted);
        line += length;
    }
    ck_assert_uint_eq(strlen(line), strspn(line, "\n"));
}

enum { MANY = 100000 };
static uint32_t many[MANY];

START_TEST(more_than_an_image_holds)
{
    if (skip_under_valgrind())
        return;
    use(REGISTRY_MAP);
    int descriptors = count_descriptors();
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = add_line(name_of(i), i / 3);
        if (many[i] == REGISTRY_NONE)
            ck_abort_msg("no id for function %u", i);
    }
    ck_assert_int_eq(count_descriptors(), descriptors);
    for (uint32_t i = 0; i < MANY; i++) {
        const char *name = name_of(i);
        if (add_line(name, i / 3) != many[i] || registry_at(registry_address(many[i])) != many[i] ||
            strcmp(registry_name(many[i]), name) != 0)
            ck_abort_msg("function %u is id %u, by address %u, named %s", i, add_line(name, i / 3),
                         registry_at(registry_address(many[i])), registry_name(many[i]));
    }
    ck_assert_int_eq(count_files("pyperf-*.so", false), 2);
    check_map(getpid(), many, MANY);
    registry_finish();
    check_map(getpid(), many, MANY);
    const char *text = read_file(in_folder("perf-%d.map", (int)getpid()), NULL);
    ck_assert_ptr_null(strstr(text, "\n\n"));
    ck_assert_int_eq(maps_opened, 1);
}
END_TEST

/* So many that they meet each other in the table: the same name on many lines, and names that are
 * the beginnings of ones that were there before. */
enum { LINES = 30000, LENGTHS = 3000 };

static uint32_t add_alike(uint32_t i)
{
    static char name[LENGTHS + 1];
    memset(name, 'n', LENGTHS);
    return i < LINES ? add_line("py::<lambda>:f.py", i)
                     : registry_add(name, LINES + LENGTHS - i, 0);
}

START_TEST(alike_but_not_the_same)
{
    if (skip_under_valgrind())
        return;
    use(REGISTRY_MAP);
    for (uint32_t i = 0; i < LINES + LENGTHS; i++)
        many[i] = add_alike(i);
    for (uint32_t i = 0; i < LINES + LENGTHS; i++) {
        size_t length = i < LINES ? strlen("py::<lambda>:f.py") : LINES + LENGTHS - i;
        if (many[i] != many[0] + i || add_alike(i) != many[i] ||
            strlen(registry_name(many[i])) != length)
            ck_abort_msg("function %u is id %u and then %u, named %s", i, many[i], add_alike(i),
                         registry_name(many[i]));
    }
}
END_TEST

START_TEST(each_writer_has_its_own_slots)
{
    use(REGISTRY_MAP);
    uint32_t in_map = add_line("py::f:f.py", 7);
    use(REGISTRY_JITDUMP);
    uint32_t in_dump = add_line("py::f:f.py", 7), next = add_line("py::g:f.py", 7);
    ck_assert_uint_ne(in_map, in_dump);
    ck_assert_uint_eq(registry_address(next) - registry_address(in_dump), 256);
    ck_assert_uint_eq(registry_at(registry_address(in_map)), in_map);
    ck_assert_uint_eq(registry_at(registry_address(in_dump)), in_dump);
    ck_assert_uint_eq(add_line("py::f:f.py", 7), in_dump);
    use(REGISTRY_MAP);
    ck_assert_uint_eq(add_line("py::f:f.py", 7), in_map);
    use(REGISTRY_JITDUMP);
    ck_assert_uint_eq(add_line("py::f:f.py", 7), in_dump);
    ck_assert_int_eq(maps_opened, 1);
    ck_assert_int_eq(dumps_opened, 1);
    ck_assert_int_eq(count_files("pyperf-*.so", false), 2);
    ck_assert_ptr_null(strstr(read_file(in_folder("perf-%d.map", (int)getpid()), NULL), "py::g"));
}
END_TEST

static uint32_t parents[2];

/* In a child: ids and addresses of the parent still have their names, and all else is its own. */
static void live_as_child(void)
{
    uintptr_t address = registry_address(parents[0]);
    registry_forked();
    child_check(strcmp(registry_name(parents[0]), name_of(0)) == 0, "%s",
                registry_name(parents[0]));
    child_check(registry_at(address) == parents[0], "%u", registry_at(address));
    child_check(registry_at(registry_address(parents[1])) == parents[1], "%u",
                registry_at(registry_address(parents[1])));
    child_check(maps_opened == 1, "%s", "a file before the first function");

    uint32_t ids[3];
    for (uint32_t i = 0; i < LENGTH_OF(ids); i++) {
        ids[i] = add_line(name_of(i), i);
        child_check(ids[i] != parents[0] && ids[i] != parents[1], "%u is the parent's", ids[i]);
        child_check(add_line(name_of(i), i) == ids[i], "%s is not the same", name_of(i));
        child_check(registry_at(registry_address(ids[i])) == ids[i], "%u", ids[i]);
    }
    check_map(getpid(), ids, LENGTH_OF(ids));
    child_check(strcmp(registry_name(parents[1]), name_of(1)) == 0, "%s",
                registry_name(parents[1]));
    registry_finish();
    child_check(maps_opened == 2, "%d maps opened", maps_opened);
}

START_TEST(forked_child_starts_anew)
{
    use(REGISTRY_MAP);
    for (uint32_t i = 0; i < LENGTH_OF(parents); i++)
        parents[i] = add_line(name_of(i), i);
    for (int child = 0; child < 3; child++)
        assert_in_child(live_as_child);
    check_map(getpid(), parents, LENGTH_OF(parents));
    ck_assert_int_eq(count_files("pyperf-*.so", false), 4);
    ck_assert_int_eq(count_files("perf-*.map", false), 4);
    ck_assert_uint_eq(add_line(name_of(0), 0), parents[0]);
    ck_assert_uint_ne(add_line(name_of(2), 2), REGISTRY_NONE);
}
END_TEST

/* The parent goes on while there is a child that ends without having run a function. */
START_TEST(idle_child_leaves_the_map_alone)
{
    int ends[2], status;
    char byte;
    use(REGISTRY_MAP);
    for (uint32_t i = 0; i < 10; i++)
        many[i] = add_line(name_of(i), 1);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        registry_forked();
        if (read(ends[0], &byte, 1) == 1)
            registry_finish();
        _exit(0);
    }
    for (uint32_t i = 10; i < 1000; i++)
        many[i] = add_line(name_of(i), 1);
    ck_assert_int_eq(write(ends[1], "", 1), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    check_map(getpid(), many, 1000);
    ck_assert_int_eq(count_files("perf-*.map", false), 1);
    ck_assert_int_eq(count_files("pyperf-*.so", false), 1);
}
END_TEST

static void fork_again(void)
{
    uint32_t before = add_line("py::generation:f.py", 0);
    registry_forked();
    uint32_t id = add_line("py::generation:f.py", 0);
    child_check(id != before && id != REGISTRY_NONE, "%u after %u", id, before);
    child_check(strcmp(registry_name(before), "py::generation:f.py") == 0, "%u", before);
}

static void fork_ten_times(void)
{
    for (int generation = 0; generation < 10; generation++) {
        pid_t pid = fork();
        if (pid != 0) {
            int status;
            child_check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
            return;
        }
        fork_again();
    }
    child_check(count_files("pyperf-*.so", false) == 11, "%d", count_files("pyperf-*.so", false));
}

START_TEST(generations)
{
    use(REGISTRY_MAP);
    ck_assert_uint_ne(add_line("py::generation:f.py", 0), REGISTRY_NONE);
    assert_in_child(fork_ten_times);
    ck_assert_int_eq(count_files("pyperf-*.so", false), 11);
}
END_TEST

/* A name too long for what is reserved: the image has to grow for it. */
static const char *long_name(uint32_t number)
{
    static char name[70001];
    memset(name, 'n', sizeof name - 1);
    snprintf(name, 16, "py::%010u", number);
    name[14] = '-';
    return name;
}

START_TEST(goes_on_without_its_files)
{
    catch_reports();
    use(REGISTRY_MAP);
    uint32_t first = add_line("py::f:f.py", 1);
    ck_assert_int_eq(count_files("pyperf-*.so", true), 1);
    uint32_t second = add_line(long_name(1), 1);
    ck_assert_uint_ne(second, REGISTRY_NONE);
    ck_assert_int_eq(count_files("pyperf-*.so", false), 1); /* another one */
    ck_assert_str_eq(registry_name(first), "py::f:f.py");
    ck_assert_str_eq(registry_name(second), long_name(1));
    ck_assert_uint_eq(add_line("py::f:f.py", 1), first);
    ck_assert_str_eq(reports(), "");
}
END_TEST

START_TEST(says_once_when_all_is_full)
{
    catch_reports();
    use(REGISTRY_MAP);
    uint32_t images = 0, ids[REGISTRY_IMAGES + 1] = {0};
    for (uint32_t id = 0; id != REGISTRY_NONE && images <= REGISTRY_IMAGES; images++) {
        count_files("pyperf-*.so", true);
        id = ids[images] = add_line(long_name(images), 1);
    }
    /* the first was lost before it could grow */
    ck_assert_uint_eq(images, REGISTRY_IMAGES);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(add_line("py::f:f.py", 1), REGISTRY_NONE);
    ck_assert_uint_eq(add_line(long_name(5), 1), ids[5]); /* compiled anew */
    ck_assert_str_eq(
        reports(),
        "libpyperf: further functions have no names: there is no room for more functions: 64 "
        "images are full\n");
    ck_assert_uint_eq(registry_at((uintptr_t)evaluate), REGISTRY_NONE);
}
END_TEST

START_TEST(does_without_an_image)
{
    if (skip_under_valgrind())
        return;
    struct failure why;
    catch_reports();
    char missing[100];
    snprintf(missing, sizeof missing, "%s/missing", folder);
    ck_assert(registry_use(REGISTRY_MAP, plan_to(evaluate), missing, &why));
    for (uint32_t i = 0; i < IMAGE_TRAMPOLINES + 100; i++)
        if ((many[i] = add_line(name_of(i), i)) == REGISTRY_NONE)
            ck_abort_msg("no id for function %u", i);
    check_map(getpid(), many, IMAGE_TRAMPOLINES + 100);
    const char *text = reports();
    ck_assert_ptr_nonnull(strstr(text, "No such file or directory\n"));
    ck_assert_uint_eq(strcspn(text, "\n") + 1, strlen(text)); /* one line, for two images */
}
END_TEST

START_TEST(does_without_a_map)
{
    catch_reports();
    ck_assert_int_eq(symlink("nowhere", in_folder("perf-%d.map", (int)getpid())), 0);
    use(REGISTRY_MAP);
    uint32_t id = add_line("py::f:f.py", 1);
    ck_assert_uint_ne(id, REGISTRY_NONE);
    ck_assert_uint_eq(add_line("py::f:f.py", 1), id);
    registry_finish();
    const char *text = reports();
    ck_assert_ptr_nonnull(strstr(text, "Too many levels of symbolic links"));
    ck_assert_uint_eq(strcspn(text, "\n") + 1, strlen(text));
    ck_assert_int_ne(access(in_folder("nowhere"), F_OK), 0);
}
END_TEST

/* What is left of a limited address space is the program's. */
static void with_little_space(void)
{
    struct failure why = {.code = FAILURE_NONE};
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    child_check(fscanf(file, "%zu", &pages) == 1, "%d", errno);
    fclose(file);
    struct rlimit limit = {pages * 4096 + (64 << 20), RLIM_INFINITY};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    child_check(!registry_use(REGISTRY_MAP, plan_to(evaluate), folder, &why), "%s", "it is used");
    child_check(why.code == FAILURE_MEMORY, "%s", failure_message(why.code));
    child_check(strstr(why.what, "address space") != NULL, "%s", why.what);
    child_check(count_files("*", false) == 0, "%s", "a file is left");
}

START_TEST(leaves_address_space)
{
    assert_in_child(with_little_space);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        same_function_same_id,
        found_by_address,
        more_than_an_image_holds,
        alike_but_not_the_same,
        idle_child_leaves_the_map_alone,
        each_writer_has_its_own_slots,
        forked_child_starts_anew,
        generations,
        goes_on_without_its_files,
        says_once_when_all_is_full,
        does_without_an_image,
        does_without_a_map,
        leaves_address_space,
    };
    return run_suite("registry", tests, LENGTH_OF(tests));
}
