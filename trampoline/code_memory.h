/* code_memory.h - writes code into pages that are never writable.
 *
 * A write to /proc/self/mem changes a private mapping whatever its protection, as for a debugger.
 * So a page can be executable from the start, and running text can be changed while it stays
 * executable for other threads. This also works in a process that may not make writable memory
 * executable (MDWE, systemd's MemoryDenyWriteExecute).
 *
 * Some kernels can be configured to refuse it (proc_mem.force_override), and /proc may be
 * missing. */
#ifndef PYPERF_CODE_MEMORY_H
#define PYPERF_CODE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes `length` bytes at `address`, which must be readable, and returns how many were written:
 * fewer where the mapping ends or cannot be written even that way. */
size_t code_memory_write(uintptr_t address, const void *bytes, size_t length);

/* Replaces what is mapped at `address` by anonymous memory, whole pages, that is readable and
 * executable and holds `length` bytes. Without /proc/self/mem it is writable first and then
 * executable, never both. False with errno when that is refused too; do not use what is then mapped
 * at `address`. */
bool code_memory_map(uintptr_t address, const void *bytes, size_t length);

#endif
