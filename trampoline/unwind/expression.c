#include "trampoline/unwind/expression.h"

#include "arch.h"
#include "trampoline/unwind/dwarf_cursor.h"

enum { DEPTH = 8 };

struct machine {
    struct dwarf_cursor code;
    struct readable memory;
    const struct unwind_registers *registers;
    uint64_t stack[DEPTH];
    unsigned height;
    bool *from_memory;
};

static void push(struct machine *machine, uint64_t value)
{
    if (machine->height < DEPTH)
        machine->stack[machine->height++] = value;
    else
        machine->code.failed = true;
}

static uint64_t pop(struct machine *machine)
{
    if (machine->height > 0)
        return machine->stack[--machine->height];
    machine->code.failed = true;
    return 0;
}

static void push_register(struct machine *machine, unsigned number)
{
    uint64_t value = 0;
    if (number == ARCH_DWARF_STACK_POINTER)
        value = machine->registers->sp;
    else if (number == ARCH_DWARF_FRAME_POINTER)
        value = machine->registers->fp;
    else if (number == ARCH_DWARF_RETURN_ADDRESS)
        value = machine->registers->pc;
    else
        machine->code.failed = true;
    push(machine, value + (uint64_t)dwarf_sleb(&machine->code));
}

static void push_memory(struct machine *machine)
{
    uint64_t address = pop(machine), word = 0;
    *machine->from_memory = true;
    if (!machine->code.failed && readable(&machine->memory, address, sizeof word))
        word = readable_word(address);
    else
        machine->code.failed = true;
    push(machine, word);
}

/* Operations of two operands; false for any other. */
static bool combine(struct machine *machine, uint8_t operation)
{
    uint64_t right, left;
    if (operation < DW_OP_and || operation > DW_OP_ne)
        return false;
    right = pop(machine);
    left = pop(machine);
    switch (operation) {
    case DW_OP_and:
        push(machine, left & right);
        return true;
    case DW_OP_minus:
        push(machine, left - right);
        return true;
    case DW_OP_mul:
        push(machine, left * right);
        return true;
    case DW_OP_plus:
        push(machine, left + right);
        return true;
    case DW_OP_shl:
        push(machine, right < 64 ? left << right : 0);
        return true;
    case DW_OP_ge:
        push(machine, (int64_t)left >= (int64_t)right);
        return true;
    default:
        return false;
    }
}

/* DWARF 4, 2.5.1 */
static void execute(struct machine *machine, uint8_t operation)
{
    struct dwarf_cursor *code = &machine->code;
    if (operation >= DW_OP_lit0 && operation < DW_OP_lit0 + 32)
        push(machine, operation - DW_OP_lit0);
    else if (operation >= DW_OP_breg0 && operation < DW_OP_breg0 + 32)
        push_register(machine, operation - DW_OP_breg0);
    else if (operation == DW_OP_deref)
        push_memory(machine);
    else if (operation == DW_OP_const1u)
        push(machine, dwarf_unsigned(code, 1));
    else if (operation == DW_OP_const1s)
        push(machine, (uint64_t)dwarf_signed(code, 1));
    else if (operation == DW_OP_plus_uconst)
        push(machine, pop(machine) + dwarf_uleb(code));
    else if (!combine(machine, operation))
        code->failed = true;
}

bool unwind_expression(uintptr_t block, const struct unwind_registers *registers, bool has_cfa,
                       uintptr_t cfa, uintptr_t *result, bool *from_memory)
{
    enum { LONGEST = 4096 };
    struct machine machine = {.registers = registers, .from_memory = from_memory};
    machine.code = (struct dwarf_cursor){.at = block, .end = block + LONGEST};
    uint64_t length = dwarf_uleb(&machine.code);
    if (length > LONGEST / 2)
        return false;
    machine.code.end = machine.code.at + length;
    if (has_cfa)
        push(&machine, cfa);
    while (machine.code.at < machine.code.end && !machine.code.failed)
        execute(&machine, dwarf_byte(&machine.code));
    *result = pop(&machine);
    return !machine.code.failed;
}
