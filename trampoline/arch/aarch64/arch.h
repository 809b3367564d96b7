/* arch.h - what the CPU-independent code needs to know of AArch64; x86_64/arch.h has the same names.
 * Arm ARM: Arm Architecture Reference Manual for A-profile, DDI 0487; section C6.2 has an entry for
 * each instruction. */
#ifndef PYPERF_ARCH_H
#define PYPERF_ARCH_H

#define ARCH_TRAMPOLINE_SIZE      32
#define ARCH_TRAMPOLINE_LINK_SIZE 4

/* Each trampoline begins with a landing pad, `bti c`: in a guarded page an indirect call, and an
 * indirect jump through x16 or x17, must lead to one (Arm ARM, C6.2, BTI). */
#define ARCH_LANDING_PAD_SIZE 4

#define ARCH_JUMP_SIZE 8 /* of arch_put_jump */

/* The jump at the detour's site, and its reach: B has a distance of 26 bits, in words, which is 128
 * MiB; less what lies between the site and the ends of the code near it. */
#define ARCH_DETOUR_LENGTH 4
#define ARCH_JUMP_REACH    0x7ff0000

/* The jump displaces one instruction. In front of it a paciasp may be kept. Relocated, the one has
 * three words at most, and a jump back follows. */
#define ARCH_MAX_DISPLACED 8
#define ARCH_MAX_RELOCATED 32

/* The instruction that is kept at the entry is `paciasp`: it is a landing pad, too, so it has to stay.
 * `autiasp` in front of each stub and hook undoes it. */
#define ARCH_UNDO_SIZE 4

/* The largest page size of any kernel (arch/arm64/Kconfig: ARM64_64K_PAGES); segments of a file are
 * aligned to it. */
#ifndef ARCH_MAX_PAGE
#define ARCH_MAX_PAGE 65536
#endif

/* Bits of an address that a user's program gets without asking for more (Linux,
 * Documentation/arch/arm64/memory.rst: with 52 bits, mmap gives higher addresses to those only that
 * ask for one). */
#define ARCH_ADDRESS_BITS 48

/* DWARF (DWARF for the Arm 64-bit Architecture, AADWARF64, 4.1): numbers of registers, x29, x30 and
 * sp; the unit of locations. Which registers hold the frame of a caller: x29, and x30 its return
 * address. */
#define ARCH_DWARF_BASE_POINTER   30
#define ARCH_DWARF_FRAME_POINTER  29
#define ARCH_DWARF_STACK_POINTER  31
#define ARCH_DWARF_RETURN_ADDRESS 30
#define ARCH_DWARF_CODE_ALIGNMENT 4

/* The call frame instruction that says whether the return address is signed (AADWARF64, 4.2). */
#define ARCH_DWARF_SIGNED 0x2d /* DW_CFA_AARCH64_negate_ra_state */

/* The CFA's distance from the stack pointer at a function's entry: the call has left the return
 * address in a register. */
#define ARCH_CFA_AT_ENTRY 0

/* The call frame instructions of trampoline.S, and how many trampolines share an FDE, which holds
 * those instructions ARCH_UNWIND_COPIES times. No rule may ask for the program counter, which has no
 * DWARF number that all unwinders know, so each trampoline has rows of its own. */
#define ARCH_TRAMPOLINE_UNWIND_SIZE 13
#define ARCH_TRAMPOLINE_CFA_SIZE    13 /* an unlinked one needs all of them, too */
#ifndef ARCH_TRAMPOLINES_PER_FDE
#define ARCH_TRAMPOLINES_PER_FDE 16
#define ARCH_UNWIND_COPIES       16
#endif

#ifndef __ASSEMBLER__

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARCH_ELF_MACHINE EM_AARCH64

/* Relocations of entries of the global offset table (ELF for the Arm 64-bit Architecture, AAELF64,
 * 5.7.11). */
#define ARCH_RELOCATION_JUMP_SLOT R_AARCH64_JUMP_SLOT
#define ARCH_RELOCATION_GLOB_DAT  R_AARCH64_GLOB_DAT

/* The property of a file whose code is made for guarded pages (AAELF64, 6.2): the loader maps its code
 * with PROT_BTI. Our code qualifies: each trampoline and hook begins with a landing pad. There is no
 * part of it for shadow stacks. */
#define ARCH_PROPERTY_TYPE  GNU_PROPERTY_AARCH64_FEATURE_1_AND
#define ARCH_PROPERTY       GNU_PROPERTY_AARCH64_FEATURE_1_BTI
#define ARCH_PROPERTY_STACK 0

/* trampoline.S */
extern const uint8_t arch_trampoline[ARCH_TRAMPOLINE_SIZE];
extern const uint8_t arch_trampoline_displacement, arch_trampoline_link;
extern const uint8_t arch_trampoline_no_link[ARCH_TRAMPOLINE_LINK_SIZE];
extern const uint8_t arch_undo[ARCH_UNDO_SIZE];
extern const uint8_t arch_trampoline_unwind[ARCH_TRAMPOLINE_UNWIND_SIZE];

/* B or BL at `from`, to `to`, which is in its reach: a distance in words, in the low 26 bits. */
static inline uint32_t arch_branch(uint32_t opcode, uintptr_t from, uintptr_t to)
{
    return opcode | ((uint32_t)((to - from) >> 2) & 0x3ffffff);
}

/* Writes a trampoline that will run at `trampoline` and calls `target`, with BL; the distance between
 * the two is below 128 MiB because they are in one image. An unlinked one is no part of the chain of
 * frame pointers. */
static inline void arch_put_trampoline(uint8_t *out, uintptr_t trampoline, uintptr_t target,
                                       bool unlinked)
{
    memcpy(out, arch_trampoline, ARCH_TRAMPOLINE_SIZE);
    if (unlinked)
        memcpy(out + arch_trampoline_link, arch_trampoline_no_link, ARCH_TRAMPOLINE_LINK_SIZE);
    uint32_t call = arch_branch(0x94000000, trampoline + arch_trampoline_displacement, target);
    memcpy(out + arch_trampoline_displacement, &call, sizeof call);
}

/* Writes a jump that will run at `jump`, to the address in the 8-byte constant at `constant`, within 1
 * MiB: `ldr x16, constant` (LDR literal: 19 bits of words) and `br x16`. A linker's code between a call
 * and its target may change x16 as well (AAPCS64, 6.1.1). In a guarded page the target must begin with
 * a landing pad. */
static inline void arch_put_jump(uint8_t *out, uintptr_t jump, uintptr_t constant)
{
    const uint32_t words[] = {0x58000010 | ((uint32_t)((constant - jump) >> 2) & 0x7ffff) << 5,
                              0xd61f0200};
    memcpy(out, words, sizeof words);
}

/* Whether the kernel (uprobes: BRK with the immediate 5, arch/arm64/include/asm/brk-imm.h) or a
 * debugger (0) has put a breakpoint over an instruction. */
static inline bool arch_is_breakpoint(const uint8_t *code)
{
    uint32_t word;
    memcpy(&word, code, sizeof word);
    return (word & 0xffe0001f) == 0xd4200000;
}

/* Makes code that was written as data visible to instruction fetch, on all cores: data cache lines are
 * cleaned and instruction cache lines dropped by address, which all cores of a process's domain see
 * (Arm ARM, B2.2.5 and D7.5.9.2). A core that has fetched the old instructions ahead drops them at its
 * next return from the kernel, or at membarrier(2) (detour_commit.c). */
static inline void arch_synchronise(uintptr_t address, size_t length)
{
    __builtin___clear_cache((char *)address, (char *)address + length);
}

#endif
#endif
