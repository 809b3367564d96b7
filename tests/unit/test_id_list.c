/* test_id_list.c - numbers in the order in which they were added, each once. */
#include <stdlib.h>
#include <sys/resource.h>

#include "support/support.h"
#include "trampoline/base/id_list.h"

static struct id_list list;

static void check(const uint32_t *numbers, size_t count)
{
    uint32_t number = ID_LIST_NONE;
    for (size_t i = 0; i < count; i++) {
        number = id_list_next(&list, number);
        if (number != numbers[i])
            ck_abort_msg("%zu is %u, expected %u", i, number, numbers[i]);
    }
    ck_assert_uint_eq(id_list_next(&list, number), ID_LIST_NONE);
}

TEST(in_order)
{
    static const uint32_t numbers[] = {7, 0, 1, 65535, 65536, ID_LIST_LIMIT - 1, 3 * 65536 + 5, 2};
    check(NULL, 0);
    for (size_t i = 0; i < LENGTH_OF(numbers); i++) {
        ck_assert(id_list_add(&list, numbers[i]));
        ck_assert(id_list_add(&list, numbers[0])); /* added again: keeps its place */
        ck_assert(id_list_add(&list, numbers[i]));
        check(numbers, i + 1);
    }
    ck_assert_uint_eq(id_list_next(&list, 5), ID_LIST_NONE); /* which is not in the list */
    ck_assert_uint_eq(id_list_next(&list, 7 * 65536), ID_LIST_NONE);
    id_list_clear(&list);
    check(NULL, 0);
    ck_assert(id_list_add(&list, 2));
    check(&numbers[7], 1);
}

TEST(many)
{
    enum { MANY = 200000 };
    static uint32_t numbers[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        numbers[i] = i % 2 == 0 ? i : MANY - i;
        if (!id_list_add(&list, numbers[i]))
            ck_abort_msg("%u", i);
    }
    check(numbers, MANY);
    id_list_clear(&list);
}

TEST_IN_CHILD(no_memory)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY}, all;
    child_skip_under_valgrind();
    child_check(id_list_add(&list, 1), "%s", "no memory");
    getrlimit(RLIMIT_AS, &all);
    setrlimit(RLIMIT_AS, &limit);
    child_skip_without_limit();
    child_check(!id_list_add(&list, 70000) && errno == ENOMEM, "%s", "there is memory");
    child_check(id_list_add(&list, 2), "%s", "the block that is there");
    setrlimit(RLIMIT_AS, &all);
    child_check(id_list_add(&list, 70000), "%s", "still none");
    child_check(id_list_next(&list, 1) == 2 && id_list_next(&list, 2) == 70000, "%s", "order");
}
