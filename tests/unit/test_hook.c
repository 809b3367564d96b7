/* test_hook.c - the CPU's hook.S on frames, code objects and co_extras made here: which path it
 * takes, and what it keeps. Linked without lifecycle.c, which defines hook_resolve for the
 * library. */
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "hook_registers.h"
#include "support/support.h"
#include "trampoline/hook.h"
#include "trampoline/hook_variants.h"

/* The CPU's hook.S. */
uint64_t hook_call(void (*hook)(void), struct registers *before);
void hook_return(void);
void hook_kept(void); /* jumps to hook_entry, behind an instruction that arch_undo undoes */
extern uintptr_t hook_entry;
void hook_slot(void);
void hook_plain(void);
extern struct registers hook_arrived;
extern uint64_t hook_arrived_from;

enum { TAG = 0x4007 };

/* An entry of hook_state.codes is found by bits of the code object's address above the seventh. */
static struct {
    uint64_t frame[32], code[32], extra[16], values[16];
} world;

static const struct variant {
    const char *name;
    unsigned argument, frame_code, code_extra;
    bool indirect, floor, tagged;
} variants[] = {
#define ROW(name, ...) {#name, __VA_ARGS__},
    HOOK_VARIANTS(ROW)};

static const struct hook *hook_of(const struct variant *variant)
{
    const struct hook *hook = hook_find(variant->argument, variant->frame_code, variant->code_extra,
                                        variant->indirect, variant->floor, variant->tagged);
    ck_assert_msg(hook != NULL, "%s is not found", variant->name);
    return hook;
}

static struct {
    int calls;
    void *frame;
    uintptr_t stack; /* of the call: must be a multiple of 16 */
    void *callers[8];
    int caller_count;
    uintptr_t answer;
} resolve;

uintptr_t hook_resolve(void *frame)
{
    resolve.calls++;
    resolve.frame = frame;
    /* The frame address is below the return address. */
    resolve.stack = (uintptr_t)__builtin_frame_address(0) + 16;
    resolve.caller_count = backtrace(resolve.callers, LENGTH_OF(resolve.callers));
    hook_clobber();
    return resolve.answer;
}

static struct hook_code codes[HOOK_CODES];

static struct hook_code *entry_of(const void *code)
{
    return &codes[(uintptr_t)code / 128 % 65536];
}

static uint64_t *our_value(const struct variant *variant)
{
    if (variant->code_extra == 0)
        return &entry_of(world.code)->value;
    return variant->indirect ? &world.values[0] : &world.extra[1];
}

/* A frame whose code object has a valid trampoline. */
static void make_world(const struct variant *variant)
{
    memset(&world, 0x5a, sizeof world);
    hook_state.tag = HOOK_TAG(TAG);
    world.frame[variant->frame_code / 8] = (uintptr_t)world.code;
    memset(codes, 0, sizeof codes);
    hook_state.codes = codes;
    hook_state.codes_mask = HOOK_CODES_MASK;
    if (variant->code_extra == 0)
        entry_of(world.code)->code = (uintptr_t)world.code;
    else
        world.code[variant->code_extra / 8] = (uintptr_t)world.extra;
    world.extra[0] = 1;
    if (variant->indirect)
        world.extra[1] = (uintptr_t)world.values;
    *our_value(variant) = HOOK_TAG(TAG) | (uintptr_t)hook_slot;
    *hook_stack_here() = (struct hook_stack){0, SIZE_MAX};
    resolve.calls = 0;
    resolve.answer = (uintptr_t)hook_plain;
}

static struct registers before;

static uint64_t call(const struct variant *variant, void (*entry)(void))
{
    uint64_t *all = (uint64_t *)&before;
    for (size_t i = 0; i < sizeof before / sizeof *all; i++)
        all[i] = 0x0101010101010101u * (i + 1);
    *hook_argument(&before, 0) = 0xdeadbeef0001;
    *hook_argument(&before, 1) = 0xdeadbeef0002;
    *hook_argument(&before, variant->argument) = (uintptr_t)world.frame;
    memset(&hook_arrived, 0, sizeof hook_arrived);
    return hook_call(entry, &before);
}

