/* capstone_others.c - keeps capstone's support for other CPUs out of the link.
 *
 * One table in libcapstone.a refers to all its CPUs, so linking it brings them all, with 75,000
 * relocations for the loader each time a Python process starts: 0.9 of the 2.4 milliseconds that
 * profiling added to a start. The linker finds the functions of these names here first, and does
 * not take the archive's. They are never called: cs_open is called for this CPU alone. A CPU that a
 * later capstone adds is linked again, which only costs time. (capstone 4 and 5: cs.c,
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
