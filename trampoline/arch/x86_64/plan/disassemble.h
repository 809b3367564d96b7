/* disassemble.h - instructions as text, for the debug log.
 *
 * The same file stands in every folder of trampoline/arch/. */
#ifndef PYPERF_DISASSEMBLE_H
#define PYPERF_DISASSEMBLE_H

#include <stddef.h>
#include <stdint.h>

/* Logs a line of the module detour, level 3, for each instruction: `what`, its address, its bytes, and
 * its text. The code is readable at `code` and runs at `address`. What follows bytes that are no
 * instruction is left out. */
void disassemble(const char *what, const uint8_t *code, size_t size, uintptr_t address);

#endif
