/* test_file_tail.c - bytes appended through a moving window: all of them are in the file, nothing
 * else changes, and never more than a window is mapped. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/file_tail.h"
#include "trampoline/base/own_file.h"

enum { START = 12345 }; /* of the region: no multiple of a page */

static int fd;
static struct file_tail tail;

static void begin(void)
{
    fd = own_file_open(in_folder("file"), O_CREAT);
    ck_assert_int_ge(fd, 0);
    tail = (struct file_tail){.length = START, .reserved = START};
}

static void reserve(off_t end)
{
    ck_assert_int_eq(posix_fallocate(fd, tail.reserved, end - tail.reserved), 0);
    tail.reserved = end;
    ck_assert_int_eq(file_tail_show(&tail, fd), 0);
}

static void append(const char *bytes, size_t size)
{
    if (!file_tail_has_room(&tail, size))
        reserve(tail.length + (off_t)size + 5000);
    ck_assert(file_tail_has_room(&tail, size));
    ck_assert_int_eq(file_tail_put(&tail, fd, 0, bytes, size), 0);
    tail.length += (off_t)size;
}

TEST(bytes_are_in_the_file_at_once)
{
    static char chunk[3001];
    size_t total = 0;
    begin();
    ck_assert(!file_tail_has_room(&tail, 1));
    for (int i = 0; i < 1500; i++) { /* some 4 MB: many windows */
        char found[sizeof chunk];
        memset(chunk, 'a' + i % 26, sizeof chunk);
        append(chunk, sizeof chunk - (size_t)i % 7);
        total += sizeof chunk - (size_t)i % 7;
        ssize_t n =
            pread(fd, found, sizeof found, tail.length - (off_t)(sizeof chunk - (size_t)i % 7));
        if (n < (ssize_t)(sizeof chunk - (size_t)i % 7) ||
            memcmp(found, chunk, sizeof chunk - 7) != 0)
            ck_abort_msg("chunk %d is not there", i);
        if (tail.window_size > FILE_TAIL_WINDOW + 3 * 4096)
            ck_abort_msg("a window of %zu bytes", tail.window_size);
    }
    ck_assert_int_eq(tail.length, START + (off_t)total);
    const char *text = read_file(in_folder("file"), NULL);
    size_t at = START;
    for (int i = 0; i < 1500; i++)
        for (size_t j = sizeof chunk - (size_t)i % 7; j > 0; j--, at++)
            if (text[at] != 'a' + i % 26)
                ck_abort_msg("%zu: %c", at, text[at]);
    for (at = 0; at < START; at++)
        if (text[at] != '\0')
            ck_abort_msg("written before the region, at %zu", at);
    close(fd);
}

static int count_windows(void)
{
    int maps = open_maps(), count = 0;
    for (const char *at = read_maps(maps); (at = strstr(at, folder)) != NULL; at++)
        count++;
    close(maps);
    return count;
}

TEST(window_moves_without_a_descriptor)
{
    begin();
    reserve(START + 100);
    ck_assert_int_eq(ftruncate(fd, 8 << 20), 0);
    close(fd);
    for (int i = 0; i < 100; i++) {
        tail.length += 70000;
        tail.reserved = tail.length + 100;
        ck_assert_int_eq(file_tail_show(&tail, -1), 0);
        ck_assert(file_tail_has_room(&tail, 100) && !file_tail_has_room(&tail, 101));
        ck_assert_int_eq(file_tail_put(&tail, -1, 50, "here", 4), 0);
        ck_assert_int_eq(count_windows(), 1);
    }
    const char *text = read_file(in_folder("file"), NULL);
    for (int i = 1; i <= 100; i++)
        ck_assert_int_eq(memcmp(text + START + i * 70000 + 50, "here", 4), 0);
    file_tail_drop(&tail);
    file_tail_drop(&tail);
    ck_assert_int_eq(count_windows(), 0);
    ck_assert(!file_tail_has_room(&tail, 1));
}

TEST(without_a_window_it_is_written)
{
    begin();
    ck_assert_int_eq(file_tail_put(&tail, fd, 3, "here", 4), 0);
    ck_assert_int_eq(memcmp(read_file(in_folder("file"), NULL) + START + 3, "here", 4), 0);
    ck_assert_int_eq(file_tail_put(&tail, -1, 3, "here", 4), EBADF);
    ck_assert_int_eq(tail.length, START);
    close(fd);
}

/* A failure to move leaves the present window. */
TEST_IN_CHILD(no_address_space)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY}, all;
    child_skip_under_valgrind();
    begin();
    child_check(posix_fallocate(fd, 0, 4 << 20) == 0, "%s", strerror(errno));
    getrlimit(RLIMIT_AS, &all);
    setrlimit(RLIMIT_AS, &limit);
    child_skip_without_limit();
    tail.reserved = START + 100;
    child_check(file_tail_show(&tail, fd) == ENOMEM, "%s", "it is mapped");
    child_check(tail.window == NULL, "%s", "there is a window");
    setrlimit(RLIMIT_AS, &all);
    child_check(file_tail_show(&tail, fd) == 0, "%s", "no window");
    struct file_tail before = tail;
    setrlimit(RLIMIT_AS, &limit);
    tail.reserved = START + (2 << 20);
    child_check(file_tail_show(&tail, fd) == ENOMEM, "%s", "it is moved");
    child_check(tail.window == before.window && tail.window_size == before.window_size, "%s",
                "another window");
    child_check(file_tail_has_room(&tail, 100) && !file_tail_has_room(&tail, 1 << 20), "%s",
                "room");
    child_check(file_tail_put(&tail, -1, 0, "here", 4) == 0, "%s", "not put");
    setrlimit(RLIMIT_AS, &all);
    child_check(file_tail_show(&tail, -1) == 0 && file_tail_has_room(&tail, 1 << 20), "%s",
                "no room");
}
