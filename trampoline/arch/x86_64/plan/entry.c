/* entry.c - what stays at a function's entry, in front of the jump (x86-64). */
#include <string.h>

#include "trampoline/plan/relocate.h"

size_t relocate_landing_pad(const uint8_t *code, size_t size)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}; /* Intel SDM vol. 2A, ENDBR64 */
    bool found = size >= sizeof endbr64 && memcmp(code, endbr64, sizeof endbr64) == 0;
    return found ? sizeof endbr64 : 0;
}

/* push %rbp and mov %rsp, %rbp, in either encoding, as compilers begin with -fno-omit-frame-pointer. A
 * function that is taken for another kind only hides its caller from who follows frame pointers. */
bool relocate_is_linked(const uint8_t *code, size_t size)
{
    static const uint8_t links[][4] = {{0x55, 0x48, 0x89, 0xe5}, {0x55, 0x48, 0x8b, 0xec}};
    return size >= sizeof links[0] && (memcmp(code, links[0], sizeof links[0]) == 0 ||
                                       memcmp(code, links[1], sizeof links[1]) == 0);
}

size_t relocate_kept(const uint8_t *code, size_t size)
{
    enum { PUSH = 0x50, REGISTER = 7 }; /* SDM vol. 2B, PUSH: 50+rd */
    enum { REX_B = 0x41 };              /* of r8 to r15 */
    size_t prefix = size > 0 && code[0] == REX_B;
    return size > prefix && (code[prefix] & ~REGISTER) == PUSH ? prefix + 1 : 0;
}

bool relocate_must_keep(const uint8_t *code, size_t size)
{
    (void)code, (void)size;
    return false; /* a landing pad is an instruction of its own */
}

size_t relocate_comparison(const uint8_t *code, size_t size)
{
    /* cmpl and cmpq $imm8, disp32(%rip): 83 /7 ib (SDM vol. 2A, CMP), with mod 00, r/m 101 (2.2.1.6) */
    static const uint8_t compare[] = {0x83, 0x3d};
    enum { REX_W = 0x48, OPERANDS = 5 };
    size_t prefix = size > 0 && code[0] == REX_W, length = prefix + sizeof compare + OPERANDS;
    return size >= length && memcmp(code + prefix, compare, sizeof compare) == 0 ? length : 0;
}
