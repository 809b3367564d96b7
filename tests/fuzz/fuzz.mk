# make fuzz               each fuzzer for FUZZ_SECONDS (60), two at a time; needs clang

FUZZ_SECONDS ?= 60
# detour_prepare checks plans by what it knows of x86-64.
fuzzers      := elf_lookup names eh_frame $(if $(filter x86_64,$(ARCH)),detour_prepare)
fuzz_defines := -D_GNU_SOURCE -DPYPERF_WHOLE_LIBC -DPYPERF_VERSION='""' -I. -Itrampoline/arch/$(ARCH) \
                -Itrampoline/arch/$(ARCH)/plan
fuzz_flags   := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(fuzz_defines)
names_sources := $(base_sources) jitdump/perf_map.c preload/profile/trampolines.c \
                 $(patsubst %,preload/cpython/%.c,names layout python qualnames code_values code_table)

.PHONY: fuzz check-fuzz-corpus $(addprefix fuzz-,$(fuzzers))
fuzz:
	+$(Q)$(many) $(addprefix fuzz-,$(fuzzers))

# New inputs stay in $(O)/fuzz; the seeds are only read. Those of elf_lookup are the ELF files of
# its unit tests.
$(addprefix fuzz-,$(fuzzers)): fuzz-%: $(O)/fuzz/%
	@mkdir -p $(O)/fuzz/corpus-$* $(O)/fuzz/seeds-$*
	$(Q)$(O)/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=$(O)/fuzz/$*- $(O)/fuzz/corpus-$* $(O)/fuzz/seeds-$* \
	    $(wildcard tests/fuzz/corpus/$*)

fuzz-elf_lookup: $(O)/fuzz/seeds-elf_lookup/made

$(O)/fuzz/seeds-elf_lookup/made: | $(unit_fixtures)
	@mkdir -p $(@D)
	$(Q)find $(elf_folder) -type f -size -200k -exec cp --backup=numbered -t $(@D) {} + && \
	    touch $@

fuzzer = $(O)/fuzz/$(1) $(O)/fuzz/replay-$(1)
$(call fuzzer,elf_lookup) $(call fuzzer,detour_prepare): $(plan_sources)
$(call fuzzer,names): $(names_sources)
$(call fuzzer,eh_frame): trampoline/unwind/eh_frame.c trampoline/unwind/expression.c

$(O)/fuzz/%: tests/fuzz/fuzz_%.c
	$(call say,FUZZER,$@)
	@mkdir -p $(@D)
	$(Q)clang $(fuzz_flags) -o $@ $^ $(plan_libraries)

# In make check-unit: what the fuzzers were made to find before, by any compiler.
check-unit: check-fuzz-corpus
check-fuzz-corpus: $(addprefix $(O)/fuzz/replay-,$(fuzzers)) $(O)/fuzz/seeds-elf_lookup/made
	$(Q)$(unit_runner) $(O)/fuzz/replay-elf_lookup $(O)/fuzz/seeds-elf_lookup
	$(Q)for fuzzer in $(filter-out elf_lookup,$(fuzzers)); do \
	    $(unit_runner) $(O)/fuzz/replay-$$fuzzer tests/fuzz/corpus/$$fuzzer || exit 1; done

$(O)/fuzz/replay-%: tests/fuzz/replay.c tests/fuzz/fuzz_%.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -g -O1 $(sanitize) $(fuzz_defines) -o $@ $^ $(plan_libraries)
