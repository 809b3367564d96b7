# make check-unit         unit tests alone: no Python needed
# make check-integration  integration tests on every interpreter found (INTEGRATION_OPTIONS=--python PATH):
#                         a selection on most; PYPERF_TEST_ALL_INTERPRETERS=1: all on each (takes hours)
# make check-builds       the same on interpreters that are built for it (takes long)
# make check-musl         the same on interpreters for musl

# Files that unit tests read at run time, made by the build.
unit_fixtures :=

-include tests/unit/*.mk
-include tests/run/*.mk
-include tests/bench/*.mk
-include tests/fuzz/*.mk
-include tests/cpython/*.mk
-include tests/servers/*.mk
-include tests/soak/*.mk
-include tests/attach/*.mk
-include tests/debian/*.mk
-include tests/grounds/*.mk
-include tests/qemu/*.mk

INTEGRATION_OPTIONS ?=

.PHONY: check-builds check-musl

check-integration: all
	$(Q)$(PYTHON) tests/integration/run.py --build $(O) $(INTEGRATION_OPTIONS)

check-musl: built := 2.7-musl 3.9-musl 3.11-musl
check-builds check-musl: all
	$(Q)scripts/dev/build-interpreters build/interpreters/built $(built) >$(O)/built
	$(Q)sed -n 's/^skipped/skip/p' $(O)/built; grep -q '^interpreter ' $(O)/built
	$(Q)$(PYTHON) tests/integration/run.py --build $(O) \
	    $$(sed -n 's/^interpreter /--python /p' $(O)/built)
