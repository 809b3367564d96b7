/* test_outputs.c - map and jitdump are brought up to date from the registry, also after other
 * processes have changed them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/profile/outputs.h"
#include "profile/files.h"

enum { FUNCTIONS = 400 };
static uint32_t ids[FUNCTIONS], count;

/* Registers more functions, up to `end`, and updates the files after each. */
static void add_until(enum profile_mode mode, uint32_t end)
{
    for (; count < end; count++) {
        ids[count] = add_function(mode, count);
        if (ids[count] == REGISTRY_NONE)
            child_failed("no id for function %u: %s", count, failure_message(why_not.code));
        outputs_update(mode);
    }
}

static void check_file(enum profile_mode mode)
{
    if (mode == PROFILE_MAP)
        check_map(getpid(), "", ids, count);
    else
        check_dump(getpid(), ids, count);
}

static const char *path_of(enum profile_mode mode)
{
    return in_folder(mode == PROFILE_MAP ? "perf-%d.map" : "jit-%d.dump", (int)getpid());
}

/* A map that was checked a moment ago is not checked. */
static void wait_a_moment(void)
{
    usleep(100);
}

static void begin(void)
{
    catch_reports();
    start_registry();
}

/* Each test for both modes, in a child of its own. */
static enum profile_mode mode;
static void for_both(void (*body)(void))
{
    for (mode = PROFILE_MAP; mode <= PROFILE_JITDUMP; mode++) {
        assert_in_child(body);
        clear_folder();
    }
}

TEST_BY(for_both, each_once)
{
    int descriptors = count_descriptors();
    begin();
    outputs_update(mode);
    check_file(mode); /* it exists before the first function */
    for (uint32_t i = 0; i < 50; i++)
        ids[count++] = add_function(mode, i);
    outputs_update(mode);
    outputs_update(mode);
    check_file(mode);
    add_until(mode, FUNCTIONS);
    check_file(mode);
    outputs_finish();
    check_file(mode);
    child_check(maps_opened + dumps_opened == 1, "%d and %d", maps_opened, dumps_opened);
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    child_check(*reports() == '\0', "%s", reports());
}

TEST_IN_CHILD(cut_at_the_end)
{
    begin();
    add_until(PROFILE_MAP, 3);
    const char *text = read_file(path_of(PROFILE_MAP), NULL);
    child_check(strstr(text, "\n\n") != NULL, "%s", text);
    outputs_finish();
    text = read_file(path_of(PROFILE_MAP), NULL);
    child_check(strstr(text, "\n\n") == NULL, "%s", text);
    check_file(PROFILE_MAP);
}

/* One EMFILE must not close a file for good. */
TEST_BY(for_both, descriptors_used_up)
{
    begin();
    add_until(mode, 260);
    use_up_descriptors();
    add_until(mode, 330); /* fills the map, but not the image */
    give_descriptors_back();
    child_check(count_reports() == 1, "%s", reports());
    child_check(strstr(reports(), "Too many open files") != NULL, "%s", reports());
    add_until(mode, 331);
    check_file(mode);
    add_until(mode, FUNCTIONS);
    check_file(mode);
    child_check(count_reports() == 1, "%s", reports());
}

TEST_BY(for_both, descriptors_used_up_at_first)
{
    begin();
    add_until(mode, 0);
    ids[0] = add_function(mode, 0);
    count = 1;
    use_up_descriptors();
    outputs_update(mode);
    outputs_update(mode);
    give_descriptors_back();
    child_check(count_reports() == 1, "%s", reports());
    outputs_update(mode);
    add_until(mode, 260);
    check_file(mode);
    wait_a_moment();
    use_up_descriptors();
    add_until(mode, 330);
    give_descriptors_back();
    outputs_update(mode);
    check_file(mode);
    child_check(count_reports() == 2, "%s", reports()); /* the first failure in a row */
}

/* The file was removed or replaced: it is made again, with all lines. */
TEST_BY(for_both, removed)
{
    begin();
    add_until(mode, 10);
    for (uint32_t end = 11; end < 15; end++) {
        child_check(unlink(path_of(mode)) == 0, "%d", errno);
        wait_a_moment();
        add_until(mode, end);
        check_file(mode);
    }
    child_check(*reports() == '\0', "%s", reports());
}

TEST_BY(for_both, replaced)
{
    begin();
    add_until(mode, 10);
    child_check(rename(path_of(mode), in_folder("moved")) == 0, "%d", errno);
    if (mode == PROFILE_MAP)
        write_file(path_of(mode), "1000 10 stranger's\n", 19);
    else
        write_file(path_of(mode), "DTiJ of stranger", 16);
    wait_a_moment();
    add_until(mode, 20);
    if (mode == PROFILE_MAP)
        check_map(getpid(), "1000 10 stranger's\n", ids, count);
    else
        check_file(mode);
    count = 10; /* and the file that was moved away is not touched */
    child_check(rename(in_folder("moved"), path_of(mode)) == 0, "%d", errno);
    check_file(mode);
    child_check(*reports() == '\0', "%s", reports());
}

