# make fuzz               both fuzzers, FUZZ_SECONDS (60) each; needs clang

FUZZ_SECONDS ?= 60
fuzzers      := elf_lookup detour_prepare
fuzz_flags   := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
                -D_GNU_SOURCE -Itrampoline/arch/$(ARCH)

.PHONY: fuzz
fuzz: $(patsubst %,$(O)/fuzz/%,$(fuzzers)) | $(unit_fixtures)
	$(Q)for fuzzer in $(fuzzers); do \
	    corpus=$(O)/fuzz/corpus-$$fuzzer; mkdir -p $$corpus; \
	    find $(O)/tests/elf -type f -size -200k -exec cp -t $$corpus {} + ; \
	    $(O)/fuzz/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=$(O)/fuzz/ $$corpus || exit 1; \
	done

$(O)/fuzz/%: tests/fuzz/fuzz_%.c $(plan_sources)
	$(call say,FUZZER,$@)
	@mkdir -p $(@D)
	$(Q)clang $(fuzz_flags) -o $@ $^ $(plan_libraries)
