/* relocate.c - moves the instruction at a function's entry to another address (AArch64).
 *
 * The jump is one word, so it displaces one instruction, and a branch of the function to the entry
 * finds the jump whole. Functions begin in three ways:
 *
 *   stp x29, x30, [sp, -352]!  <- jump     bti c                      paciasp  stays
 *   mov x29, sp                            sub sp, sp, 0x2d0 <- jump   stp x29, x30, [sp, -464]!  <- jump
 *
 * paciasp signs x30 with the stack pointer, which is what it was at the entry wherever that runs: at
 * the prologue's copy it signs the return address into the trampoline.
 *
 * Which instructions may move is a list of those that compilers begin functions with (word.h), not of
 * those that may not: each of them is known by mask and value, so there is nothing that a disassembler
 * would know better, and for each it is known what an unwinder has to be told. Those that are relative
 * to the program counter become longer:
 *
 *   b target               b target
 *   b.eq target            b.eq 1f; b 2f; 1: b target; 2:      also cbz, cbnz, tbz, tbnz
 *   adr x0, target         adrp x0, target; add x0, x0, :lo12:target
 *   adrp x0, target        adrp x0, target
 *   ldr x0, target         adrp x0, target; add x0, x0, :lo12:target; ldr x0, [x0]
 *
 * Refused are calls, whose return address would be in the copy, indirect jumps, and what is not in the
 * list. So is what writes x16, which the jump of the image's copy needs (arch_put_jump); x17 and x18
 * with it, which belong to linkers and platforms; and a register that the caller wants back (x19 to
 * x30: AAPCS64, 6.1.1) unless its value has been stored, since no row could say where it is. */
#include "trampoline/plan/relocate.h"

#include <inttypes.h>
#include <string.h>

#include "trampoline/plan/call_frame.h"
#include "word.h"

enum {
    B = 0x14000000,
    ADRP = 0x90000000,
    ADD_CONSTANT = 0x91000000,
    LDR_64 = 0xf9400000, /* from a register's address + 0 */
    LDR_32 = 0xb9400000,
    LDRSW = 0xb9800000,
    REACH = 1 << 27,    /* of B, in bytes */
    STORED = 8,         /* bytes of a register */
    STACK_POINTER = 31, /* or zero, by the instruction */
    FIRST_OF_LINKERS = 16,
    FIRST_OF_CALLER = 19,
    LAST_OF_CALLER = 30,
    FIRST_VECTOR = 64, /* DWARF's number of v0 (AADWARF64, 4.1): no row for those */
};

_Static_assert(ARCH_DETOUR_LENGTH == WORD && ARCH_MAX_DISPLACED == 2 * WORD, "one is displaced");
_Static_assert(WORD + 3 * WORD + WORD <= ARCH_MAX_RELOCATED, "kept, three words, a jump back");
_Static_assert(DETOUR_MAX_UNWIND >= 2 * (1 + 4 + 2 * 3), "an advance, the CFA, two registers each");

static bool refuse(struct failure *why, enum failure_code code, uintptr_t address, uint32_t word)
{
    return failure_set(why, code, 0, "%#" PRIxPTR ": %08" PRIx32 " %s", address, word,
                       word_name(word));
}

static uintptr_t start_of(const struct detour_plan *plan)
{
    return plan->site - plan->kept;
}

/* The start itself is not inside: a branch to it runs the jump and the hook, as a call does. Only the
 * arguments are live there, as at any call. */
static bool is_inside(const struct detour_plan *plan, uintptr_t target)
{
    return target - (start_of(plan) + 1) < plan->length - 1;
}

static uintptr_t next_home(const struct detour_plan *plan)
{
    return plan->prologue + ARCH_LANDING_PAD_SIZE + plan->relocated_length;
}

static void append(struct detour_plan *plan, uint32_t word)
{
    memcpy(plan->relocated + plan->relocated_length, &word, sizeof word);
    plan->relocated_length += sizeof word;
}

static bool append_branch(struct detour_plan *plan, uintptr_t target)
{
    intptr_t distance = (intptr_t)(target - next_home(plan));
    if (distance < -(intptr_t)REACH || distance >= REACH)
        return false;
    append(plan, arch_branch(B, next_home(plan), target));
    return true;
}

/* adrp: 21 bits of pages, the low two of them in bits 29 and 30. */
static bool append_page(struct detour_plan *plan, unsigned reg, uintptr_t target)
{
    int64_t pages = ((int64_t)(target >> 12)) - (int64_t)(next_home(plan) >> 12);
    if (pages < -(1 << 20) || pages >= 1 << 20)
        return false;
    append(plan,
           ADRP | ((uint32_t)pages & 3) << 29 | ((uint32_t)(pages >> 2) & 0x7ffff) << 5 | reg);
    return true;
}

