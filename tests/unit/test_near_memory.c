/* test_near_memory.c - which gap of a memory map is chosen, and that it is reserved. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arch.h"
#include "code.h"
#include "support/support.h"
#include "trampoline/near_memory.h"

enum { PAGE = 4096 };

/* Debian's /usr/bin/python3.11: static, at a fixed address, its heap behind it. */
#define FIXED                                                                                      \
    "00400000-0041f000 r--p 00000000 fe:00 1234   /usr/bin/python3.11\n"                           \
    "0041f000-006a9000 r-xp 0001f000 fe:00 1234   /usr/bin/python3.11\n"                           \
    "006a9000-00a40000 rw-p 00600000 fe:00 1234   /usr/bin/python3.11\n"
#define FIXED_HEAP "01b5c000-01d00000 rw-p 00000000 00:00 0   [heap]\n"
#define LIBRARIES                                                                                  \
    "7f20c0000000-7f20c0200000 r-xp 00000000 fe:00 77   /usr/lib/libc.so.6\n"                      \
    "7ffc11000000-7ffc11021000 rw-p 00000000 00:00 0   [stack]\n"                                  \
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]\n"

/* Where user addresses end. */
#define TOP (((uintptr_t)1 << ARCH_ADDRESS_BITS) - PAGE)
/* The last page within reach of a jump at `site` above it, and a page free behind it. */
#define UP_TO_REACH(site)                                                                          \
    ((((uintptr_t)(site) + ARCH_JUMP_REACH - PAGE) & ~((uintptr_t)PAGE - 1)) - PAGE)

