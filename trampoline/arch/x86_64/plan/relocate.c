/* relocate.c - moves the instructions at a function's entry to another address (x86-64).
 *
 * Most instructions do the same at any address. Those with an operand relative to the instruction
 * pointer are rewritten to keep their target, and branches with a one-byte distance get four bytes:
 *
 *   site: 0x1000  48 8b 05 f9 0f 00 00   mov 0xff9(%rip),%rax    -> 0x2000
 *         0x1007  74 07                  je  0x1010
 *   back: 0x1009  ...
 *
 *   prologue: 0x9000  48 8b 05 f9 8f ff ff   mov -0x7007(%rip),%rax  -> 0x2000
 *         0x9007  0f 84 03 80 ff ff      je  0x1010
 *         0x900d  e9 f7 7f ff ff         jmp 0x1009              = back
 *
 * Three kinds are refused. First, control transfers other than plain jumps: a call would push an
 * address in the relocated code, which has neither line numbers nor exception tables; ret, int3,
 * syscall and the like do not occur at the entry of an evaluator, so the function is not what it
 * should be. Second, branches with a one-byte distance and no longer form (loop, jrcxz). Third,
 * instructions that move the stack pointer by an amount that is not an immediate operand, because
 * the unwind data of the relocated code must say where the return address is.
 *
 * Capstone (4.0.2 or 5) decodes the instructions; where an error would crash the program, the raw
 * bytes are checked as well and have to agree. */
#include "trampoline/plan/relocate.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <string.h>

#include "capstone_memory.h"
#include "trampoline/plan/call_frame.h"

enum {
    MAX_INSTRUCTION = 15, /* Intel SDM vol. 2A, 2.3.11 */
    MAX_KEPT = 2,         /* relocate_kept */
    SHORT_REACH = 128,    /* rel8 leads 128 back at most, from the end of its instruction */

    /* Intel SDM vol. 2A and 2B, the pages of the instructions */
    JMP_REL8 = 0xeb,
    JMP_REL32 = 0xe9,
    CALL_REL32 = 0xe8,
    JCC_REL8 = 0x70,  /* + condition */
    ESCAPE = 0x0f,    /* first byte of all two-byte opcodes */
    JCC_REL32 = 0x80, /* + condition, behind ESCAPE */
    UD0 = 0xff,       /* behind ESCAPE */
    UD1 = 0xb9,
    UD2 = 0x0b,
    XBEGIN_REL32 = 0xf8c7, /* C7 F8, as read from memory */
    CONDITION = 0x0f,

    /* mod = 00, r/m = 101: disp32(%rip). Intel SDM vol. 2A, 2.2.1.6. No SIB byte follows, so the
     * displacement does. */
    MODRM_RIP = 0x05,
    MODRM_RIP_MASK = 0xc7,

    DISPLACEMENT = 4,
    GROWTH_UNKNOWN = -1,
    SLOT = 8, /* of the stack, in 64-bit mode; and the CFA's distance at the entry (psABI 3.2.2) */
};

/* Every displaced instruction but the last ends within the jump, so there are at most five and the one
 * that is kept, and at most three of them can be two-byte branches, which grow by four. */
_Static_assert(DETOUR_MAX_UNWIND >= (1 + DETOUR_JUMP_LENGTH) * (1 + 2 + 2) + 8,
               "an advance, the CFA's offset and a register for each instruction");
_Static_assert(DETOUR_MAX_DISPLACED >= MAX_KEPT + DETOUR_JUMP_LENGTH - 1 + MAX_INSTRUCTION &&
                   DETOUR_MAX_DISPLACED + 3 * 4 + DETOUR_JUMP_LENGTH <= DETOUR_MAX_RELOCATED,
               "the relocated code never outgrows its buffer");

/* Decoding. */

struct decoder {
    csh handle;
    cs_insn *instruction; /* the last one decoded */
};

static bool decoder_open(struct decoder *decoder, struct failure *why)
{
    capstone_memory_use();
    cs_err error = cs_open(CS_ARCH_X86, CS_MODE_64, &decoder->handle);
    if (error == CS_ERR_OK) {
        cs_option(decoder->handle, CS_OPT_DETAIL, CS_OPT_ON);
        decoder->instruction = cs_malloc(decoder->handle);
        if (decoder->instruction != NULL)
            return true;
        error = CS_ERR_MEM;
        cs_close(&decoder->handle);
    }
    return failure_set(why, error == CS_ERR_MEM ? FAILURE_MEMORY : FAILURE_DECODE, 0,
                       "capstone: %s", cs_strerror(error));
}

