# make check-unit         unit tests alone: no Python needed
# make check-integration  integration tests on every interpreter found

# What unit tests read at run time, made by the build.
unit_fixtures :=

-include tests/unit/*.mk
-include tests/run/*.mk
-include tests/bench/*.mk
-include tests/fuzz/*.mk
-include tests/cpython/*.mk
-include tests/servers/*.mk

check-integration: all
	$(Q)$(PYTHON) tests/integration/run.py --build $(O)
