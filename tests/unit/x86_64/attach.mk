# pyperf-attach without its main program.
attach_test_objects = $(filter-out $(test_objects) %/pyperf-attach.c.o,$(attach_objects))
$(addprefix $(O)/tests/test_,attach_code attach_maps attach_target seccomp_filter remote_call attach_blob): \
    $(attach_test_objects)
$(O)/tests/test_remote_call: $(call object,tests/unit/x86_64/registers.S)
