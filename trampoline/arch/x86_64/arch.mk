# The variables that the build for a CPU needs, here for x86-64.

# capstone as an archive if there is one: each Python process loads it, and starts some 0.3 ms
# faster without the symbols of its unused functions.
capstone_archive := $(wildcard $(shell $(CC) -print-file-name=libcapstone.a))
arch_plan_libraries := $(if $(capstone_archive),-l:libcapstone.a,-lcapstone)
# header:package, as in libraries-found
arch_plan_headers := capstone/capstone.h:libcapstone-dev

# Code for processes with shadow stacks and guarded indirect jumps (Intel's CET). The loader
# requires a property note there, which the linker makes if all parts of a library have one.
# Debian's crti.o and libcapstone.a have none, but their code is compatible with shadow stacks.
arch_flags   := -fcf-protection=full
arch_ldflags := -Wl,-z,shstk

# Programs that are built for this CPU, beside those that all have.
arch_tools := pyperf-unwind pyperf-attach

# A file with functions of a libc that this CPU's code needs besides trampoline/libc.symbols, and the
# version that all have, if the versions of that list are not this CPU's.
arch_libc_symbols :=
arch_libc_version :=
