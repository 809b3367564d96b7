#include "stack_frame.h"

#include <stdlib.h>
#include <string.h>

#include "trampoline/base/hash.h"

enum { WORD = 8, FRAMES_MAX = 1 << 15, SLOTS = 1 << 16, RBP = 1 };

const uint8_t stack_saved_numbers[STACK_SAVED] = {3, STACK_FRAME_NUMBER, 12, 13, 14, 15};
const struct stack_frame stack_frame_of_entry = {.stack = WORD};

static const x86_reg whole[STACK_SAVED] = {X86_REG_RBX, X86_REG_RBP, X86_REG_R12,
                                           X86_REG_R13, X86_REG_R14, X86_REG_R15};
static const x86_reg parts[STACK_SAVED][4] = {
    {X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
    {X86_REG_EBP, X86_REG_BP, X86_REG_BPL, X86_REG_BPL},
    {X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, X86_REG_R12B},
    {X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, X86_REG_R13B},
    {X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, X86_REG_R14B},
    {X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, X86_REG_R15B},
};

static int saved_index(unsigned reg)
{
    for (int i = 0; i < STACK_SAVED; i++)
        if (whole[i] == reg)
            return i;
    return -1;
}

static bool is_register(const cs_x86_op *operand, x86_reg reg)
{
    return operand->type == X86_OP_REG && operand->reg == reg;
}

/* Its distance, if the operand is memory of this frame; otherwise 0. */
static int32_t distance_of(const struct stack_frame *frame, const cs_x86_op *operand)
{
    if (operand->type != X86_OP_MEM || operand->mem.index != X86_REG_INVALID ||
        operand->mem.segment != X86_REG_INVALID)
        return 0;
    int32_t base = operand->mem.base == X86_REG_RSP   ? frame->stack
                   : operand->mem.base == X86_REG_RBP ? frame->frame
                                                      : 0;
    return base == 0 ? 0 : base - (int32_t)operand->mem.disp;
}

static void save(struct stack_frame *frame, int i, int32_t distance)
{
    if (i >= 0 && frame->saved[i] == 0 && (frame->changed & 1u << i) == 0 && distance % WORD == 0)
        frame->saved[i] = distance;
}

static void change(struct stack_frame *frame, int i)
{
    frame->changed |= 1u << i;
    if (i == RBP)
        frame->frame = 0;
}

/* The register is loaded from there. */
static void load(struct stack_frame *frame, int i, int32_t distance)
{
    if (i < 0)
        return;
    change(frame, i);
    if (distance == 0 || frame->saved[i] != distance)
        return;
    frame->changed &= ~(1u << i);
    frame->saved[i] = 0;
}

static void note_writes(struct stack_frame *frame, csh disassembler, const cs_insn *instruction)
{
    cs_regs read, written;
    uint8_t reads, writes;
    if (cs_regs_access(disassembler, instruction, read, &reads, written, &writes) != CS_ERR_OK)
        return;
    for (unsigned w = 0; w < writes; w++) {
        if (written[w] == X86_REG_RSP || written[w] == X86_REG_ESP || written[w] == X86_REG_SP)
            frame->stack = 0;
        for (int i = 0; i < STACK_SAVED; i++)
            for (int j = 0; j < 4; j++)
                if (written[w] == whole[i] || written[w] == parts[i][j])
                    change(frame, i);
    }
}

static bool moves_stack(struct stack_frame *frame, unsigned id, const cs_x86 *detail)
{
    const cs_x86_op *operands = detail->operands;
    if (id == X86_INS_LEAVE) {
        frame->stack = frame->frame;
        if (frame->stack != 0) {
            load(frame, RBP, frame->stack);
            frame->stack -= WORD;
        }
        return true;
    }
    if (!is_register(&operands[0], X86_REG_RSP))
        return false;
    int32_t by = operands[1].type == X86_OP_IMM ? (int32_t)operands[1].imm : 0;
    if (id == X86_INS_SUB && operands[1].type == X86_OP_IMM && frame->stack != 0)
        frame->stack += by;
    else if (id == X86_INS_ADD && operands[1].type == X86_OP_IMM && frame->stack != 0)
        frame->stack -= by;
    else if (id == X86_INS_MOV && is_register(&operands[1], X86_REG_RBP))
        frame->stack = frame->frame;
    else if (id == X86_INS_LEA)
        frame->stack = distance_of(frame, &operands[1]);
    else
        return false;
    return true;
}

static bool pushes_or_pops(struct stack_frame *frame, unsigned id, const cs_x86 *detail)
{
    const cs_x86_op *operand = &detail->operands[0];
    bool pushes = id == X86_INS_PUSH || id == X86_INS_PUSHFQ;
    if (!pushes && id != X86_INS_POP && id != X86_INS_POPFQ)
        return false;
    int i = detail->op_count == 1 && operand->type == X86_OP_REG ? saved_index(operand->reg) : -1;
    if (frame->stack == 0) {
        if (!pushes)
            load(frame, i, 0);
        return true;
    }
    if (pushes) {
        frame->stack += WORD;
        save(frame, i, frame->stack);
        return true;
    }
    load(frame, i, frame->stack);
    frame->stack -= WORD;
    if (detail->op_count == 1 && is_register(operand, X86_REG_RSP))
        frame->stack = 0;
    return true;
}

bool stack_frame_step(struct stack_frame *frame, csh disassembler, const cs_insn *instruction)
{
    const cs_x86 *detail = &instruction->detail->x86;
    const cs_x86_op *operands = detail->operands;
    bool is_move = instruction->id == X86_INS_MOV && detail->op_count == 2;
    if (pushes_or_pops(frame, instruction->id, detail) ||
        moves_stack(frame, instruction->id, detail))
        ;
    else if (is_move && operands[1].type == X86_OP_REG && operands[0].size == WORD &&
             distance_of(frame, &operands[0]) != 0)
        save(frame, saved_index(operands[1].reg), distance_of(frame, &operands[0]));
    else if (is_move && operands[0].type == X86_OP_REG && saved_index(operands[0].reg) >= 0 &&
             distance_of(frame, &operands[1]) != 0)
        load(frame, saved_index(operands[0].reg), distance_of(frame, &operands[1]));
    else if (is_move && is_register(&operands[0], X86_REG_RBP) &&
             is_register(&operands[1], X86_REG_RSP)) {
        change(frame, RBP);
        frame->frame = frame->stack;
    } else
        note_writes(frame, disassembler, instruction);
    return frame->stack > 0 || frame->frame > 0;
}

bool stack_frame_same_place(const struct stack_frame *one, const struct stack_frame *other)
{
    struct stack_row rows[2] = {{0}, {0}};
    stack_frame_describe(one, &rows[0]);
    stack_frame_describe(other, &rows[1]);
    return memcmp(&rows[0], &rows[1], sizeof rows[0]) == 0;
}

void stack_frame_describe(const struct stack_frame *frame, struct stack_row *row)
{
    row->by_frame = frame->stack <= 0;
    row->offset = row->by_frame ? frame->frame : frame->stack;
    for (int i = 0; i < STACK_SAVED; i++) {
        row->saved[i] = frame->saved[i];
        row->lost[i] = frame->saved[i] == 0 && (frame->changed & 1u << i) != 0;
    }
}

bool stack_frames_open(struct stack_frames *frames)
{
    frames->all = calloc(FRAMES_MAX, sizeof *frames->all);
    frames->numbers = calloc(SLOTS, sizeof *frames->numbers);
    return frames->all != NULL && frames->numbers != NULL;
}

void stack_frames_close(struct stack_frames *frames)
{
    free(frames->all);
    free(frames->numbers);
}

uint16_t stack_frames_number(struct stack_frames *frames, const struct stack_frame *frame)
{
    uint32_t hash = hash_text((const char *)frame, sizeof *frame);
    for (;; hash++) {
        uint16_t *number = &frames->numbers[hash % SLOTS];
        if (*number == 0) {
            if (frames->count == FRAMES_MAX - 1)
                return 0;
            frames->all[frames->count] = *frame;
            return *number = (uint16_t)++frames->count;
        }
        if (memcmp(&frames->all[*number - 1], frame, sizeof *frame) == 0)
            return *number;
    }
}

const struct stack_frame *stack_frames_get(const struct stack_frames *frames, uint16_t number)
{
    return &frames->all[number - 1];
}
