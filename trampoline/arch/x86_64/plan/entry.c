/* entry.c - what stays at a function's entry, in front of the jump (x86-64). */
#include <string.h>

#include "relocate.h"

size_t relocate_landing_pad(const uint8_t *code, size_t size)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}; /* Intel SDM vol. 2A, ENDBR64 */
    bool found = size >= sizeof endbr64 && memcmp(code, endbr64, sizeof endbr64) == 0;
    return found ? sizeof endbr64 : 0;
}

size_t relocate_kept(const uint8_t *code, size_t size)
{
    enum { PUSH = 0x50, REGISTER = 7 }; /* SDM vol. 2B, PUSH: 50+rd */
    enum { REX_B = 0x41 };              /* of r8 to r15 */
    size_t prefix = size > 0 && code[0] == REX_B;
    return size > prefix && (code[prefix] & ~REGISTER) == PUSH ? prefix + 1 : 0;
}
