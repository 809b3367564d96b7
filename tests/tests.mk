# make check-unit         unit tests alone: no Python needed
# make check-integration  integration tests on every interpreter found (INTEGRATION_OPTIONS=--python PATH)
# make check-builds       the same on interpreters that are built for it (takes long)

# Files that unit tests read at run time, made by the build.
unit_fixtures :=

-include tests/unit/*.mk
-include tests/run/*.mk
-include tests/bench/*.mk
-include tests/fuzz/*.mk
-include tests/cpython/*.mk
-include tests/servers/*.mk
-include tests/soak/*.mk
-include tests/debian/*.mk
-include tests/grounds/*.mk

INTEGRATION_OPTIONS ?=

.PHONY: check-builds

check-integration: all
	$(Q)$(PYTHON) tests/integration/run.py --build $(O) $(INTEGRATION_OPTIONS)

check-builds: all
	$(Q)scripts/dev/build-interpreters build/interpreters/built >$(O)/built
	$(Q)sed -n 's/^skipped/skip/p' $(O)/built
	$(Q)$(PYTHON) tests/integration/run.py --build $(O) \
	    $$(sed -n 's/^interpreter /--python /p' $(O)/built)
