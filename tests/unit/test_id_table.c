/* test_id_table.c - numbers by keys: here, their squares. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/id_table.h"

enum { MANY = 200000 };

static struct id_table table;
static int compared; /* calls of is_square */

/* The hash function of the test. */
static uint32_t (*hash)(uint32_t number);

static uint32_t spread(uint32_t number)
{
    return number * 2654435761u;
}

static uint32_t same(uint32_t number)
{
    (void)number;
    return 0xdeadbeef;
}

/* The stored bits of all hashes are equal, and each search begins at the last entry. */
static uint32_t last(uint32_t number)
{
    (void)number;
    return UINT32_MAX;
}

static bool is_square(uint32_t number, const void *key)
{
    compared++;
    return (uint64_t)number * number == *(const uint64_t *)key;
}

static uint32_t *find(uint32_t number)
{
    uint64_t key = (uint64_t)number * number;
    return id_table_find(&table, hash(number), is_square, &key);
}

static void enter(uint32_t number)
{
    if (!id_table_reserve(&table, hash))
        ck_abort_msg("no room for %u", number);
    uint32_t *entry = find(number);
    if (*entry != 0)
        ck_abort_msg("%u is there", number);
    id_table_fill(&table, entry, hash(number), number);
}

static void check(uint32_t from, uint32_t to)
{
    for (uint32_t number = from; number < to; number++) {
        const uint32_t *entry = find(number);
        if (*entry == 0 || id_table_number(*entry) != number)
            ck_abort_msg("%u is found as entry %#x", number, *entry);
    }
}

TEST(finds_what_was_entered)
{
    hash = spread;
    for (uint32_t number = 0; number < MANY; number++)
        enter(number);
    ck_assert_uint_eq(table.used, MANY);
    check(0, MANY);
    for (uint32_t number = MANY; number < 2 * MANY; number++)
        if (*find(number) != 0)
            ck_abort_msg("%u is found", number);
}

/* Most colliding entries differ in the stored bits of the hash. */
TEST(compares_few)
{
    hash = spread;
    for (uint32_t number = 0; number < MANY; number++)
        enter(number);
    compared = 0;
    check(0, MANY);
    ck_assert_int_lt(compared, MANY + MANY / 4);
}

TEST(all_of_one_hash)
{
    static uint32_t (*const hashes[])(uint32_t) = {same, last};
    for (size_t i = 0; i < LENGTH_OF(hashes); i++) {
        hash = hashes[i];
        for (uint32_t number = 0; number < 3000; number++)
            enter(number);
        check(0, 3000);
        ck_assert_uint_eq(*find(3000), 0);
        table = (struct id_table){NULL, 0};
    }
}

TEST(first_and_last_number)
{
    const uint32_t numbers[] = {0, ID_TABLE_LIMIT - 1};
    hash = last;
    for (size_t i = 0; i < LENGTH_OF(numbers); i++)
        enter(numbers[i]);
    for (size_t i = 0; i < LENGTH_OF(numbers); i++) {
        ck_assert_uint_ne(*find(numbers[i]), 0);
        ck_assert_uint_eq(id_table_number(*find(numbers[i])), numbers[i]);
    }
}

/* A quarter of it stays free, or a search for an absent key would not end. */
TEST(some_stay_free)
{
    hash = last;
    for (uint32_t number = 0; number < 768; number++)
        enter(number);
    const struct id_entries *full = table.entries;
    ck_assert(id_table_reserve(&table, hash));
    ck_assert_ptr_ne(table.entries, full);
    check(0, 768);
}

/* Without memory the table is unchanged, and grows when there is memory again. */
TEST_IN_CHILD(no_memory)
{
    child_skip_under_valgrind();
    uint32_t number = 0;
    hash = spread;
    while (table.used < 3 * (1u << 18)) /* as full as possible: a megabyte of entries */
        enter(number++);
    const struct id_table before = table;
    struct rlimit old, none = {0, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &old);
    setrlimit(RLIMIT_AS, &none);
    child_skip_without_limit();
    bool grown = id_table_reserve(&table, hash);
    int error = errno;
    setrlimit(RLIMIT_AS, &old);
    child_check(!grown && error == ENOMEM, "errno is %d", error);
    child_check(memcmp(&before, &table, sizeof table) == 0, "%u used", table.used);
    check(0, number);
    enter(number);
    check(0, number + 1);
}
