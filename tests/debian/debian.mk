# make check-debian       README's two commands in fresh trees of Debian, as root, with mmdebstrap; some 10 minutes
#                         each; with SUITES=all the whole of make check, some 50 (DEBIAN="trixie sid")

DEBIAN ?= bookworm trixie sid

.PHONY: check-debian

# What differs from release to release: compiler, libraries, perf, the interpreter, packages of the tests.
check-debian: SUITES ?= check-unit check-run check-integration
check-debian: INTEGRATION_OPTIONS ?= --python /usr/bin/python3
check-debian:
	$(Q)SUITES='$(SUITES)' INTEGRATION_OPTIONS='$(if $(filter all,$(SUITES)),,$(INTEGRATION_OPTIONS))' \
	    tests/debian/check '$(O)/debian' $(DEBIAN)