static void decoder_close(struct decoder *decoder)
{
    cs_free(decoder->instruction, 1);
    cs_close(&decoder->handle);
}

/* Decodes the instruction at text->code + offset. Reads zeros behind the function's end, so that an
 * instruction which the end cuts in two is told from bytes that are no instruction. */
static bool decode(struct decoder *decoder, const struct relocate_text *text, size_t offset,
                   struct failure *why)
{
    uint8_t window[MAX_INSTRUCTION] = {0};
    size_t size = text->size - offset;
    memcpy(window, text->code + offset, size < sizeof window ? size : sizeof window);

    const uint8_t *next = window;
    size_t left = sizeof window;
    uint64_t address = text->address + offset;
    if (cs_disasm_iter(decoder->handle, &next, &left, &address, decoder->instruction))
        return true;
    return failure_set(why, FAILURE_DECODE, 0, "%#" PRIxPTR ": %02x ...", text->address + offset,
                       window[0]);
}

static bool refuse(struct failure *why, enum failure_code code, const cs_insn *instruction)
{
    return failure_set(why, code, 0, "%#" PRIx64 ": %s%s%s", instruction->address,
                       instruction->mnemonic, instruction->op_str[0] != '\0' ? " " : "",
                       instruction->op_str);
}

static bool in_group(const cs_insn *instruction, uint8_t group)
{
    const cs_detail *detail = instruction->detail;
    return memchr(detail->groups, group, detail->groups_count) != NULL;
}

/* Whether this is a direct branch, of any length, calls included. */
static bool is_direct_branch(const cs_insn *instruction)
{
    return in_group(instruction, X86_GRP_BRANCH_RELATIVE) &&
           instruction->detail->x86.operands[0].type == X86_OP_IMM;
}

