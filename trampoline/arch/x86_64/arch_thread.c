#include "arch_thread.h"

#include <stddef.h>
#include <string.h>

intptr_t arch_thread_fixed __attribute__((visibility("hidden")));

struct descriptor {
    const uint8_t *function;
    uintptr_t argument;
};

/* In thread_block.S; NULL in a program, whose linker knows the distance. */
const struct descriptor *arch_thread_descriptor(void);

/* Whether the function just returns its argument: glibc's _dl_tlsdesc_return (sysdeps/x86_64/dl-tlsdesc.S)
 * and musl's __tlsdesc_static (src/ldso/x86_64/tlsdesc.s). */
static bool returns_argument(const struct descriptor *descriptor)
{
    static const uint8_t landing[] = {0xf3, 0x0f, 0x1e, 0xfa};    /* endbr64 */
    static const uint8_t load[] = {0x48, 0x8b, 0x40, 0x08, 0xc3}; /* mov 8(%rax), %rax; ret */
    const uint8_t *code = descriptor->function;
    if (memcmp(code, landing, sizeof landing) == 0)
        code += sizeof landing;
    return memcmp(code, load, sizeof load) == 0;
}

intptr_t arch_thread_find(void)
{
    intptr_t offset = arch_thread_offset();
    if (arch_thread_is_fixed())
        __atomic_store_n(&arch_thread_fixed, offset, __ATOMIC_RELAXED);
    return offset;
}

bool arch_thread_is_fixed(void)
{
    return arch_thread_descriptor() == NULL || returns_argument(arch_thread_descriptor());
}
