# The variables that the build for a CPU needs, here for AArch64 (x86_64/arch.mk says what they are).

# All instructions have four bytes and are told apart by masks: no disassembler.
arch_plan_libraries :=
arch_plan_headers :=

# Landing pads for guarded pages (BTI). No signed return addresses: unwinders that cannot strip them,
# perf's among them, lose the callers of our functions. No calls of libgcc for atomic operations: it
# asks getauxval under a name that musl does not have.
arch_flags := -mbranch-protection=bti -mno-outline-atomics
arch_ldflags :=

arch_tools :=

# glibc's first version for AArch64 is 2.17.
arch_libc_symbols := trampoline/arch/aarch64/libc.symbols
arch_libc_version := GLIBC_2.17