static uintptr_t branch_target(const cs_insn *instruction)
{
    return (uintptr_t)instruction->detail->x86.operands[0].imm;
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

/* Instructions that can move. */

/* jmp or jcc, without prefixes: with 66 the distance has two bytes on AMD's CPUs and four on
 * Intel's, and the others (bnd, a hint) have not been emitted by compilers for years. */
static bool is_plain_branch(const cs_insn *instruction)
{
    const uint8_t *bytes = instruction->bytes;
    return (instruction->size == 2 &&
            (bytes[0] == JMP_REL8 || (bytes[0] & ~CONDITION) == JCC_REL8)) ||
           (instruction->size == 5 && bytes[0] == JMP_REL32) ||
           (instruction->size == 6 && bytes[0] == ESCAPE && (bytes[1] & ~CONDITION) == JCC_REL32);
}

static bool has_rip_operand(const cs_x86 *x86)
{
    return x86->encoding.modrm_offset != 0 && (x86->modrm & MODRM_RIP_MASK) == MODRM_RIP;
}

/* Whether capstone's operands say of the instruction pointer what its ModR/M byte says. They do not
 * with an address-size prefix, 0x10(%eip), nor for moves to control registers. */
static bool rip_operand_agrees(const cs_insn *instruction)
{
    const cs_x86 *x86 = &instruction->detail->x86;
    const cs_x86_op *found = NULL;
    for (uint8_t i = 0; i < x86->op_count; i++)
        if (x86->operands[i].type == X86_OP_MEM && x86->operands[i].mem.base == X86_REG_RIP)
            found = &x86->operands[i];
    if (found == NULL || !has_rip_operand(x86))
        return found == NULL && !has_rip_operand(x86);

    int32_t displacement;
    memcpy(&displacement, instruction->bytes + x86->encoding.modrm_offset + 1, DISPLACEMENT);
    return found->mem.disp == displacement;
}

static bool is_stack_pointer(unsigned reg)
{
    return reg == X86_REG_RSP || reg == X86_REG_ESP || reg == X86_REG_SP || reg == X86_REG_SPL;
}

/* By how many bytes the instruction moves the stack pointer down: 0 when it leaves it alone. Push
 * and sub are known; every other mention of the stack pointer as a register operand is unknown,
 * but for the three that cannot write it. (`push %rsp` and `push 8(%rsp)` only read: the stack
 * pointer in the relocated code is what it would have been at the site.) */
static int64_t stack_growth(const cs_insn *instruction)
{
    const cs_detail *detail = instruction->detail;
    const cs_x86 *x86 = &detail->x86;
    const cs_x86_op *operands = x86->operands;

    /* with 66 it pushes two bytes, and capstone says eight */
    if (instruction->id == X86_INS_PUSH)
        return operands[0].size == SLOT && x86->prefix[2] == 0 ? SLOT : GROWTH_UNKNOWN;
    if (instruction->id == X86_INS_SUB && operands[0].type == X86_OP_REG &&
        operands[0].reg == X86_REG_RSP && operands[1].type == X86_OP_IMM)
        return operands[1].imm >= 0 ? operands[1].imm : GROWTH_UNKNOWN;

    for (uint8_t i = 0; i < detail->regs_write_count; i++)
        if (is_stack_pointer(detail->regs_write[i]))
            return GROWTH_UNKNOWN;
    for (uint8_t i = 0; i < x86->op_count; i++) {
        bool only_read = instruction->id == X86_INS_CMP || instruction->id == X86_INS_TEST ||
                         (instruction->id == X86_INS_MOV && i == 1);
        if (operands[i].type == X86_OP_REG && is_stack_pointer(operands[i].reg) && !only_read)
            return GROWTH_UNKNOWN;
    }
    return 0;
}

/* ud0, ud1 and ud2, by their opcodes: capstone 4 calls the second one UD2B, capstone 5 UD1. */
static bool is_undefined(const cs_insn *instruction)
{
    const uint8_t *opcode = instruction->detail->x86.opcode;
    return opcode[0] == ESCAPE && (opcode[1] == UD0 || opcode[1] == UD1 || opcode[1] == UD2);
}

static bool can_move(const cs_insn *instruction)
{
    static const uint8_t staying[] = {X86_GRP_CALL, X86_GRP_RET, X86_GRP_INT, X86_GRP_IRET,
                                      X86_GRP_PRIVILEGE};
    for (size_t i = 0; i < sizeof staying; i++)
        if (in_group(instruction, staying[i]))
            return false;
    if (is_undefined(instruction) || instruction->id == X86_INS_ENTER) /* in none of the groups */
        return false;
    if (in_group(instruction, X86_GRP_JUMP) || in_group(instruction, X86_GRP_BRANCH_RELATIVE))
        return is_plain_branch(instruction);
    return rip_operand_agrees(instruction) && stack_growth(instruction) != GROWTH_UNKNOWN;
}

/* Moving. */

/* The distance from the end of an instruction; false when it does not fit in rel32 or disp32. */
static bool distance(uintptr_t end, uintptr_t target, int32_t *out)
{
    int64_t full = (int64_t)(target - end);
    *out = (int32_t)full;
    return *out == full;
}

static uintptr_t next_home(const struct detour_plan *plan)
{
    return plan->prologue + ARCH_LANDING_PAD_SIZE + plan->relocated_length;
}

static void append(struct detour_plan *plan, const void *bytes, size_t size)
{
    memcpy(plan->relocated + plan->relocated_length, bytes, size);
    plan->relocated_length += size;
}

static bool move_branch(struct detour_plan *plan, const cs_insn *instruction, struct failure *why)
{
    if (is_inside(plan, branch_target(instruction)))
        return refuse(why, FAILURE_BRANCH_INTO_ENTRY, instruction);

    uint8_t opcode[] = {JMP_REL32, 0};
    size_t opcode_size = 1;
    if (instruction->id != X86_INS_JMP) {
        uint8_t old = instruction->bytes[instruction->size == 2 ? 0 : 1];
        opcode[0] = ESCAPE;
        opcode[1] = (uint8_t)(JCC_REL32 | (old & CONDITION));
        opcode_size = 2;
    }
    int32_t relative;
    if (!distance(next_home(plan) + opcode_size + sizeof relative, branch_target(instruction),
                  &relative))
        return refuse(why, FAILURE_BRANCH_OUT_OF_REACH, instruction);
    append(plan, opcode, opcode_size);
    append(plan, &relative, sizeof relative);
    return true;
}

static bool move_rip_operand(struct detour_plan *plan, const cs_insn *instruction,
                             struct failure *why)
{
    uint8_t bytes[MAX_INSTRUCTION];
    memcpy(bytes, instruction->bytes, instruction->size);
    uint8_t *place = bytes + instruction->detail->x86.encoding.modrm_offset + 1;

    int32_t displacement;
    memcpy(&displacement, place, sizeof displacement);
    uintptr_t target = instruction->address + instruction->size + (uintptr_t)(intptr_t)displacement;
    /* Who loads from the displaced bytes would see the jump; only the function's own address, as a
     * value, is what it was. */
    if (is_inside(plan, target) || (target == start_of(plan) && instruction->id != X86_INS_LEA))
        return refuse(why, FAILURE_INSTRUCTION, instruction);
    if (!distance(next_home(plan) + instruction->size, target, &displacement))
        return refuse(why, FAILURE_BRANCH_OUT_OF_REACH, instruction);
    memcpy(place, &displacement, sizeof displacement);
    append(plan, bytes, instruction->size);
    return true;
}

/* The DWARF number (System V psABI x86-64, figure 3.36) of a register that a function has to keep
 * for its caller (3.2.1), when the operand is one; -1 for all others. */
static int callee_saved(const cs_x86_op *operand)
{
    static const struct {
        x86_reg reg;
        int number;
    } kept[] = {{X86_REG_RBX, 3},  {X86_REG_RBP, 6},  {X86_REG_R12, 12},
                {X86_REG_R13, 13}, {X86_REG_R14, 14}, {X86_REG_R15, 15}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (operand->type == X86_OP_REG && operand->reg == kept[i].reg)
            return kept[i].number;
    return -1;
}

/* Tells unwinders what an instruction does that has just been moved. */
static bool describe(struct call_frame *frame, const cs_insn *instruction, struct failure *why)
{
    int64_t growth = stack_growth(instruction);
    int saved = -1;
    if (instruction->id == X86_INS_PUSH)
        saved = callee_saved(&instruction->detail->x86.operands[0]);
    if ((growth > 0 && !call_frame_lower(frame, (uint64_t)growth)) ||
        (saved >= 0 && !call_frame_save(frame, (unsigned)saved, 0)))
        return refuse(why, FAILURE_INSTRUCTION, instruction);
    return true;
}

/* Finds plan->length: whole instructions that can all move. */
static bool choose(struct decoder *decoder, struct detour_plan *plan,
                   const struct relocate_text *text, struct failure *why)
{
    const cs_insn *instruction = decoder->instruction;
    if (text->size < DETOUR_JUMP_LENGTH)
        return failure_set(why, FAILURE_TOO_SHORT, 0, "%#" PRIxPTR ": %zu bytes", text->address,
                           text->size);
    while (plan->length < plan->kept + DETOUR_JUMP_LENGTH) {
        if (!decode(decoder, text, plan->length, why))
            return false;
        if (plan->length + instruction->size > text->size)
            return refuse(why, FAILURE_TOO_SHORT, instruction);
        if (arch_is_breakpoint(instruction->bytes))
            return refuse(why, FAILURE_BREAKPOINT, instruction);
        if (!can_move(instruction))
            return refuse(why, FAILURE_INSTRUCTION, instruction);
        plan->length += instruction->size;
        /* It could be moved, but the bytes behind an unconditional jump may not be instructions. */
        if (instruction->id == X86_INS_JMP && plan->length < plan->kept + DETOUR_JUMP_LENGTH)
            return refuse(why, FAILURE_TOO_SHORT, instruction);
    }
    memcpy(plan->original, text->code, plan->length);
    return true;
}

static bool move(struct decoder *decoder, struct detour_plan *plan,
                 const struct relocate_text *text, struct failure *why)
{
    const cs_insn *instruction = decoder->instruction;
    struct call_frame frame;
    call_frame_begin(&frame, plan);
    for (size_t offset = 0; offset < plan->length; offset += instruction->size) {
        bool moved = decode(decoder, text, offset, why);
        if (moved && is_direct_branch(instruction))
            moved = move_branch(plan, instruction, why);
        else if (moved && has_rip_operand(&instruction->detail->x86))
            moved = move_rip_operand(plan, instruction, why);
        else if (moved)
            append(plan, instruction->bytes, instruction->size);
        if (!moved || !describe(&frame, instruction, why))
            return false;
    }
    uint8_t jump[DETOUR_JUMP_LENGTH];
    if (!relocate_jump(jump, next_home(plan), start_of(plan) + plan->length, why))
        return false;
    append(plan, jump, sizeof jump);
    return true;
}

bool relocate_jump(uint8_t jump[DETOUR_JUMP_LENGTH], uintptr_t from, uintptr_t to,
                   struct failure *why)
{
    int32_t relative;
    if (!distance(from + DETOUR_JUMP_LENGTH, to, &relative))
        return failure_set(why, FAILURE_JUMP_OUT_OF_REACH, 0, "%#" PRIxPTR ": jmp %#" PRIxPTR, from,
                           to);
    jump[0] = JMP_REL32;
    memcpy(jump + 1, &relative, sizeof relative);
    return true;
}

/* Branches into the displaced bytes.
 *
 *   site:  41 57                 e9 .. .. .. ..   jmp stub
 *          41 56       becomes
 *   1:     41 55                 .. 55            <- the last byte of the distance, then 55
 *   back:  ...
 *          jne 1b                                 executes the 55 on its own, or worse
 *
 * Nothing in a file says where the branches of a function lead, so all of them would have to be
 * found. How far a branch reaches makes that affordable:
 *
 *   back                   back + 128                                  the function's end
 *    |<- every instruction is ->|<- every four bytes are tried as ->|
 *    |   decoded                |   the distance of a near branch   |
 *
 * A short branch leads 128 bytes back at most, so only about forty instructions can be one that
 * arrives here. They are decoded in a line, which needs no luck: the line starts at a known
 * instruction, and compilers put no data between a function's x86 instructions. If something there
 * cannot be decoded, it is the end of what is known, and the function is refused.
 *
 * A near branch can stand anywhere in the function, and decoding the 45 KB of CPython's evaluator
 * takes longer than everything else together. So in the rest every four bytes are read as if they
 * were a distance: of the 2^32 there are, at most 18 lead into the displaced bytes, which leaves
 * next to nothing of which the opcode in front has to be looked at. Other bytes of that evaluator
 * look like such a branch by accident with a chance of one in half a million; that is refused,
 * wrongly but harmlessly. (Not so close to the entry, where a distance is a small negative number
 * and looks like any other: 75 e8 b8 ff ff ff ff is jne, mov $-1,%eax and holds a call.)
 *
 * Two kinds stay unseen. A jump through memory or a register (switch, computed goto) leads to the
 * labels of a table. A compiler's table holds case labels, and those come behind the instructions
 * that fetch the operand and jump: never into a prologue. And a part of the function that the
 * compiler put elsewhere (.cold) comes back behind the branch that led there, five or six bytes
 * long, so that what follows it is not displaced; or to the head of a loop, which would have to
 * begin within the first five bytes and not be closed by any branch of the function itself. */

/* Decodes whatever a short branch can stand in; *decoded becomes the offset behind it. */
static bool check_first_branches(struct decoder *decoder, const struct detour_plan *plan,
                                 const struct relocate_text *text, size_t *decoded,
                                 struct failure *why)
{
    const cs_insn *instruction = decoder->instruction;
    size_t offset = plan->length;
    for (; offset < text->size && offset < plan->length + SHORT_REACH;
         offset += instruction->size) {
        if (!decode(decoder, text, offset, why))
            return false;
        if (is_direct_branch(instruction) && is_inside(plan, branch_target(instruction)))
            return refuse(why, FAILURE_BRANCH_INTO_ENTRY, instruction);
    }
    *decoded = offset;
    return true;
}

/* The length of the near branch's opcode that ends right before code + end, 0 for none; nothing
 * before code + begin belongs to it. */
static size_t near_opcode(const uint8_t *code, size_t begin, size_t end)
{
    if (code[end - 1] == JMP_REL32 || code[end - 1] == CALL_REL32)
        return 1;
    if (end - begin < 2)
        return 0;
    bool jcc = code[end - 2] == ESCAPE && (code[end - 1] & ~CONDITION) == JCC_REL32;
    bool xbegin = (code[end - 1] << 8 | code[end - 2]) == XBEGIN_REL32;
    return jcc || xbegin ? 2 : 0;
}

static bool check_other_branches(struct decoder *decoder, const struct detour_plan *plan,
                                 const struct relocate_text *text, size_t decoded,
                                 struct failure *why)
{
    for (size_t end = decoded + 1 + DISPLACEMENT; end <= text->size; end++) {
        size_t place = end - DISPLACEMENT;
        int32_t relative;
        memcpy(&relative, text->code + place, sizeof relative);
        if (!is_inside(plan, text->address + end + (uintptr_t)(intptr_t)relative))
            continue;
        size_t opcode_size = near_opcode(text->code, decoded, place);
        if (opcode_size != 0)
            return decode(decoder, text, place - opcode_size, why) &&
                   refuse(why, FAILURE_BRANCH_INTO_ENTRY, decoder->instruction);
    }
    return true;
}

bool relocate_plan(struct detour_plan *plan, const struct relocate_text *text, struct failure *why)
{
    struct decoder decoder;
    if (!decoder_open(&decoder, why))
        return false;
    size_t decoded = 0;
    bool done = choose(&decoder, plan, text, why) && move(&decoder, plan, text, why) &&
                check_first_branches(&decoder, plan, text, &decoded, why) &&
                check_other_branches(&decoder, plan, text, decoded, why);
    decoder_close(&decoder);
    return done;
}
