#include "trampoline/plan/disassemble.h"

#include <capstone/capstone.h>
#include <stdio.h>

#include "capstone_memory.h"
#include "trampoline/base/debug.h"

static void log_instruction(const char *what, const cs_insn *instruction)
{
    char bytes[3 * sizeof instruction->bytes + 1] = "";
    for (size_t i = 0; i < instruction->size; i++)
        snprintf(bytes + 3 * i, sizeof bytes - 3 * i, "%02x ", instruction->bytes[i]);
    debug_log(detour, 3, "%s %#lx: %-24s%s %s", what, (unsigned long)instruction->address, bytes,
              instruction->mnemonic, instruction->op_str);
}

void disassemble(const char *what, const uint8_t *code, size_t size, uintptr_t address)
{
    csh handle;
    uint64_t next = address;
    capstone_memory_use();
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return;
    cs_insn *instruction = cs_malloc(handle);
    while (instruction != NULL && cs_disasm_iter(handle, &code, &size, &next, instruction))
        log_instruction(what, instruction);
    if (instruction != NULL)
        cs_free(instruction, 1);
    cs_close(&handle);
}
