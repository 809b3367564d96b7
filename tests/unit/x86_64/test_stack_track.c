/* test_stack_track.c - rows of unwind data for code that has none. The code is never run. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stack_track.h"
#include "support/support.h"

#define CODE(name, text)                                                                           \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n.balign 16\n" #name ":\n" text "\n" #name "_end:\n."            \
            "popsection\n")

enum { START = 0x1000, TABLE = 0x9000 };

static const int32_t *table;
static size_t table_size;

static bool read_table(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    if (address < TABLE || address - TABLE + size > table_size)
        return false;
    memcpy(bytes, (const uint8_t *)table + (address - TABLE), size);
    return true;
}

static struct stack_track *track(const uint8_t *code, const uint8_t *end)
{
    const struct stack_code all = {code, START, (uint64_t)(end - code), read_table, NULL};
    struct stack_track *made = stack_track_open(&all);
    ck_assert_ptr_nonnull(made);
    stack_track_function(made, START);
    ck_assert(stack_track_run(made));
    return made;
}

/* With a jump table. */
static struct stack_track *track_with(const uint8_t *code, const uint8_t *end,
                                      const int32_t *targets, size_t size)
{
    table = targets;
    table_size = size;
    struct stack_track *made = track(code, end);
    table_size = 0;
    return made;
}

/* The row for the instruction at that offset; offset 0 where there is none. */
static struct stack_row row_at(const struct stack_track *made, uint64_t offset)
{
    struct stack_row row, nothing = {0};
    for (uint64_t at = START; stack_track_row(made, at, &row); at = row.end)
        if (row.address <= START + offset && START + offset < row.end)
            return row;
    return nothing;
}

CODE(pushes, "push %rbx\n push %r12\n sub $0x20,%rsp\n call *%rax\n mov $1,%ebx\n add $0x20,%rsp\n"
             "pop %r12\n pop %rbx\n ret");

TEST(pushes_and_pops)
{
    struct stack_track *made = track(pushes, pushes_end);
    static const struct {
        int offset, cfa, rbx, r12;
    } rows[] = {{0, 8, 0, 0},     {1, 16, 16, 0},  {3, 24, 16, 24}, {7, 56, 16, 24},
                {18, 24, 16, 24}, {20, 16, 16, 0}, {21, 8, 0, 0}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        struct stack_row row = row_at(made, (uint64_t)rows[i].offset);
        ck_assert_msg(row.offset == rows[i].cfa && !row.by_frame, "%d: %d", rows[i].offset,
                      row.offset);
        ck_assert_int_eq(row.saved[0], rows[i].rbx);
        ck_assert_int_eq(row.saved[2], rows[i].r12);
        ck_assert(!row.lost[0]);
    }
    stack_track_close(made);
}

CODE(frame, "push %rbp\n mov %rsp,%rbp\n and $-64,%rsp\n nop\n leave\n ret");

TEST(by_the_frame_pointer)
{
    struct stack_track *made = track(frame, frame_end);
    struct stack_row inside = row_at(made, 8), after = row_at(made, 10);
    ck_assert(inside.by_frame);
    ck_assert_int_eq(inside.offset, 16);
    ck_assert_int_eq(inside.saved[1], 16);
    ck_assert(!after.by_frame);
    ck_assert_int_eq(after.offset, 8);
    ck_assert_int_eq(after.saved[1], 0);
    stack_track_close(made);
}

CODE(moves, "sub $0x18,%rsp\n mov %rbx,8(%rsp)\n xor %ebx,%ebx\n xor %r12d,%r12d\n"
            "mov 8(%rsp),%rbx\n add $0x18,%rsp\n ret");

TEST(saved_by_moves)
{
    struct stack_track *made = track(moves, moves_end);
    ck_assert_int_eq(row_at(made, 9).saved[0], 24);
    ck_assert(row_at(made, 14).lost[2]);
    ck_assert_int_eq(row_at(made, 19).saved[0], 0);
    ck_assert(!row_at(made, 19).lost[0]);
    stack_track_close(made);
}

CODE(switching, "push %rbx\n lea 0x9000-0x1008(%rip),%rdx\n movslq (%rdx,%rax,4),%rax\n"
                "add %rdx,%rax\n jmp *%rax\n nop\n nop\n pop %rbx\n ret\n nop\n pop %rbx\n ret");

TEST(jump_table)
{
    static const int32_t targets[] = {START + 19 - TABLE, START + 22 - TABLE};
    struct stack_track *made = track_with(switching, switching_end, targets, sizeof targets);
    ck_assert_int_eq(row_at(made, 19).offset, 16);
    ck_assert_int_eq(row_at(made, 20).offset, 8);
    ck_assert_int_eq(row_at(made, 22).offset, 16);
    ck_assert_int_eq(row_at(made, 17).offset, 0); /* nothing leads there */
    stack_track_close(made);
}

CODE(looping, "push %rbx\n lea 0x9000-0x1008(%rip),%rdx\n jmp 2f\n 1: cmp $1,%eax\n ja 2f\n"
              "movslq (%rdx,%rax,4),%rax\n add %rdx,%rax\n jmp *%rax\n nop\n pop %rbx\n ret\n nop\n"
              "2: dec %eax\n jmp 1b");

/* Another table follows this one, whose address was taken before the loop. */
TEST(jump_table_in_a_loop)
{
    static const int32_t targets[] = {START + 25 - TABLE, START + 27 - TABLE, START + 24 - TABLE};
    struct stack_track *made = track_with(looping, looping_end, targets, sizeof targets);
    ck_assert_int_eq(row_at(made, 25).offset, 16);
    ck_assert_int_eq(row_at(made, 26).offset, 8);
    ck_assert_int_eq(row_at(made, 27).offset, 16);
    ck_assert_int_eq(row_at(made, 24).offset, 0);
    stack_track_close(made);
}

/* The second call does not return: what follows it is another function, to which no call leads. */
CODE(endless, "push %rbx\n test %edi,%edi\n je 1f\n call 2f\n 1: pop %rbx\n ret\n 2: hlt\n");

TEST(calls_without_return)
{
    struct stack_track *made = track(endless, endless_end);
    ck_assert_int_eq(row_at(made, 10).offset, 16);
    ck_assert_int_eq(row_at(made, 11).offset, 8);
    ck_assert(stack_track_is_function(made, START + 12));
    ck_assert_int_eq(row_at(made, 12).offset, 8);
    stack_track_close(made);
}

CODE(differing, "test %edi,%edi\n je 1f\n push %rax\n 1: nop\n ret");

TEST(two_frames)
{
    struct stack_track *made = track(differing, differing_end);
    ck_assert_int_eq(row_at(made, 4).offset, 8);
    ck_assert_int_eq(row_at(made, 5).offset, 0);
    stack_track_close(made);
}

TEST(any_bytes)
{
    static uint8_t bytes[4096];
    srand(1);
    for (int i = 0; i < 200; i++) {
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (uint8_t)rand();
        struct stack_track *made = track_with(bytes, bytes + sizeof bytes,
                                              (const int32_t *)(const void *)bytes, sizeof bytes);
        struct stack_row row;
        for (uint64_t at = START; stack_track_row(made, at, &row); at = row.end)
            ck_assert_uint_gt(row.end, row.address);
        stack_track_close(made);
    }
}
