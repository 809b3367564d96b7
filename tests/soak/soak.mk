# make check-soak         random hostile programs for SOAK_MINUTES (60), from SOAK_SEED on; a
#                         finding says the command that shows it again; SOAK_OPTIONS=--each: on all
#                         interpreters at the same time, --python PATH

SOAK_MINUTES ?= 60
SOAK_SEED    ?=

.PHONY: check-soak
check-soak: all
	$(Q)$(PYTHON) tests/soak/run.py --build $(O) --minutes $(SOAK_MINUTES) $(if $(SOAK_SEED),--seed $(SOAK_SEED)) $(SOAK_OPTIONS)
