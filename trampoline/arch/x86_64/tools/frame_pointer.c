/* frame_pointer.c - x86-64:
 *
 *     made with a frame pointer            without one
 *     push %rbp                            push %r15
 *     mov  %rsp,%rbp                       push %rbp          a register to be kept, like any other
 *     ...                                  mov  %rdi,%rbp */
#include "preload/tools/frame_pointer.h"

#include <capstone/capstone.h>

/* A compiler may put an early exit before the frame is made, and may reorder the prologue. */
enum { PROLOGUE_INSTRUCTIONS = 16 };

static csh disassembler;
static cs_insn *instruction;

bool frame_pointer_open(void)
{
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &disassembler) == CS_ERR_OK &&
        cs_option(disassembler, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK)
        instruction = cs_malloc(disassembler);
    return instruction != NULL;
}

void frame_pointer_close(void)
{
    if (instruction != NULL)
        cs_free(instruction, 1);
    instruction = NULL;
    if (disassembler != 0)
        cs_close(&disassembler);
}

static bool is_register(const cs_x86_op *operand, x86_reg reg)
{
    return operand->type == X86_OP_REG && operand->reg == reg;
}

static bool writes_stack_pointer(void)
{
    return cs_reg_write(disassembler, instruction, X86_REG_RSP) ||
           is_register(&instruction->detail->x86.operands[0], X86_REG_RSP);
}

/* push %rbp as the first push, and then mov %rsp,%rbp: otherwise the saved rbp is not next to the
 * return address, and frame pointers do not link. */
bool frame_pointer_is_made(const uint8_t *bytes, size_t size)
{
    uint64_t address = 0;
    bool pushed = false;
    for (int i = 0; i < PROLOGUE_INSTRUCTIONS &&
                    cs_disasm_iter(disassembler, &bytes, &size, &address, instruction);
         i++) {
        const cs_x86_op *operands = instruction->detail->x86.operands;
        if (pushed && instruction->id == X86_INS_MOV && is_register(&operands[0], X86_REG_RBP))
            return is_register(&operands[1], X86_REG_RSP);
        if (!pushed && instruction->id == X86_INS_PUSH && is_register(&operands[0], X86_REG_RBP))
            pushed = true;
        else if (writes_stack_pointer() || instruction->id == X86_INS_JMP)
            return false;
    }
    return false;
}
