# Functions with awkward beginnings, for test_detour_prepare to plan, move and run.

detour_fixtures := $(patsubst %,$(O)/obj/%.o,$(wildcard tests/unit/detour/*.S))

$(O)/tests/test_detour_prepare: $(detour_fixtures)

# Without optimisation clang's assembler makes every branch a near one.
$(detour_fixtures): override CFLAGS += -O1
$(detour_fixtures): tests/unit/detour/fixture.inc