static void check_arguments(const char *name, bool fast)
{
    const char *changed = hook_changed(&before, &hook_arrived, fast);
    ck_assert_msg(changed == NULL, "%s: %s is changed", name, changed);
    ck_assert_msg(hook_arrived_from == (uintptr_t)hook_return, "%s: would return to %#lx", name,
                  hook_arrived_from);
    ck_assert_msg(hook_stack_of(&hook_arrived) % 16 == HOOK_STACK_AT_ENTRY,
                  "%s: the stack is at %#lx", name, hook_stack_of(&hook_arrived));
}

/* Few registers are changed, and no libc is called. */
TEST(fast_way)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        const struct variant *variant = &variants[i];
        make_world(variant);
        errno = EXFULL;
        uint64_t where = call(variant, hook_of(variant)->fast);
        ck_assert_int_eq(errno, EXFULL);
        ck_assert_msg(where == (uintptr_t)hook_slot, "%s: arrives at %#lx", variant->name, where);
        ck_assert_msg(resolve.calls == 0, "%s: asks C", variant->name);
        check_arguments(variant->name, true);
    }
}

/* Conditions that must lead to C: each changes one thing in a state that does not. */
static void no_extra(const struct variant *variant)
{
    if (variant->code_extra == 0)
        entry_of(world.code)->code = 0;
    else
        world.code[variant->code_extra / 8] = 0;
}
/* Without co_extra: the entry holds a code object 8 MiB further on. */
static void another_code(const struct variant *variant)
{
    if (variant->code_extra == 0)
        entry_of(world.code)->code += (uintptr_t)HOOK_CODES << HOOK_CODE_SHIFT;
    else
        no_extra(variant);
}
static void no_memory(const struct variant *variant)
{
    if (variant->indirect)
        world.extra[1] = 0; /* CPython 3.6 allocates the array separately */
    else
        *our_value(variant) = 0;
}
/* The initial state. */
static void no_table(const struct variant *variant)
{
    static struct hook_code none;
    if (variant->code_extra == 0) {
        hook_state.codes = &none;
        hook_state.codes_mask = 0;
    } else {
        no_extra(variant);
    }
}
static void zero(const struct variant *variant)
{
    *our_value(variant) = 0;
}
static void stranger_pointer(const struct variant *variant)
{
    *our_value(variant) = (uintptr_t)world.values; /* another tool's malloc */
}
static void stranger_number(const struct variant *variant)
{
    *our_value(variant) = 1;
}
static void all_ones(const struct variant *variant)
{
    *our_value(variant) = UINT64_MAX;
}
static void untagged(const struct variant *variant)
{
    *our_value(variant) = (uintptr_t)hook_slot;
}
static void stale_tag(const struct variant *variant)
{
    *our_value(variant) = HOOK_TAG(TAG - 1) | (uintptr_t)hook_slot;
}
static void lowest_tag_bit(const struct variant *variant)
{
    *our_value(variant) ^= HOOK_TAG(1);
}
static void highest_tag_bit(const struct variant *variant)
{
    *our_value(variant) ^= (uint64_t)1 << 63;
}
static void new_tag(const struct variant *variant)
{
    (void)variant;
    hook_state.tag = HOOK_TAG(TAG + 1);
}

static const struct detour_to_c {
    const char *name;
    void (*change)(const struct variant *);
} changes[] = {
#define CHANGE(name)                                                                               \
    {                                                                                              \
#name, name                                                                                \
    }
    CHANGE(no_extra), CHANGE(no_table),         CHANGE(another_code),    CHANGE(no_memory),
    CHANGE(zero),     CHANGE(stranger_pointer), CHANGE(stranger_number), CHANGE(all_ones),
    CHANGE(untagged), CHANGE(stale_tag),        CHANGE(lowest_tag_bit),  CHANGE(highest_tag_bit),
    CHANGE(new_tag),
};

