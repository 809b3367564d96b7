/* test_detour_place.c - the contents of the page near the function, which is never writable and
 * executable at once. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "code.h"
#include "support/plan.h"
#include "trampoline/near_memory.h"

/* Runs at any address. */
static const uint8_t code[] = CODE_ADD_1000;

static long hook(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

static const uintptr_t target = (uintptr_t)hook;

static struct detour_plan make_plan(uintptr_t *page)
{
    struct detour_plan plan = {.relocated_length = sizeof code};
    struct failure why;
    *page = near_memory_reserve((uintptr_t)hook, DETOUR_PAGE_SIZE, &why);
    memcpy(plan.relocated, code, sizeof code);
    plan.prologue = *page + DETOUR_PROLOGUE_OFFSET;
    return plan;
}

static evaluator *at(uintptr_t address)
{
    evaluator *function;
    memcpy(&function, &address, sizeof function);
    return function;
}

TEST(fills_the_page)
{
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    struct failure why = {.what = ""};
    int descriptors = count_descriptors();
    errno = EXFULL;
    ck_assert_msg(detour_place(&plan, page, &target, 1, &why), "%s: %s", failure_message(why.code),
                  why.what);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_int_eq(at(page + DETOUR_STUB_OFFSET)(1, 2, 3), 123);
    ck_assert_int_eq(at(page + DETOUR_PROLOGUE_OFFSET)(1, 2, 3), 1001);
    ck_assert_mem_eq((const void *)(plan.prologue + ARCH_LANDING_PAD_SIZE), code, sizeof code);
    assert_never_writable_and_executable();
}

/* With guarded indirect jumps and calls (IBT, BTI) the relocated prologue can still be called by its
 * address, and the target of a stub need not begin with a landing pad, where jumps can say so. */
TEST(guarded_jumps_may_lead_there)
{
    static const uint8_t pad[] = CODE_LANDING_PAD, jump[] = CODE_STUB;
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    ck_assert(detour_place(&plan, page, &target, 1, NULL));
    ck_assert_mem_eq((const void *)plan.prologue, pad, sizeof pad);
    ck_assert_mem_eq((const void *)(detour_stub(page, 0) + CODE_STUB_AT), jump, sizeof jump);
}

/* The code in front of stub `number` undoes the instruction that was kept. */
static void assert_undone(size_t number)
{
    uintptr_t page, targets[DETOUR_STUBS] = {0};
    struct detour_plan plan = make_plan(&page);
    code_put_undone(plan.relocated, plan.prologue + ARCH_LANDING_PAD_SIZE,
                    detour_stub(page, number) - ARCH_UNDO_SIZE);
    targets[number] = target;
    ck_assert(detour_place(&plan, page, targets, DETOUR_STUBS, NULL));
    ck_assert_int_eq(at(plan.prologue)(1, 2, 3), 123);
}

TEST(undoes_what_is_kept)
{
    for (size_t i = 0; i < DETOUR_STUBS; i++)
        assert_undone(i);
}

/* The most stubs, each with its own target. */
TEST(other_stubs)
{
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    uintptr_t targets[DETOUR_STUBS];
    for (size_t i = 0; i < DETOUR_STUBS; i++)
        targets[i] = i % 2 == 0 ? target : plan.prologue;
    ck_assert(detour_place(&plan, page, targets, DETOUR_STUBS, NULL));
    for (size_t i = 0; i < DETOUR_STUBS; i++)
        ck_assert_int_eq(at(detour_stub(page, i))(1, 2, 3), i % 2 == 0 ? 123 : 1001);
    ck_assert_int_eq(at(page + DETOUR_PROLOGUE_OFFSET)(5, 2, 3), 1005);
}

TEST(longest_code)
{
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    code_put_nothing(plan.relocated, DETOUR_MAX_RELOCATED - sizeof code);
    memcpy(plan.relocated + DETOUR_MAX_RELOCATED - sizeof code, code, sizeof code);
    plan.relocated_length = DETOUR_MAX_RELOCATED;
    ck_assert(detour_place(&plan, page, &target, 1, NULL));
    ck_assert_int_eq(at(page + DETOUR_PROLOGUE_OFFSET)(7, 2, 3), 1007);
    ck_assert_int_eq(at(page + DETOUR_STUB_OFFSET)(1, 2, 3), 123);
}

enum { LONGEST = DETOUR_MAX_DISPLACED };
static const struct movable {
    size_t length, relocated_length; /* the second without the jump back */
    int changed;                     /* byte of the relocated code, -1 for none */
    bool expected;
} movables[] = {
    {5, 5, -1, true},
    {LONGEST, LONGEST, -1, true},
    {LONGEST, LONGEST, LONGEST - 1, false},
    {5, 5, 0, false},
    {5, 5, 4, false},
    {5, 9, -1, false}, /* lengthened */
    {5, 5, 5, true},   /* the jump back always differs */
};

TEST(knows_what_can_be_moved)
{
    for (size_t i = 0; i < LENGTH_OF(movables); i++) {
        struct detour_plan plan = {.length = movables[i].length,
                                   .relocated_length =
                                       movables[i].relocated_length + DETOUR_JUMP_LENGTH};
        memset(plan.original, 0x90, sizeof plan.original);
        memset(plan.relocated, 0x90, sizeof plan.relocated);
        if (movables[i].changed >= 0)
            plan.relocated[movables[i].changed] = 0xcc;
        ck_assert_msg(detour_is_movable(&plan) == movables[i].expected, "row %zu", i);
    }
}

TEST_IN_CHILD(under_mdwe)
{
    uintptr_t page;
    child_deny_write_execute();
    struct detour_plan plan = make_plan(&page);
    struct failure why = {.what = ""};
    child_check(detour_place(&plan, page, &target, 1, &why), "%s: %s", failure_message(why.code),
                why.what);
    child_check(at(page + DETOUR_STUB_OFFSET)(1, 2, 3) == 123, "%#lx", page);
    child_check(at(page + DETOUR_PROLOGUE_OFFSET)(1, 2, 3) == 1001, "%#lx", page);
}

TEST_IN_CHILD(without_open)
{
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    struct failure why = {.what = ""};
    child_forbid_open();
    child_check(detour_place(&plan, page, &target, 1, &why), "%s: %s", failure_message(why.code),
                why.what);
    child_check(at(page + DETOUR_PROLOGUE_OFFSET)(1, 2, 3) == 1001, "%#lx", page);
}

TEST_IN_CHILD(under_mdwe_without_open)
{
    uintptr_t page;
    struct detour_plan plan = make_plan(&page);
    struct failure why = {.code = FAILURE_NONE};
    child_deny_write_execute();
    child_forbid_open();
    errno = EXFULL;
    child_check(!detour_place(&plan, page, &target, 1, &why), "%#lx", page);
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(why.code == FAILURE_NEAR_MEMORY, "%s", failure_message(why.code));
    child_check(why.sys_errno != 0, "%s", why.what);
    child_check(!detour_place(&plan, page, &target, 1, NULL), "%#lx", page);
}
