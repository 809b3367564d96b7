# Stands for libpyperf-plan.so and its libraries: a shared object that depends on another.

plan_library_folder := $(O)/tests/plan_library
unit_fixtures += $(plan_library_folder)/plan_library.so

$(O)/obj/tests/unit/test_plan_library.c.o: flags += -DFIXTURES='"$(abspath $(plan_library_folder))"'

$(plan_library_folder)/plan_library.so: tests/unit/elf/other.c tests/unit/plan_library.mk
	$(call say,FIXTURE,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -fPIC -shared -o $(@D)/brought.so $<
	$(Q)$(CC) -nostdlib -fPIC -shared -Wl,--no-as-needed,-rpath,$(abspath $(@D)) -o $@ $< \
	    $(@D)/brought.so
