# In the place of libpyperf-plan.so and its libraries: a shared object that brings another.

companion_folder := $(O)/tests/companion
unit_fixtures += $(companion_folder)/companion.so

$(O)/obj/tests/unit/test_companion.c.o: flags += -DFIXTURES='"$(abspath $(companion_folder))"'

$(companion_folder)/companion.so: tests/unit/elf/other.c tests/unit/companion.mk
	$(call say,FIXTURE,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -fPIC -shared -o $(@D)/brought.so $<
	$(Q)$(CC) -nostdlib -fPIC -shared -Wl,--no-as-needed,-rpath,$(abspath $(@D)) -o $@ $< \
	    $(@D)/brought.so
