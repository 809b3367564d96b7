/* code_memory.h - bytes that are to be executed, put where nothing is ever writable.
 *
 * Through /proc/self/mem the kernel writes into a private mapping whatever its protection, as it
 * does for a debugger. So a page can be executable from the start and still get its bytes, and
 * running text can be exchanged without another thread ever finding it not executable. A process
 * that may not make memory executable (MDWE, systemd's MemoryDenyWriteExecute) may do that.
 *
 * Some kernels can be told to refuse it (proc_mem.force_override), and /proc may be missing. */
#ifndef PYPERF_CODE_MEMORY_H
#define PYPERF_CODE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes `length` bytes at `address`, where memory can be read, and returns how many of them stand
 * there now: fewer where what is mapped ends, or cannot be written even that way. */
size_t code_memory_write(uintptr_t address, const void *bytes, size_t length);

/* Maps anonymous memory that holds `length` bytes, up to the end of a page, and is readable and
 * executable, in the place of what is mapped at `address`. Where /proc/self/mem is not to be had,
 * it is writable first and then executable, never both. False with errno when that is refused,
 * too; what is mapped at `address` is then of no use. */
bool code_memory_map(uintptr_t address, const void *bytes, size_t length);

#endif
