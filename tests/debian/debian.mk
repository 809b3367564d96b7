# make check-debian       README's two commands in fresh trees of Debian (DEBIAN=sid, or several), as root, with
#                         mmdebstrap: some suites of scripts/check (SUITES=all: the whole of it)

DEBIAN ?= bookworm trixie sid
# What meets the release: its compiler, libraries, perf, gdb, interpreter, and the packages of the tests.
debian_suites := check-unit check-run check-integration
debian_cases  := stacks fork-stacks exec-stacks late-stacks gdb text-restored same-behaviour toggle-late \
                 toggle-signal-stacks jitdump-stacks sys-calls locked-down-stacks doctor doctor-of-a-user \
                 table-shares pyperf-run

.PHONY: check-debian

check-debian: SUITES := $(or $(SUITES),$(debian_suites))
check-debian:
	$(Q)SUITES='$(SUITES)' INTEGRATION_OPTIONS='$(or $(INTEGRATION_OPTIONS),$(if $(filter all,$(SUITES)),, \
	    --python /usr/bin/python3 $(addprefix --only ,$(debian_cases))))' \
	    tests/debian/check '$(O)/debian' $(DEBIAN)
