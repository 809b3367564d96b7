/* test_expression.c - DWARF expressions: each operation, those of linkers, of GCC and of our
 * trampolines; and damaged ones, at the end of readable memory. */
#include "support/guarded.h"
#include "trampoline/arch/x86_64/arch.h"
#include "trampoline/base/dwarf.h"
#include "trampoline/unwind/expression.h"

enum { RBP = ARCH_DWARF_FRAME_POINTER, RSP = ARCH_DWARF_STACK_POINTER, RIP = 16, CFA = 0x7000 };

static uint64_t stack[4] = {0x1111, 0x2222, 0x3333, 0x4444};
static struct unwind_registers registers;
static bool from_memory;

static void set_registers(void)
{
    registers = (struct unwind_registers){
        .pc = 0x401006, .sp = (uintptr_t)stack, .fp = (uintptr_t)(stack + 2)};
}

/* Evaluates the operations, with their length in front, at the end of memory. */
static bool evaluate(const uint8_t *operations, size_t size, bool has_cfa, uintptr_t *result)
{
    uint8_t block[300];
    ck_assert_uint_lt(size, 128);
    block[0] = (uint8_t)size;
    for (size_t i = 0; i < size; i++)
        block[i + 1] = operations[i];
    set_registers();
    from_memory = false;
    return unwind_expression(guarded_copy(block, size + 1), &registers, has_cfa, CFA, result,
                             &from_memory);
}

