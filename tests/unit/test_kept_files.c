/* test_kept_files.c - the oldest file goes, and never one that is not ours. */
#include "trampoline/base/kept_files.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

enum { ROOM = 1000 };

static struct kept_file room[ROOM];
static struct kept_files files = {.files = room, .room = ROOM};

static const char *name_of(int number)
{
    static char name[KEPT_FILES_NAME];
    snprintf(name, sizeof name, "pyperf-4294967295-%06d.samples", number);
    return name;
}

static const char *path_of(int number)
{
    return in_folder("%s", name_of(number));
}

static bool is_there(int number)
{
    struct stat status;
    return lstat(path_of(number), &status) == 0;
}

static void make(int number)
{
    struct stat status;
    write_file(path_of(number), "x", 1);
    ck_assert_int_eq(lstat(path_of(number), &status), 0);
    struct own_file own = own_file_of(&status);
    kept_files_add(&files, &own, name_of(number));
}

static void make_next(int number)
{
    ck_assert(kept_files_make_room(&files, folder));
    make(number);
}

TEST(all_are_kept)
{
    for (int i = 0; i < 5; i++)
        make_next(i);
    files.most = 1; /* they are not remembered */
    ck_assert(kept_files_make_room(&files, folder));
    ck_assert_int_eq(count_entries(), 5);
}

TEST(the_oldest_goes)
{
    int descriptors = count_descriptors();
    files.most = 3;
    for (int i = 0; i < 10; i++) {
        make_next(i);
        ck_assert_int_eq(count_entries(), i < 3 ? i + 1 : 3);
        ck_assert(is_there(i) && (i < 3 || !is_there(i - 3)));
    }
    ck_assert(kept_files_make_room(&files, folder)); /* once, however often it is asked for */
    ck_assert(kept_files_make_room(&files, folder));
    ck_assert_int_eq(count_entries(), 2);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

TEST(as_many_as_there_may_be)
{
    files.most = ROOM;
    for (int i = 0; i < ROOM * 5 / 2; i++)
        make_next(i);
    ck_assert_int_eq(count_entries(), ROOM);
    ck_assert(is_there(ROOM * 3 / 2) && !is_there(ROOM * 3 / 2 - 1));
}

/* Removed by someone, replaced, a link, a folder. */
TEST(what_is_not_ours_any_more)
{
    files.most = 4;
    for (int i = 0; i < 4; i++)
        make_next(i);
    ck_assert_int_eq(unlink(path_of(0)), 0);
    write_file(in_folder("other"), "another's", 9);
    ck_assert_int_eq(rename(in_folder("other"), path_of(1)), 0);
    ck_assert_int_eq(rename(path_of(2), in_folder("moved")), 0);
    ck_assert_int_eq(symlink("moved", path_of(2)), 0);
    ck_assert_int_eq(rename(path_of(3), in_folder("moved too")), 0);
    ck_assert_int_eq(mkdir(path_of(3), 0700), 0);
    for (int i = 4; i < 8; i++)
        make_next(i);
    for (int i = 1; i < 8; i++)
        ck_assert_msg(is_there(i), "%d has gone", i);
    ck_assert_int_eq(count_entries(), 9);
    make_next(8);
    ck_assert(!is_there(4));
}

/* A folder that is not there for a while, and one without descriptors: nothing is forgotten. */
TEST(transient_errors)
{
    char elsewhere[300];
    snprintf(elsewhere, sizeof elsewhere, "%s-elsewhere", folder);
    files.most = 1;
    make_next(0);
    ck_assert_int_eq(rename(folder, elsewhere), 0);
    for (int i = 0; i < 3; i++)
        ck_assert(!kept_files_make_room(&files, folder));
    ck_assert_int_eq(rename(elsewhere, folder), 0);
    ck_assert(is_there(0));
    ck_assert(kept_files_make_room(&files, folder));
    ck_assert_int_eq(count_entries(), 0);
}

TEST_IN_CHILD(without_descriptors)
{
    files.most = 1;
    make_next(0);
    child_forbid_open();
    child_check(!kept_files_make_room(&files, folder), "%s", "there is room");
    child_check(access(path_of(0), F_OK) == 0, "%s", strerror(errno));
}

/* A user that may make files there, but may not remove those of another. */
TEST_IN_CHILD(files_of_an_earlier_user)
{
    if (geteuid() != 0)
        child_skip("another user", EPERM);
    child_check(chmod(folder, 01733) == 0, "%s", strerror(errno));
    files.most = 1;
    make_next(0);
    child_check(setuid(65534) == 0, "%s", strerror(errno));
    child_check(kept_files_make_room(&files, folder), "%s", "no room");
    child_check(access(path_of(0), F_OK) == 0, "%s", strerror(errno));
}

TEST(of_a_parent)
{
    int status;
    files.most = 2;
    make_next(0);
    make_next(1);
    pid_t child = fork();
    if (child == 0) {
        kept_files_forget(&files);
        for (int i = 10; i < 20; i++)
            make_next(i);
        _exit(0);
    }
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
    ck_assert(is_there(0) && is_there(1) && is_there(18) && is_there(19));
    make_next(2);
    ck_assert_int_eq(count_entries(), 4);
    ck_assert(!is_there(0) && is_there(1));
}
