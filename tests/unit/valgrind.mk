# make check-valgrind     unit tests under valgrind: errors, and memory that is lost
#                         (VALGRIND_TESTS='names report': only these)

# Not code_map: valgrind makes executable memory of its own, at any time. Not those with a watcher:
# valgrind runs no process that clone(2) makes in the same memory. Not waiting and waiting_stacks:
# valgrind runs one thread at a time, with all others waiting in its own code.
VALGRIND_TESTS ?= $(filter-out code_map waiting waiting_stacks $(watcher_suites), \
                  $(patsubst test_%,%,$(basename $(notdir $(unit_sources)))))
valgrind_flags := -q --error-exitcode=9 --show-leak-kinds=definite \
                  --errors-for-leak-kinds=definite --suppressions=tests/unit/valgrind.supp

# Check's children are followed: an error ends one with a status that fails its test. valgrind only
# checks for modified code in tests that modify code.
.PHONY: check-valgrind
check-valgrind: $(patsubst %,$(O)/tests/test_%,$(VALGRIND_TESTS))
	+$(Q)$(many) $(addprefix valgrind-,$(VALGRIND_TESTS))

valgrind-%: $(O)/tests/test_%
	$(Q)CK_TIMEOUT_MULTIPLIER=10 valgrind $(valgrind_flags) --leak-check=full \
	    --smc-check=$(if $(filter detour_commit,$*),all,all-non-file) $<