static bool append_address(struct detour_plan *plan, unsigned reg, uintptr_t target)
{
    if (!append_page(plan, reg, target))
        return false;
    append(plan, ADD_CONSTANT | (uint32_t)(target & 4095) << 10 | reg << 5 | reg);
    return true;
}

/* The condition stays, with a distance of two words; its other bits are those of the register. */
static bool append_conditional(struct detour_plan *plan, uint32_t word, uintptr_t target)
{
    bool tests_bit = (word & 0x7e000000) == 0x36000000;
    uint32_t distance = tests_bit ? 0x3fff << 5 : 0x7ffff << 5;
    append(plan, (word & ~distance) | 2 << 5);
    append(plan, B | 2);
    return append_branch(plan, target);
}

/* opc in bits 30 and 31: ldr of 32 bits, of 64, ldrsw, prfm; bit 26: of a vector register. */
static bool append_literal(struct detour_plan *plan, uint32_t word, uintptr_t target)
{
    static const uint32_t loads[] = {LDR_32, LDR_64, LDRSW};
    unsigned reg = word_register(word);
    if (!append_address(plan, reg, target))
        return false;
    append(plan, loads[word >> 30] | reg << 5 | reg);
    return true;
}

/* Whether the instruction may write its register in the relocated code. */
static bool may_write(const struct call_frame *frame, unsigned reg)
{
    if (reg == STACK_POINTER)
        return false;
    if (reg >= FIRST_OF_CALLER)
        return (frame->saved >> reg & 1) != 0;
    return reg < FIRST_OF_LINKERS;
}

static bool can_move(const struct call_frame *frame, uint32_t word)
{
    unsigned reg = word_register(word);
    switch (word_kind(word)) {
    case WORD_NOTHING:
    case WORD_PAD:
    case WORD_SIGN:
    case WORD_BRANCH:
    case WORD_CONDITIONAL:
    case WORD_COMPARE:
    case WORD_STORE_PAIR:
    case WORD_STORE:
    case WORD_STORE_ELSEWHERE:
    case WORD_LOWER:
        return true;
    case WORD_LITERAL: /* neither prfm nor a vector register: there is none for the address */
        return word >> 30 != 3 && (word & 1 << 26) == 0 && may_write(frame, reg);
    case WORD_COMPUTE:
    case WORD_ADR:
    case WORD_ADRP:
    case WORD_LOAD:
    case WORD_FRAME:
        return may_write(frame, reg);
    default:
        return false;
    }
}

/* Moves one that is relative to the program counter; others are copied. */
static bool move(struct detour_plan *plan, uint32_t word, uintptr_t address, struct failure *why)
{
    enum word_kind kind = word_kind(word);
    uintptr_t target = word_target(word, address);
    bool branches = kind == WORD_BRANCH || kind == WORD_CONDITIONAL;
    bool loads = kind == WORD_LITERAL;
    if (branches && is_inside(plan, target))
        return refuse(why, FAILURE_BRANCH_INTO_ENTRY, address, word);
    /* A load from the displaced bytes would see the jump. */
    if (loads && target + STORED > start_of(plan) && target < start_of(plan) + plan->length)
        return refuse(why, FAILURE_INSTRUCTION, address, word);
    bool reached = true;
    if (kind == WORD_BRANCH)
        reached = append_branch(plan, target);
    else if (kind == WORD_CONDITIONAL)
        reached = append_conditional(plan, word, target);
    else if (kind == WORD_ADR)
        reached = append_address(plan, word_register(word), target);
    else if (kind == WORD_ADRP)
        reached = append_page(plan, word_register(word), target);
    else if (kind == WORD_LITERAL)
        reached = append_literal(plan, word, target);
    else
        append(plan, word);
    return reached || refuse(why, FAILURE_BRANCH_OUT_OF_REACH, address, word);
}

/* A register of the caller's was stored at the stack pointer + `above`. */
static bool store(struct call_frame *frame, unsigned reg, int64_t above)
{
    if (reg < FIRST_OF_CALLER || reg > LAST_OF_CALLER)
        return true;
    return above >= 0 && (uint64_t)above + STORED <= frame->cfa_offset &&
           call_frame_save(frame, reg, (uint64_t)above);
}