static const struct row {
    const char *situation, *maps;
    uintptr_t site;
    size_t length;
    uintptr_t expected;
} rows[] = {
    {"static: below the program, a page apart from it", FIXED FIXED_HEAP LIBRARIES, 0x500000, PAGE,
     0x3fe000},
    {"static, and more than one page", FIXED FIXED_HEAP LIBRARIES, 0x500000, 4 * PAGE, 0x3fb000},
    {"static: the lowest pages are never free",
     "00012000-006a9000 r-xp 00000000 fe:00 1\n" FIXED_HEAP LIBRARIES, 0x500000, PAGE,
     /* the end of the range within reach above, or of the gap between program and heap */
     0x1b5a000},
    {"static: below, just room enough", "00013000-006a9000 r-xp 00000000 fe:00 1\n" LIBRARIES,
     0x500000, PAGE, 0x11000},
    {"static at the bottom: above, away from the heap",
     "00010000-006a9000 r-xp 00000000 fe:00 1\n"
     "006a9000-00900000 rw-p 00000000 00:00 0   [heap]\n" LIBRARIES,
     0x500000, PAGE, UP_TO_REACH(0x500000)},
    {"position independent: below",
     "555555554000-555555600000 r-xp 00000000 fe:00 1   /usr/bin/python3\n"
     "555556000000-555556800000 rw-p 00000000 00:00 0   [heap]\n" LIBRARIES,
     0x555555560123, PAGE, 0x555555552000},
    {"library: the nearest gap below",
     "7f2000000000-7f2000010000 r-xp 00000000 fe:00 1\n"
     "7f2000100000-7f2000110000 r-xp 00000000 fe:00 2\n"
     "7f2000110000-7f2000400000 r-xp 00000000 fe:00 3   libpython3.9.so\n"
     "7f2000500000-7f2000510000 r-xp 00000000 fe:00 4\n" LIBRARIES,
     0x7f2000200000, PAGE, 0x7f20000fe000},
    {"library: a gap too small for free pages on both sides is none",
     "7f2000000000-7f200000d000 r-xp 00000000 fe:00 1\n"
     "7f200000f000-7f2000400000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, PAGE, 0x7f1fffffe000},
    {"library: a gap of three pages holds one",
     "7f2000000000-7f200000c000 r-xp 00000000 fe:00 1\n"
     "7f200000f000-7f2000400000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, PAGE, 0x7f200000d000},
    {"library: and not two",
     "7f2000000000-7f200000c000 r-xp 00000000 fe:00 1\n"
     "7f200000f000-7f2000400000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, 2 * PAGE, 0x7f1fffffd000},
    {"nothing below in reach: the first gap above, its upper end",
     "00010000-7f2000400000 r-xp 00000000 fe:00 1\n"
     "7f2000500000-7f2000600000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, PAGE, 0x7f20004fe000},
    {"nothing below in reach: three pages above hold one",
     "00010000-7f2000400000 r-xp 00000000 fe:00 1\n"
     "7f2000403000-7f2100000000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, PAGE, 0x7f2000401000},
    {"nothing below in reach: two pages above hold none",
     "00010000-7f2000400000 r-xp 00000000 fe:00 1\n"
     "7f2000402000-7f2100000000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f2000200000, PAGE, 0},
    {"above, but not as far as the jump's reach",
     "00010000-7f2000400000 r-xp 00000000 fe:00 1\n" LIBRARIES, 0x7f2000200123, PAGE,
     UP_TO_REACH(0x7f2000200123)},
    {"no gap at all", "00000000-7ffffffff000 r-xp 00000000 fe:00 1\n", 0x7f2000200000, PAGE, 0},
    {"no gap at all but beyond what user addresses are",
     "00010000-" CODE_TOP " r-xp 00000000 fe:00 1\n" LIBRARIES, TOP - 0xff000, PAGE, 0},
    {"a gap below, too far away",
     "00010000-7f1000000000 r-xp 00000000 fe:00 1\n"
     "7f1010000000-7f20ff000000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f1090000000, PAGE, 0},
    {"a gap below that just reaches",
     "00010000-7f1000000000 r-xp 00000000 fe:00 1\n"
     "7f1010000000-7f20ff000000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f100fffe000 + ARCH_JUMP_REACH - 1, PAGE, 0x7f100fffe000},
    {"and one byte more",
     "00010000-7f1000000000 r-xp 00000000 fe:00 1\n"
     "7f1010000000-7f20ff000000 r-xp 00000000 fe:00 2\n" LIBRARIES,
     0x7f100fffe000 + ARCH_JUMP_REACH, PAGE, 0},
    {"the last line is not finished",
     "7f2000000000-7f2000010000 r-xp 00000000 fe:00 1\n7f2000100000-7f2000200000 r-x",
     0x7f2000100000, PAGE, 0x7f20000fe000},
};

TEST(takes_the_right_gap)
{
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        uintptr_t found = near_memory_find_in(rows[i].maps, rows[i].site, rows[i].length);
        ck_assert_msg(found == rows[i].expected, "%s: 0x%" PRIxPTR ", expected 0x%" PRIxPTR,
                      rows[i].situation, found, rows[i].expected);
    }
}

static const char *const odd_maps[] = {
    "",
    "\n",
    "-",
    "--",
    "zzz",
    "7f",
    "7f-",
    "-7f",
    "7f2000000000-",
    "\xff\xff-\xff",
    "ffffffffffffffffffffffff-ffffffffffffffffffffffff r-xp\n",
    "2000-1000 r-xp\n1000-0 r-xp\n",
    "7f2000000000-7f2000010000 r-xp 00000000 fe:00 1\ngarbage",
};

/* Odd maps: no address beyond user addresses, none out of reach. */
TEST(odd_maps_are_harmless)
{
    static const uintptr_t sites[] = {0x400000, 0x7f2000001000, 0x7fffffffe000};
    for (size_t i = 0; i < LENGTH_OF(odd_maps); i++)
        for (size_t j = 0; j < LENGTH_OF(sites); j++) {
            uintptr_t found = near_memory_find_in(odd_maps[i], sites[j], PAGE);
            if (found == 0)
                continue;
            uintptr_t away = found > sites[j] ? found + PAGE - sites[j] : sites[j] - found;
            ck_assert_msg(found % PAGE == 0 && found >= 65536 && found + PAGE <= TOP &&
                              away < ARCH_JUMP_REACH,
                          "\"%s\" around 0x%" PRIxPTR ": 0x%" PRIxPTR, odd_maps[i], sites[j],
                          found);
        }
}

/* The line of the mapping that starts at an address. */
static const char *line_of(const char *maps, uintptr_t address)
{
    for (const char *line = maps; *line != '\0'; line = strchr(line, '\n') + 1)
        if (strtoull(line, NULL, 16) == address)
            return line;
    return "";
}

TEST(reserves)
{
    static const size_t lengths[] = {PAGE, 3 * PAGE};
    const uintptr_t sites[] = {
        (uintptr_t)near_memory_reserve, (uintptr_t)strlen,
        (uintptr_t)mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    for (size_t i = 0; i < LENGTH_OF(sites); i++)
        for (size_t j = 0; j < LENGTH_OF(lengths); j++) {
            struct failure why = {.code = FAILURE_NONE};
            int descriptors = count_descriptors();
            errno = EXFULL;
            uintptr_t found = near_memory_reserve(sites[i], lengths[j], &why);
            ck_assert_int_eq(errno, EXFULL);
            ck_assert_msg(found != 0, "%s: %s", failure_message(why.code), why.what);
            ck_assert_int_eq(count_descriptors(), descriptors);
            uintptr_t away = found > sites[i] ? found + lengths[j] - sites[i] : sites[i] - found;
            ck_assert_uint_lt(away, (uintptr_t)1 << 31);
            int fd = open_maps();
            char expected[64];
            snprintf(expected, sizeof expected, "%08" PRIxPTR "-%08" PRIxPTR " ---p ", found,
                     found + lengths[j]);
            const char *line = line_of(read_maps(fd), found);
            ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%.*s, expected %s",
                          (int)strcspn(line, "\n"), line, expected);
            close(fd);
        }
}

TEST(reserves_other_pages_each_time)
{
    uintptr_t found[64];
    for (size_t i = 0; i < LENGTH_OF(found); i++) {
        found[i] = near_memory_reserve((uintptr_t)near_memory_reserve, PAGE, NULL);
        ck_assert_uint_ne(found[i], 0);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(found[i], found[j]);
    }
}

TEST(reserves_just_these)
{
    uintptr_t page = near_memory_reserve((uintptr_t)strlen, 2 * PAGE, NULL);
    ck_assert_int_eq(munmap((void *)page, 2 * PAGE), 0);
    ck_assert(near_memory_reserve_at(page, PAGE));
    ck_assert(!near_memory_reserve_at(page, PAGE));
    ck_assert(!near_memory_reserve_at(page, 2 * PAGE));
    ck_assert_msg(near_memory_reserve_at(page + PAGE, PAGE), "what was refused is mapped");
}

TEST_IN_CHILD(reserve_without_open)
{
    struct failure why = {.code = FAILURE_NONE};
    child_forbid_open();
    errno = EXFULL;
    uintptr_t found = near_memory_reserve((uintptr_t)strlen, PAGE, &why);
    child_check(found == 0, "0x%" PRIxPTR, found);
    child_check(errno == EXFULL, "%d", errno);
    child_check(why.code == FAILURE_NO_NEAR_MEMORY, "%s", failure_message(why.code));
    child_check(why.sys_errno == EPERM, "%d", why.sys_errno);
    child_check(strcmp(why.what, "/proc/self/maps") == 0, "%s", why.what);
}

TEST_IN_CHILD(reserve_without_memory)
{
    struct rlimit limit = {1 << 20, 1 << 20}; /* less than is in use */
    struct failure why = {.code = FAILURE_NONE};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    child_skip_without_limit();
    errno = EXFULL;
    uintptr_t found = near_memory_reserve((uintptr_t)strlen, PAGE, &why);
    child_check(found == 0, "0x%" PRIxPTR, found);
    child_check(errno == EXFULL, "%d", errno);
    child_check(why.code == FAILURE_NO_NEAR_MEMORY, "%s", failure_message(why.code));
    child_check(why.sys_errno == ENOMEM, "%d", why.sys_errno);
}
