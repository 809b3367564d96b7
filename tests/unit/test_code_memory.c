/* test_code_memory.c - code is written to pages that are never writable. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code.h"
#include "support/support.h"
#include "trampoline/code_memory.h"

enum { PAGE = 4096, SIZE = 3 * PAGE, CODE = SIZE - 64 };

static const uint8_t code[] = CODE_RETURN(7);
static uint8_t bytes[SIZE];

static uint8_t *map(size_t length, int protection, int flags)
{
    uint8_t *pages = mmap(NULL, length, protection, MAP_ANONYMOUS | flags, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    return pages;
}

/* A function on the last page, so that all pages are checked. */
static void make_bytes(void)
{
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7);
    memcpy(bytes + CODE, code, sizeof code);
}

static int call(const uint8_t *pages)
{
    int (*function)(void);
    const uint8_t *at = pages + CODE;
    memcpy(&function, &at, sizeof function);
    return function();
}

TEST(maps_executable_memory)
{
    make_bytes();
    uint8_t *pages = map(SIZE, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    int descriptors = count_descriptors();
    ck_assert(code_memory_map((uintptr_t)pages, bytes, SIZE));
    ck_assert_mem_eq(pages, bytes, SIZE);
    ck_assert_int_eq(call(pages), 7);
    ck_assert_int_eq(count_descriptors(), descriptors);
    assert_never_writable_and_executable();
}

TEST(writes_to_read_only_memory)
{
    uint8_t *pages = map(SIZE, PROT_READ, MAP_PRIVATE);
    make_bytes();
    ck_assert_uint_eq(code_memory_write((uintptr_t)pages + 1, bytes, SIZE - 1), SIZE - 1);
    ck_assert_mem_eq(pages + 1, bytes, SIZE - 1);
    ck_assert_uint_eq(pages[0], 0);
}

TEST(says_how_far_it_came)
{
    make_bytes();
    uint8_t *pages = map(SIZE, PROT_READ, MAP_PRIVATE);
    ck_assert_int_eq(munmap(pages + PAGE, PAGE), 0);
    ck_assert_uint_eq(code_memory_write((uintptr_t)pages + 5, bytes, SIZE - 5), PAGE - 5);
    ck_assert_mem_eq(pages + 5, bytes, PAGE - 5);
    ck_assert_uint_eq(code_memory_write((uintptr_t)pages + PAGE, bytes, 5), 0);
    uint8_t *shared = map(PAGE, PROT_READ, MAP_SHARED);
    ck_assert_uint_eq(code_memory_write((uintptr_t)shared, bytes, 5), 0);
}

/* Memory becomes executable if that is permitted, and otherwise the call fails. */
TEST_IN_CHILD(without_open)
{
    make_bytes();
    uint8_t *pages = map(SIZE, PROT_NONE, MAP_PRIVATE);
    child_forbid_open();
    child_check(code_memory_write((uintptr_t)pages, bytes, 5) == 0, "%s", "it is written");
    child_check(errno == EPERM, "%s", strerror(errno));
    child_check(code_memory_map((uintptr_t)pages, bytes, SIZE), "%s", strerror(errno));
    child_check(call(pages) == 7, "%d", call(pages));
}

TEST_IN_CHILD(under_mdwe)
{
    make_bytes();
    uint8_t *pages = map(SIZE, PROT_NONE, MAP_PRIVATE);
    child_deny_write_execute();
    child_check(code_memory_map((uintptr_t)pages, bytes, SIZE), "%s", strerror(errno));
    child_check(call(pages) == 7, "%d", call(pages));
}

TEST_IN_CHILD(under_mdwe_without_open)
{
    uint8_t *pages = map(SIZE, PROT_NONE, MAP_PRIVATE);
    child_deny_write_execute();
    child_forbid_open();
    child_check(!code_memory_map((uintptr_t)pages, bytes, SIZE), "%s", "it is executable");
    child_check(errno == EACCES, "%s", strerror(errno));
}
