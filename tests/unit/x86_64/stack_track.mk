$(O)/tests/test_stack_track: $(call object,$(wildcard trampoline/arch/$(ARCH)/tools/stack_*.c))
