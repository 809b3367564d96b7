# make check-cpython      CPython's regression tests under the preload: all of them, some
#                         25 minutes an interpreter (CPYTHON_OPTIONS=--jitdump, --python PATH)
# make check-cpython-quick  some 50 modules of them on two interpreters, part of check

CPYTHON_OPTIONS ?=

.PHONY: check-cpython check-cpython-quick
check-cpython: all
	$(Q)$(PYTHON) tests/cpython/run.py --build $(O) $(CPYTHON_OPTIONS)

check-cpython-quick: all
	$(Q)$(PYTHON) tests/cpython/run.py --build $(O) --quick $(CPYTHON_OPTIONS)
