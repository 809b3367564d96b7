# What building for x86-64 needs beside the folder's sources: the same variables for each CPU.

# capstone as an archive where there is one: each Python process loads it, and its start is some
# 0.3 ms shorter without the symbols of all those functions that nobody calls.
capstone_archive := $(wildcard $(shell $(CC) -print-file-name=libcapstone.a))
arch_plan_libraries := $(if $(capstone_archive),-l:libcapstone.a,-lcapstone)
# header:package, as in libraries-found
arch_plan_headers := capstone/capstone.h:libcapstone-dev