static void check_slow(const struct variant *variant, void (*entry)(void), const char *change)
{
    char name[64];
    snprintf(name, sizeof name, "%s, %s", variant->name, change);
    uint64_t where = call(variant, entry);
    ck_assert_msg(resolve.calls == 1, "%s: asks C %d times", name, resolve.calls);
    ck_assert_msg(where == resolve.answer, "%s: arrives at %#lx, expected %#lx", name, where,
                  resolve.answer);
    ck_assert_msg(resolve.frame == world.frame, "%s: frame %p", name, resolve.frame);
    ck_assert_msg(resolve.stack % 16 == 0, "%s: stack at %#lx", name, resolve.stack);
    check_arguments(name, false);
}

TEST(slow_way)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++)
        for (size_t j = 0; j < LENGTH_OF(changes); j++) {
            make_world(&variants[i]);
            changes[j].change(&variants[i]);
            check_slow(&variants[i], hook_of(&variants[i])->fast, changes[j].name);
        }
}

/* The hook jumps to C's answer, also if that is a trampoline. */
TEST(slow_way_to_a_slot)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        make_world(&variants[i]);
        *our_value(&variants[i]) = 0;
        resolve.answer = (uintptr_t)hook_slot;
        check_slow(&variants[i], hook_of(&variants[i])->fast, "answered with a trampoline");
    }
}

/* Asks C also when there is a valid trampoline. */
TEST(slow_entry)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        make_world(&variants[i]);
        check_slow(&variants[i], hook_of(&variants[i])->slow, "valid trampoline");
    }
}

/* The ways in front of which an instruction was kept: as if it had not been. */
TEST(behind_what_is_kept)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        make_world(&variants[i]);
        hook_entry = (uintptr_t)hook_of(&variants[i])->fast - ARCH_UNDO_SIZE;
        uint64_t where = call(&variants[i], hook_kept);
        ck_assert_msg(where == (uintptr_t)hook_slot && resolve.calls == 0, "%s: arrives at %#lx",
                      variants[i].name, where);
        check_arguments(variants[i].name, true);
        uint64_t stack = hook_stack_of(&hook_arrived);
        call(&variants[i], hook_of(&variants[i])->fast);
        ck_assert_uint_eq(hook_stack_of(&hook_arrived), stack);
        hook_entry = (uintptr_t)hook_of(&variants[i])->slow - ARCH_UNDO_SIZE;
        check_slow(&variants[i], hook_kept, "behind what is kept");
    }
}

/* If the code object's pointer may have tags, the trampoline is the same with each of them. */
TEST(tags_of_a_frame)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        for (uint64_t tags = 0; variants[i].tagged && tags < 4; tags++) {
            make_world(&variants[i]);
            world.frame[variants[i].frame_code / 8] |= tags;
            uint64_t where = call(&variants[i], hook_of(&variants[i])->fast);
            ck_assert_msg(where == (uintptr_t)hook_slot && resolve.calls == 0,
                          "%s, tags %lu: arrives at %#lx", variants[i].name, tags, where);
        }
    }
}

/* hook_find takes only exact matches. */
TEST(finds_exactly)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        const struct variant *v = &variants[i];
        const struct hook *hook = hook_of(v);
        ck_assert_ptr_ne(hook->fast, hook->slow);
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_ne(hook, hook_of(&variants[j]));
        ck_assert_ptr_null(
            hook_find(2, v->frame_code, v->code_extra, v->indirect, v->floor, v->tagged));
        ck_assert_ptr_null(
            hook_find(v->argument, 8, v->code_extra, v->indirect, v->floor, v->tagged));
        ck_assert_ptr_null(
            hook_find(v->argument, v->frame_code, 8, v->indirect, v->floor, v->tagged));
        if (v->code_extra != 0)
            ck_assert_ptr_ne(
                hook_find(v->argument, v->frame_code, 0, v->indirect, v->floor, v->tagged), hook);
        ck_assert_ptr_ne(
            hook_find(v->argument, v->frame_code, v->code_extra, !v->indirect, v->floor, v->tagged),
            hook);
        ck_assert_ptr_null(hook_find(v->argument, v->frame_code, v->code_extra, v->indirect,
                                     !v->floor, v->tagged));
        ck_assert_ptr_ne(
            hook_find(v->argument, v->frame_code, v->code_extra, v->indirect, v->floor, !v->tagged),
            hook);
    }
}