/* A link in the file's place is not followed; when it is gone, a new file gets all lines. */
TEST_BY(for_both, replaced_by_a_link)
{
    struct stat status;
    begin();
    add_until(mode, 10);
    child_check(unlink(path_of(mode)) == 0, "%d", errno);
    write_file(in_folder("target"), "", 0);
    child_check(symlink("target", path_of(mode)) == 0, "%d", errno);
    wait_a_moment();
    add_until(mode, 200);
    child_check(stat(in_folder("target"), &status) == 0 && status.st_size == 0, "%d",
                (int)status.st_size);
    child_check(count_reports() == 1, "%s", reports());
    child_check(unlink(path_of(mode)) == 0, "%d", errno);
    add_until(mode, 201);
    check_file(mode);
    child_check(count_reports() == 1, "%s", reports());
}

TEST_IN_CHILD(truncated)
{
    begin();
    add_until(PROFILE_MAP, 10);
    child_check(truncate(path_of(PROFILE_MAP), 0) == 0, "%d", errno);
    wait_a_moment();
    add_until(PROFILE_MAP, 20);
    check_file(PROFILE_MAP);
}

/* The limit is 6 KiB; without it, what was left out is written. */
TEST_BY(for_both, limit_on_file_size)
{
    struct rlimit limit;
    child_skip_under_valgrind();
    begin();
    for (uint32_t i = 0; i < FUNCTIONS; i++) /* the limit is not meant for the image */
        ids[i] = add_function(mode, i);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit_file_size(6 << 10);
    for (int i = 0; i < 100; i++)
        outputs_update(mode);
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0, "%d", errno);
    child_check(count_reports() == 1, "%s", reports());
    outputs_update(mode);
    count = FUNCTIONS;
    check_file(mode);
}

/* Both modes in turn: each file has its own mode's functions. */
TEST_IN_CHILD(both_files)
{
    uint32_t in_map[10], in_dump[10];
    begin();
    for (uint32_t i = 0; i < 10; i++) {
        in_map[i] = add_function(PROFILE_MAP, i);
        outputs_update(PROFILE_MAP);
        in_dump[i] = add_function(PROFILE_JITDUMP, i);
        outputs_update(PROFILE_JITDUMP);
    }
    check_map(getpid(), "", in_map, 10);
    check_dump(getpid(), in_dump, 10);
}

/* The program's own lines (CPython's C API) are among ours. */
TEST_IN_CHILD(lines_of_the_program)
{
    begin();
    child_check(outputs_map_open() == 0, "%d", maps_opened);
    child_check(outputs_map_line(0x1234, 0x56, "other", 5) == 0, "%d", maps_opened);
    add_until(PROFILE_MAP, 5);
    check_map(getpid(), "1234 56 other\n", ids, count);
    write_file(in_folder("another.map"), "99 1 copied\n", 12);
    child_check(outputs_map_copy(in_folder("another.map")) == 0, "%d", errno);
    child_check(outputs_map_copy(in_folder("missing.map")) == ENOENT, "%d", errno);
    add_until(PROFILE_MAP, 6);
    const char *text = read_file(path_of(PROFILE_MAP), NULL);
    child_check(strstr(text, "\n99 1 copied\n") != NULL, "%s", text);
    child_check(maps_opened == 1 && *reports() == '\0', "%s", reports());
}

TEST_IN_CHILD(errors_of_the_program)
{
    errno = EXFULL;
    use_up_descriptors();
    int opened = outputs_map_open(), line = outputs_map_line(1, 1, "x", 1);
    give_descriptors_back();
    child_check(opened == EMFILE && line == EMFILE && errno == EXFULL, "%d %d", opened, line);
    child_check(outputs_map_line(1, 1, "x", 1) == 0 && errno == EXFULL, "%d", errno);
    check_map(getpid(), "1 1 x\n", NULL, 0);
}

TEST_IN_CHILD(spare_lines)
{
    begin();
    outputs_spare_lines();
    add_until(PROFILE_MAP, FUNCTIONS);
    child_check(maps_opened == 0, "%s", "a map without need");
    child_check(outputs_map_line(0x1000, 16, "of the program", 14) == 0, "%s", "no line");
    add_until(PROFILE_MAP, count);
    outputs_update(PROFILE_MAP);
    outputs_finish();
    child_check(strcmp(read_file(path_of(PROFILE_MAP), NULL), "1000 10 of the program\n") == 0,
                "%s", read_file(path_of(PROFILE_MAP), NULL));
    child_check(*reports() == '\0', "%s", reports());
}

/* Without an image the names are in the map. */
TEST_IN_CHILD(spare_no_names)
{
    begin();
    registry_start("/nonexistent", plan_to(sum));
    outputs_spare_lines();
    add_until(PROFILE_MAP, FUNCTIONS);
    check_file(PROFILE_MAP);
    child_check(maps_opened == 1, "%d", maps_opened);
}

/* The jitdump is always written in its mode. */
TEST_IN_CHILD(spare_no_records)
{
    begin();
    outputs_spare_lines();
    add_until(PROFILE_JITDUMP, FUNCTIONS);
    check_file(PROFILE_JITDUMP);
}
