/* disassemble.h - instructions as text, for the debug log.
 *
 * Implemented in each folder of trampoline/arch/. */
#ifndef PYPERF_DISASSEMBLE_H
#define PYPERF_DISASSEMBLE_H

#include <stddef.h>
#include <stdint.h>

/* Logs a line of the module detour, level 3, for each instruction: `what`, its address, its bytes,
 * and its text. The code is readable at `code` and runs at `address`. Stops at the first bytes that
 * are no instruction. */
void disassemble(const char *what, const uint8_t *code, size_t size, uintptr_t address);

#endif
