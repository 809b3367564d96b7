# Functions with awkward entries, which test_detour_prepare plans, relocates and runs.

detour_fixtures := $(patsubst %,$(O)/obj/%.o,$(wildcard tests/unit/$(ARCH)/detour/*.S))

$(O)/tests/test_detour_prepare: $(detour_fixtures)

# Without optimisation clang's assembler makes every branch a near one.
$(detour_fixtures): override CFLAGS += -O1
$(detour_fixtures): tests/unit/$(ARCH)/detour/fixture.inc