/* Only hooks that check the stack pointer, and only outside of the range. */
TEST(asks_outside_of_the_stack)
{
    int with_floor = 0;
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        with_floor += variants[i].floor;
        make_world(&variants[i]);
        call(&variants[i], hook_of(&variants[i])->fast);
        uint64_t stack = hook_stack_of(&hook_arrived); /* the same in all calls */
        const struct hook_stack ranges[] = {
            {0, SIZE_MAX},  {0, stack + 1},       {stack - 1, 2},  {stack, 1},
            {stack, 8},     {stack - 4096, 4097}, /* and outside: */
            {0, 0},         {stack, 0},           {0, stack},      {stack - 8, 8},
            {stack + 1, 8}, {stack + 8, 4096},    {UINT64_MAX, 8}, {stack - 4096, 4096}};
        for (size_t j = 0; j < LENGTH_OF(ranges); j++) {
            make_world(&variants[i]);
            *hook_stack_here() = ranges[j];
            call(&variants[i], hook_of(&variants[i])->fast);
            ck_assert_uint_eq(hook_stack_of(&hook_arrived), stack);
            int expected = variants[i].floor && j >= 6;
            ck_assert_msg(resolve.calls == expected, "%s, range %zu: asks C %d times",
                          variants[i].name, j, resolve.calls);
            check_arguments(variants[i].name, expected == 0);
        }
    }
    ck_assert_int_gt(with_floor, 0);
}

static void *size_in_thread(void *size)
{
    *(size_t *)size = hook_stack_here()->size;
    hook_stack_here()->size = 1;
    return NULL;
}

TEST(each_thread_has_its_stack)
{
    pthread_t thread;
    ck_assert_uint_eq(hook_stack_here()->size, 0);
    hook_stack_here()->size = 4711;
    for (int i = 0; i < 2; i++) {
        size_t size = 1;
        ck_assert_int_eq(pthread_create(&thread, NULL, size_in_thread, &size), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_uint_eq(size, 0);
    }
    ck_assert_uint_eq(hook_stack_here()->size, 4711);
}

/* hook.S's .cfi: from C back through the hook into its caller. */
TEST(unwinds_from_c)
{
    for (size_t i = 0; i < LENGTH_OF(variants); i++) {
        make_world(&variants[i]);
        *our_value(&variants[i]) = 0;
        call(&variants[i], hook_of(&variants[i])->fast);
        int found = -1;
        for (int j = 0; j < resolve.caller_count; j++)
            if ((uintptr_t)resolve.callers[j] == (uintptr_t)hook_return)
                found = j;
        ck_assert_msg(found >= 2, "%s: hook_call is frame %d of %d", variants[i].name, found,
                      resolve.caller_count);
        uintptr_t below =
            (uintptr_t)resolve.callers[found - 1] - (uintptr_t)hook_of(&variants[i])->fast;
        ck_assert_msg(below < 256, "%s: hook_call called something else", variants[i].name);
        ck_assert_msg(resolve.caller_count > found + 1, "%s: the stack ends there",
                      variants[i].name);
    }
}

TEST(all_bits_above_an_address_are_the_tags)
{
    ck_assert_uint_eq(hook_state.mask, ~(HOOK_TAG(1) - 1));
    ck_assert_uint_eq(HOOK_TAG(HOOK_TAGS), hook_state.mask);
    ck_assert_uint_eq(HOOK_TAG_OF((uint64_t)-5), HOOK_TAGS);
    ck_assert_uint_eq(HOOK_TAG_OF(HOOK_TAG(HOOK_TAGS - 1) | HOOK_ADDRESS((uintptr_t)&hook_state)),
                      HOOK_TAGS - 1);
    ck_assert_uint_lt((uintptr_t)&hook_state, HOOK_TAG(1));
}
