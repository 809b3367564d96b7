/* arch.h - what the CPU-independent code needs to know of x86-64. Every folder of trampoline/arch/
 * has this file, with the same names; its assembly includes it for the numbers. */
#ifndef PYPERF_ARCH_H
#define PYPERF_ARCH_H

#define ARCH_TRAMPOLINE_SIZE      16
#define ARCH_TRAMPOLINE_LINK_SIZE 3

/* Each trampoline begins with a landing pad: with guarded control flow (Intel's IBT, Arm's BTI) an
 * indirect jump or call must lead to one. endbr64: Intel SDM vol. 2A. */
#define ARCH_LANDING_PAD_SIZE 4

#define ARCH_JUMP_SIZE 7 /* of arch_put_jump */

/* The jump at the detour's site, and its reach: jmp rel32 (SDM vol. 2A, JMP: E9 cd). */
#define ARCH_DETOUR_LENGTH 5
#define ARCH_JUMP_REACH    0x7fff0000

/* The most that such a jump displaces: 4 bytes of whole instructions and one of at most 15 bytes
 * (SDM vol. 2A, 2.3.11); and the kept instruction in front of them, of at most 2. And the size of the
 * relocated code: longer, with a jump back. */
#define ARCH_MAX_DISPLACED 22
#define ARCH_MAX_RELOCATED 64

/* The instruction that is kept at the entry is `push %reg`. `lea 8(%rsp), %rsp` in front of each stub
 * and hook undoes it. */
#define ARCH_UNDO_SIZE 5

/* The largest page size of any kernel; segments of a file are aligned to it. */
#ifndef ARCH_MAX_PAGE
#define ARCH_MAX_PAGE 4096
#endif

/* Bits of an address that a user's program gets without asking for more (SDM vol. 1, 3.3.7.1). */
#define ARCH_ADDRESS_BITS 47

/* DWARF (System V psABI x86-64, figure 3.36): numbers of registers; the unit of locations. */
#define ARCH_DWARF_BASE_POINTER   3
#define ARCH_DWARF_FRAME_POINTER  6
#define ARCH_DWARF_STACK_POINTER  7
#define ARCH_DWARF_RETURN_ADDRESS 16
#define ARCH_DWARF_CODE_ALIGNMENT 1

/* The call frame instruction that says whether the return address is signed: none, DW_CFA_nop. */
#define ARCH_DWARF_SIGNED 0

/* The CFA's distance from the stack pointer at a function's entry: the size of the return address
 * that the call has pushed. */
#define ARCH_CFA_AT_ENTRY 8

/* The call frame instructions of trampoline.S, and how many trampolines share an FDE, which holds
 * those instructions ARCH_UNWIND_COPIES times. Here the rules hold for any trampoline, so one FDE
 * serves the whole image (IMAGE_TRAMPOLINES). The unit tests also use other values. */
#define ARCH_TRAMPOLINE_UNWIND_SIZE 32
#define ARCH_TRAMPOLINE_CFA_SIZE    13 /* the first of them are all that an unlinked one needs */
#ifndef ARCH_TRAMPOLINES_PER_FDE
#define ARCH_TRAMPOLINES_PER_FDE 65536
#define ARCH_UNWIND_COPIES       1
#endif

#ifndef __ASSEMBLER__

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARCH_ELF_MACHINE EM_X86_64

/* Relocations of entries of the global offset table (psABI, table 4.9). */
#define ARCH_RELOCATION_JUMP_SLOT R_X86_64_JUMP_SLOT
#define ARCH_RELOCATION_GLOB_DAT  R_X86_64_GLOB_DAT

/* The property of a file whose code is made for guarded jumps (IBT) and shadow stacks: psABI
 * x86-64, 4.1.4; then the part of it for shadow stacks. Our code qualifies: each trampoline, hook
 * and relocated prologue begins with an endbr64, and calls and returns are in pairs. */
#define ARCH_PROPERTY_TYPE  GNU_PROPERTY_X86_FEATURE_1_AND
#define ARCH_PROPERTY       (GNU_PROPERTY_X86_FEATURE_1_IBT | GNU_PROPERTY_X86_FEATURE_1_SHSTK)
#define ARCH_PROPERTY_STACK GNU_PROPERTY_X86_FEATURE_1_SHSTK

/* trampoline.S */
extern const uint8_t arch_trampoline[ARCH_TRAMPOLINE_SIZE];
extern const uint8_t arch_trampoline_displacement, arch_trampoline_link;
extern const uint8_t arch_trampoline_no_link[ARCH_TRAMPOLINE_LINK_SIZE];
extern const uint8_t arch_undo[ARCH_UNDO_SIZE];
extern const uint8_t arch_trampoline_unwind[ARCH_TRAMPOLINE_UNWIND_SIZE];

/* Writes a trampoline that will run at `trampoline` and calls `target`; the distance between the
 * two is below 2 GiB because they are in one image. An unlinked one is no part of the chain of frame
 * pointers. */
static inline void arch_put_trampoline(uint8_t *out, uintptr_t trampoline, uintptr_t target,
                                       bool unlinked)
{
    memcpy(out, arch_trampoline, ARCH_TRAMPOLINE_SIZE);
    if (unlinked)
        memcpy(out + arch_trampoline_link, arch_trampoline_no_link, ARCH_TRAMPOLINE_LINK_SIZE);
    /* Relative to the end of the displacement, which ends the instruction. */
    int32_t displacement = (int32_t)(target - (trampoline + arch_trampoline_displacement + 4));
    memcpy(out + arch_trampoline_displacement, &displacement, sizeof displacement);
}

/* Writes a jump that will run at `jump`, to the address in the 8-byte constant at `constant`:
 * `notrack jmp *constant(%rip)` (SDM vol. 2A, JMP FF /4, ModRM 00 100 101). The target need not
 * begin with a landing pad: it may lie in the middle of a function (3E: SDM vol. 1, 17.3.1,
 * "no-track"). */
static inline void arch_put_jump(uint8_t *out, uintptr_t jump, uintptr_t constant)
{
    int32_t displacement = (int32_t)(constant - (jump + ARCH_JUMP_SIZE));
    out[0] = 0x3e;
    out[1] = 0xff;
    out[2] = 0x25;
    memcpy(out + 3, &displacement, sizeof displacement);
}

/* Whether the kernel (uprobes) or a debugger has put an int3 over the first byte of an instruction. */
static inline bool arch_is_breakpoint(const uint8_t *code)
{
    return *code == 0xcc;
}

/* Makes code that was written as data visible to instruction fetch. x86-64 keeps its instruction
 * caches coherent with stores, and other cores run our code only after a lock has changed hands
 * (SDM vol. 3A, 8.1.3, and detour_commit.c for text that was run before). */
static inline void arch_synchronise(uintptr_t address, size_t length)
{
    (void)address, (void)length;
}

#endif
#endif
