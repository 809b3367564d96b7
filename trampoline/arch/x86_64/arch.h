/* arch.h - what the image must know about this CPU: x86-64. Same file, same names for each CPU. */
#ifndef PYPERF_ARCH_H
#define PYPERF_ARCH_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    ARCH_ELF_MACHINE = EM_X86_64,
    ARCH_TRAMPOLINE_SIZE = 16,
    ARCH_JUMP_SIZE = 6, /* of arch_put_jump */
    /* DWARF register numbers: System V psABI x86-64, figure 3.36. */
    ARCH_DWARF_STACK_POINTER = 7,
    ARCH_DWARF_RETURN_ADDRESS = 16,
};

/* How far a jump from the detour's site reaches. */
#define ARCH_JUMP_REACH ((uintptr_t)0x7fff0000)

/* trampoline.S */
extern const uint8_t arch_trampoline[ARCH_TRAMPOLINE_SIZE];
extern const uint8_t arch_trampoline_displacement;
extern const uint8_t arch_trampoline_unwind[]; /* call frame instructions of the trampolines' FDE */
extern const uint8_t arch_trampoline_unwind_length;

/* Writes a trampoline that will run at `trampoline` and calls `target`; the distance between the two is below
 * 2 GiB because they are in one image. */
static inline void arch_put_trampoline(uint8_t *out, uintptr_t trampoline, uintptr_t target)
{
    memcpy(out, arch_trampoline, ARCH_TRAMPOLINE_SIZE);
    /* Relative to the end of the displacement, which ends the instruction. */
    int32_t displacement = (int32_t)(target - (trampoline + arch_trampoline_displacement + 4));
    memcpy(out + arch_trampoline_displacement, &displacement, sizeof displacement);
}

/* Writes a jump that will run at `jump`, to the address in the 8-byte constant at `constant`:
 * `jmp *constant(%rip)` (SDM vol. 2A, JMP FF /4, ModRM 00 100 101). */
static inline void arch_put_jump(uint8_t *out, uintptr_t jump, uintptr_t constant)
{
    int32_t displacement = (int32_t)(constant - (jump + ARCH_JUMP_SIZE));
    out[0] = 0xff;
    out[1] = 0x25;
    memcpy(out + 2, &displacement, sizeof displacement);
}

#endif
