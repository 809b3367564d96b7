# What building for x86-64 needs beside the folder's sources: the same variables for each CPU.

# capstone as an archive where there is one: each Python process loads it, and its start is some
# 0.3 ms shorter without the symbols of all those functions that nobody calls.
capstone_archive := $(wildcard $(shell $(CC) -print-file-name=libcapstone.a))
arch_plan_libraries := $(if $(capstone_archive),-l:libcapstone.a,-lcapstone)
# header:package, as in libraries-found
arch_plan_headers := capstone/capstone.h:libcapstone-dev

# Code for processes with shadow stacks and guarded indirect jumps (Intel's CET), in which the loader
# looks for a note that says so. The linker makes it where all parts of a library have it. Debian's
# crti.o and libcapstone.a have none, but are C like ours as far as the stack is concerned.
arch_flags   := -fcf-protection=full
arch_ldflags := -Wl,-z,shstk
