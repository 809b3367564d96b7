/* capstone_others.c - the processors that are not this one, left out of capstone.
 *
 * libcapstone.a refers to all its processors from one table, so that linking it brings them all,
 * and with them 75,000 pointers for the loader to adjust each time a Python process starts: 0.9 of
 * the 2.4 milliseconds that a start with profiling took longer. Functions of these names, found
 * first, leave the archive's own out. They are never called: cs_open is asked for this processor
 * alone. A name that a later capstone adds is merely not left out. (capstone 4 and 5: cs.c,
 * cs_arch_init.) */
#include <capstone/capstone.h>

#define OTHERS(X)                                                                                  \
    X(ARM)                                                                                         \
    X(AArch64)                                                                                     \
    X(Mips)                                                                                        \
    X(PPC)                                                                                         \
    X(Sparc)                                                                                       \
    X(SystemZ)                                                                                     \
    X(XCore)                                                                                       \
    X(M68K)                                                                                        \
    X(TMS320C64x)                                                                                  \
    X(M680X)                                                                                       \
    X(EVM)                                                                                         \
    X(WASM)                                                                                        \
    X(MOS65XX)                                                                                     \
    X(BPF)                                                                                         \
    X(RISCV)                                                                                       \
    X(SH)                                                                                          \
    X(TRICORE)

#define LEAVE_OUT(name)                                                                            \
    cs_err name##_global_init(void *handle);                                                       \
    cs_err name##_option(void *handle, cs_opt_type type, size_t value);                            \
    cs_err name##_global_init(void *handle)                                                        \
    {                                                                                              \
        (void)handle;                                                                              \
        return CS_ERR_ARCH;                                                                        \
    }                                                                                              \
    cs_err name##_option(void *handle, cs_opt_type type, size_t value)                             \
    {                                                                                              \
        (void)handle, (void)type, (void)value;                                                     \
        return CS_ERR_ARCH;                                                                        \
    }

OTHERS(LEAVE_OUT)
