# The unit tests of single sources, and the assembly that some of them need: of this CPU.
-include $(wildcard tests/unit/$(ARCH)/*.mk)
$(O)/obj/tests/unit/%.o: flags += -Itests/unit -Itests/unit/$(ARCH)

support_objects := $(call object,$(wildcard tests/unit/support/*.c))
$(unit_tests): $(support_objects)
-include $(patsubst %.o,%.d,$(support_objects))

# A sanitizer's run-time library keeps what it knows of a thread at the thread pointer, and a watcher
# has a block of ours there.
watcher_suites := watcher watcher_ends watcher_faults
ifneq ($(SAN),)
unit_tests := $(filter-out $(patsubst %,$(O)/tests/test_%,$(watcher_suites)),$(unit_tests))
.PHONY: check-unit-without-watchers
check-unit: check-unit-without-watchers
check-unit-without-watchers:
	@printf 'SKIP test_%s: a process with a thread pointer of its own: not with SAN\n' \
	    $(watcher_suites)
endif

# What the kernel says of a thread that waits is the emulator's, and clone(2) makes no process in the same
# memory there.
ifneq ($(EMULATED),)
emulators := $(watcher_suites) waiting waiting_stacks
unit_tests := $(filter-out $(patsubst %,$(O)/tests/test_%,$(emulators)),$(unit_tests))
.PHONY: check-unit-emulated
check-unit: check-unit-emulated
check-unit-emulated:
	@printf 'SKIP test_%s: threads that wait: not by an emulator\n' $(emulators)
endif

# Kept, as all other objects are.
.SECONDARY: $(patsubst %,$(O)/obj/%.o,$(unit_sources))

$(O)/tests/test_detour_commit: $(call object,tests/unit/$(ARCH)/target.S)

$(call object,tests/unit/test_control_flow.c): flags += -DBUILD='"$(abspath $(O))"'
$(O)/tests/test_control_flow: | $(O)/libpyperf.so $(O)/libpyperf-plan.so

# Linked by its own rule, because it defines hook_resolve, as lifecycle.c does.
$(O)/tests/test_hook: $(call object,tests/unit/test_hook.c tests/unit/$(ARCH)/hook.S \
    trampoline/hook.c $(wildcard $(addprefix trampoline/arch/$(ARCH)/,hook.S arch_thread.c thread_block.S)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^ -lcheck -lsubunit -lm -lrt -lpthread

unwind_objects := $(call object,tests/unit/$(ARCH)/unwind.S tests/unit/$(ARCH)/unwind.c)
$(addprefix $(O)/tests/test_,image_unwind image_frames image_exceptions walk): $(unwind_objects)
# With lazy binding, whose code in ld.so has a CFA that on x86-64 only rbx tells.
$(O)/tests/test_walk: $(call object,tests/unit/$(ARCH)/realigned.S)
$(O)/tests/test_walk: LDFLAGS += -Wl,-z,lazy
-include $(patsubst %.o,%.d,$(unwind_objects))

# Without libunwind, which would replace libgcc's unwinder.
$(O)/obj/tests/unit/test_image_exceptions.c.o: flags += -fexceptions
$(O)/tests/test_image_exceptions: $(call object,tests/unit/test_image_exceptions.c) $(test_objects)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^ $(plan_libraries) -lcheck -lsubunit -lm -lrt \
	    -lpthread

# These tests make map and jitdump in their folder instead of /tmp, and have their own clock.
profile_objects := $(call object,$(wildcard tests/unit/profile/*.c))
profile_tests := $(patsubst %,$(O)/tests/test_%,registry registry_failures outputs outputs_shared \
    fork_anywhere)
$(profile_tests): $(profile_objects)
profile_wraps := -Wl,--wrap=perf_map_open,--wrap=jitdump_open,--wrap=clock_gettime
$(profile_tests): LDFLAGS += $(profile_wraps)
-include $(patsubst %.o,%.d,$(profile_objects))

$(O)/tests/test_earlier_maps: LDFLAGS += -Wl,--wrap=mmap

# The image layout of a CPU with few trampolines for each FDE and large pages, which is also valid
# for this CPU's code.
other_layout := -DARCH_TRAMPOLINES_PER_FDE=16 -DARCH_UNWIND_COPIES=16 -DARCH_MAX_PAGE=65536
other_layout_folder := $(O)/other-layout
other_layout_tests  := $(addprefix $(other_layout_folder)/tests/test_,image image_exceptions \
                       image_file image_frames image_hostile image_unwind)

.PHONY: check-unit-other-layout
check-unit: check-unit-other-layout
check-unit-other-layout:
	+$(Q)$(many) O=$(other_layout_folder) CFLAGS='$(CFLAGS) $(other_layout)' \
	    $(patsubst $(other_layout_folder)/tests/%,run-%,$(other_layout_tests))

# On a small interpreter (interpreter/interpreter.h).
interpreter_objects := $(call object,$(wildcard tests/unit/interpreter/*.c))
interpreted := code_values qualnames profile profile_shared frame_evaluator native_support \
    native_api probe sys_functions python lifecycle attach trampolines sample_tree python_frames \
    python_threads waiting waiting_stacks running_calls
interpreted_tests := $(patsubst %,$(O)/tests/test_%,$(interpreted))

$(interpreted_tests): $(interpreter_objects) $(support_objects) $(profile_objects)
$(interpreted_tests): LDFLAGS += $(profile_wraps),--wrap=hook_resolve
$(O)/tests/test_attach: private LDFLAGS += -Wl,--wrap=next_symbol
-include $(patsubst %.o,%.d,$(interpreter_objects))

# The frame pointer of a thread that waits is not known: a stack ends where a function needs it.
$(call object,tests/unit/test_waiting.c tests/unit/test_waiting_stacks.c): \
    flags += -fomit-frame-pointer

# plan_library.c looks for the library beside its caller's file: some tests run from its folder.
plan_folder := $(O)/tests/beside-plan
unit_fixtures += $(plan_folder)/libpyperf-plan.so
$(O)/obj/tests/unit/interpreter/process.c.o: flags += -DPLAN_FOLDER='"$(abspath $(plan_folder))"'
$(plan_folder)/libpyperf-plan.so: $(O)/libpyperf-plan.so
	@mkdir -p $(@D)
	@cp $< $@