#define GIVES(expected, ...)                                                                       \
    do {                                                                                           \
        const uint8_t operations[] = {__VA_ARGS__};                                                \
        uintptr_t result = 0;                                                                      \
        ck_assert_msg(evaluate(operations, sizeof operations, false, &result), #__VA_ARGS__);      \
        ck_assert_msg(result == (uintptr_t)(expected), "%s: %#lx", #__VA_ARGS__, result);          \
    } while (0)

#define FAILS(...)                                                                                 \
    do {                                                                                           \
        const uint8_t operations[] = {__VA_ARGS__};                                                \
        uintptr_t result;                                                                          \
        ck_assert_msg(!evaluate(operations, sizeof operations, false, &result), #__VA_ARGS__);     \
    } while (0)

#define LIT(n)  (DW_OP_lit0 + (n))
#define BREG(n) (DW_OP_breg0 + (n))

TEST(operations)
{
    GIVES(0, LIT(0));
    GIVES(31, LIT(31));
    GIVES(200, DW_OP_const1u, 200);
    GIVES(-56, DW_OP_const1s, 200);
    GIVES(stack, BREG(RSP), 0);
    GIVES(stack + 1, BREG(RSP), 8);
    GIVES(stack, BREG(RBP), 0x70); /* -16 */
    GIVES((uintptr_t)stack + 8192, BREG(RSP), 0x80, 0xc0, 0x00);
    GIVES(0x401006, BREG(RIP), 0);
    ck_assert(!from_memory);
    GIVES(0x2222, BREG(RSP), 8, DW_OP_deref);
    ck_assert(from_memory);
    GIVES(0x180 + 3, LIT(3), DW_OP_plus_uconst, 0x80, 0x03);
    GIVES(4, LIT(6), LIT(12), DW_OP_and);
    GIVES(-6, LIT(6), LIT(12), DW_OP_minus);
    GIVES(72, LIT(6), LIT(12), DW_OP_mul);
    GIVES(18, LIT(6), LIT(12), DW_OP_plus);
    GIVES(24, LIT(6), LIT(2), DW_OP_shl);
    GIVES(0, LIT(6), DW_OP_const1u, 64, DW_OP_shl);
    GIVES(0, LIT(6), DW_OP_const1s, 0xff, DW_OP_shl);
    GIVES(1, LIT(6), LIT(6), DW_OP_ge);
    GIVES(0, LIT(5), LIT(6), DW_OP_ge);
    GIVES(0, DW_OP_const1s, 0xff, LIT(0), DW_OP_ge); /* signed */
    GIVES(9, LIT(7), LIT(8), LIT(9));                /* the topmost counts */
}

/* Any other operation, whatever is on the stack. */
TEST(knows_no_other_operations)
{
    static const uint8_t known[] = {DW_OP_deref, DW_OP_const1u, DW_OP_const1s, DW_OP_and,
                                    DW_OP_minus, DW_OP_mul,     DW_OP_plus,    DW_OP_plus_uconst,
                                    DW_OP_shl,   DW_OP_ge};
    for (unsigned operation = 0; operation < 256; operation++) {
        uintptr_t result;
        const uint8_t operations[] = {BREG(RSP), 0, BREG(RSP), 0, (uint8_t)operation, 1};
        size_t operand = operation == DW_OP_const1u || operation == DW_OP_const1s ||
                         operation == DW_OP_plus_uconst ||
                         (operation >= BREG(0) && operation <= BREG(31));
        bool expected = memchr(known, (int)operation, sizeof known) != NULL ||
                        (operation >= LIT(0) && operation <= LIT(31)) || operation == BREG(RBP) ||
                        operation == BREG(RSP) || operation == BREG(RIP);
        bool given = evaluate(operations, 5 + operand, false, &result);
        ck_assert_msg(given == expected, "operation %#x: %d", operation, given);
    }
}

TEST(cfa_on_the_stack)
{
    static const uint8_t operations[] = {LIT(8), DW_OP_minus};
    uintptr_t result;
    ck_assert(evaluate(operations, sizeof operations, true, &result));
    ck_assert_uint_eq(result, CFA - 8);
    ck_assert(!evaluate(operations, sizeof operations, false, &result));
    ck_assert(evaluate(operations, 0, true, &result));
    ck_assert_uint_eq(result, CFA);
}

TEST(stack_has_an_end)
{
    FAILS(DW_OP_plus);
    FAILS(LIT(1), DW_OP_plus);
    FAILS(DW_OP_deref);
    FAILS(DW_OP_plus_uconst, 1);
    GIVES(8, LIT(1), LIT(2), LIT(3), LIT(4), LIT(5), LIT(6), LIT(7), LIT(8));
    FAILS(LIT(1), LIT(2), LIT(3), LIT(4), LIT(5), LIT(6), LIT(7), LIT(8), LIT(9));
    uintptr_t result;
    ck_assert(!evaluate(NULL, 0, false, &result)); /* nothing */
}

TEST(memory_that_cannot_be_read)
{
    FAILS(LIT(0), DW_OP_deref);
    FAILS(DW_OP_const1s, 0xff, DW_OP_deref); /* the last byte of all */
    for (uintptr_t before = 0; before < 16; before++) {
        const uint8_t operations[] = {BREG(RSP), 0, DW_OP_deref};
        uint8_t block[] = {sizeof operations, operations[0], operations[1], operations[2]};
        uintptr_t result, end = (uintptr_t)guarded_end();
        uintptr_t at = guarded_copy(block, sizeof block);
        struct unwind_registers near = {.sp = end - before};
        ck_assert(unwind_expression(at, &near, false, 0, &result, &from_memory) == (before >= 8));
    }
}

/* .plt, as GNU ld and lld describe it: CFA = rsp + 8, and 8 more behind the push (gold: the
 * same). */
TEST(plt)
{
    static const uint8_t plt[] = {BREG(RSP), 8,        BREG(RIP), 0,         LIT(15),   DW_OP_and,
                                  LIT(11),   DW_OP_ge, LIT(3),    DW_OP_shl, DW_OP_plus};
    uint8_t block[1 + sizeof plt] = {sizeof plt};
    memcpy(block + 1, plt, sizeof plt);
    uintptr_t at = guarded_copy(block, sizeof block);
    for (uintptr_t pc = 0x401020; pc < 0x401030; pc++) {
        uintptr_t cfa;
        struct unwind_registers here = {.pc = pc, .sp = 0x7ff0, .fp = 0};
        ck_assert(unwind_expression(at, &here, false, 0, &cfa, &from_memory));
        ck_assert_uint_eq(cfa, 0x7ff8 + (pc >= 0x40102b ? 8 : 0));
    }
}

/* GCC's functions that realign their stack: the CFA is kept below the saved frame pointer. */
TEST(realigned_stack)
{
    GIVES(0x1111 + 0, BREG(RBP), 0x70, DW_OP_deref);
    GIVES(stack + 2, BREG(RBP), 0); /* where rbp was saved */
}

/* The rules of trampoline.S: the frame is open from byte 7 of 16 on. */
TEST(our_trampolines)
{
    const uint8_t *cfa_block = arch_trampoline_unwind + 1;
    const uint8_t *rbp_block = arch_trampoline_unwind + ARCH_TRAMPOLINE_CFA_SIZE + 2;
    ck_assert_uint_eq(arch_trampoline_unwind[0], DW_CFA_def_cfa_expression);
    ck_assert_uint_eq(rbp_block[-2], DW_CFA_val_expression);
    for (uintptr_t pc = 0x401020; pc < 0x401030; pc++) {
        bool is_open = (pc + 2) % 16 >= 7;
        struct unwind_registers here = {.pc = pc, .sp = (uintptr_t)stack, .fp = 0x5555};
        uintptr_t cfa, rbp;
        ck_assert(unwind_expression((uintptr_t)cfa_block, &here, false, 0, &cfa, &from_memory));
        ck_assert_uint_eq(cfa, (uintptr_t)stack + 8 + (is_open ? 8 : 0));
        ck_assert(unwind_expression((uintptr_t)rbp_block, &here, true, cfa, &rbp, &from_memory));
        ck_assert_uint_eq(rbp, is_open ? 0x1111 : 0x5555);
    }
}

/* Cut after each byte: what is behind is not read, and no part of it is believed. */
TEST(truncated)
{
    static const uint8_t whole[] = {
        14, BREG(RSP), 0x80,   0x7f,      BREG(RIP),         0, LIT(15), DW_OP_and, DW_OP_const1u,
        11, DW_OP_ge,  LIT(3), DW_OP_shl, DW_OP_plus_uconst, 8};
    uintptr_t result;
    set_registers();
    ck_assert(unwind_expression(guarded_copy(whole, sizeof whole), &registers, false, 0, &result,
                                &from_memory));
    for (size_t size = 0; size < sizeof whole; size++)
        ck_assert_msg(!unwind_expression(guarded_copy(whole, size), &registers, false, 0, &result,
                                         &from_memory),
                      "%zu", size);
}

/* Numbers that never end, and lengths beyond all memory. */
TEST(lengths)
{
    uint8_t endless[2 * GUARDED_PAGE];
    uintptr_t result;
    set_registers();
    memset(endless, 0x80, sizeof endless);
    ck_assert(!unwind_expression(guarded_copy(endless, sizeof endless), &registers, false, 0,
                                 &result, &from_memory));
    endless[0] = 127;
    endless[1] = DW_OP_plus_uconst;
    ck_assert(!unwind_expression(guarded_copy(endless, sizeof endless), &registers, true, 0,
                                 &result, &from_memory));
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, LIT(1)};
    ck_assert(!unwind_expression(guarded_copy(huge, sizeof huge), &registers, false, 0, &result,
                                 &from_memory));
    ck_assert(!unwind_expression(0, &registers, false, 0, &result, &from_memory));
    ck_assert(!unwind_expression(UINTPTR_MAX - 1, &registers, false, 0, &result, &from_memory));
}