static bool describe_store(struct call_frame *frame, uint32_t word)
{
    bool pair = word_kind(word) == WORD_STORE_PAIR, vector = (word & 1 << 26) != 0;
    bool before = pair ? (word & 1 << 23) != 0 : (word & 1 << 24) == 0; /* sp is lowered before */
    int64_t at = (int64_t)(word >> 10 & 0xfff) * STORED;
    if (pair)
        at = word_signed(word, 15, 7) * STORED;
    else if (before)
        at = word_signed(word, 12, 9);
    if (before) {
        if (at >= 0 || !call_frame_lower(frame, (uint64_t)-at))
            return false;
        at = 0;
    }
    if (vector)
        return true;
    return store(frame, word_register(word), at) &&
           (!pair || store(frame, word >> 10 & 31, at + STORED));
}

/* Tells unwinders what an instruction does that has just been moved. False for one that they cannot be
 * told of. */
static bool describe(struct call_frame *frame, uint32_t word)
{
    unsigned shift = (word & 1 << 22) != 0 ? 12 : 0;
    switch (word_kind(word)) {
    case WORD_SIGN:
        return call_frame_put(frame, ARCH_DWARF_SIGNED);
    case WORD_STORE_PAIR:
    case WORD_STORE:
        return describe_store(frame, word);
    case WORD_LOWER:
        return call_frame_lower(frame, (uint64_t)(word >> 10 & 0xfff) << shift);
    default:
        return true;
    }
}

static bool displace(struct detour_plan *plan, const struct relocate_text *text,
                     struct failure *why)
{
    struct call_frame frame;
    plan->length = plan->kept + WORD;
    if (text->size < plan->length)
        return failure_set(why, FAILURE_TOO_SHORT, 0, "%#" PRIxPTR ": %zu bytes", text->address,
                           text->size);
    memcpy(plan->original, text->code, plan->length);
    call_frame_begin(&frame, plan);
    for (size_t offset = 0; offset < plan->length; offset += WORD) {
        uint32_t word = word_at(text->code + offset);
        uintptr_t address = text->address + offset;
        if (word_kind(word) == WORD_BREAKPOINT)
            return refuse(why, FAILURE_BREAKPOINT, address, word);
        /* A signature that is not kept is the function's landing pad, if it has no other. */
        bool is_pad = word_kind(word) == WORD_SIGN && text->pad == 0 && plan->kept == 0;
        if (!can_move(&frame, word) || is_pad)
            return refuse(why, FAILURE_INSTRUCTION, address, word);
        if (!move(plan, word, address, why))
            return false;
        if (!describe(&frame, word))
            return refuse(why, FAILURE_INSTRUCTION, address, word);
    }
    uint8_t jump[DETOUR_JUMP_LENGTH];
    if (!relocate_jump(jump, next_home(plan), start_of(plan) + plan->length, why))
        return false;
    append(plan, word_at(jump));
    return true;
}

bool relocate_jump(uint8_t jump[DETOUR_JUMP_LENGTH], uintptr_t from, uintptr_t to,
                   struct failure *why)
{
    intptr_t distance = (intptr_t)(to - from);
    if (distance < -(intptr_t)REACH || distance >= REACH)
        return failure_set(why, FAILURE_JUMP_OUT_OF_REACH, 0, "%#" PRIxPTR ": b %#" PRIxPTR, from,
                           to);
    uint32_t word = arch_branch(B, from, to);
    memcpy(jump, &word, sizeof word);
    return true;
}

/* Every word of the function can be asked: none stands between two. Only behind a kept paciasp is
 * there a second displaced word to lead to. */
static bool check_branches(const struct detour_plan *plan, const struct relocate_text *text,
                           struct failure *why)
{
    for (size_t offset = plan->length; offset + WORD <= text->size; offset += WORD) {
        uint32_t word = word_at(text->code + offset);
        uintptr_t address = text->address + offset;
        enum word_kind kind = word_kind(word);
        if ((kind == WORD_BRANCH || kind == WORD_CALL || kind == WORD_CONDITIONAL) &&
            is_inside(plan, word_target(word, address)))
            return refuse(why, FAILURE_BRANCH_INTO_ENTRY, address, word);
    }
    return true;
}

/* Whether the function is in a guarded page, where no indirect jump leads into its middle, its code does
 * not say: so the image's copy never jumps there itself. */
bool relocate_plan(struct detour_plan *plan, const struct relocate_text *text, struct failure *why)
{
    plan->needs_direct_jump = true;
    return displace(plan, text, why) && check_branches(plan, text, why);
}
