# make check-run          the parts of pyperf-run on canned profiles: no perf needed; part of check

.PHONY: check-run
check: check-run
check-run:
	$(Q)$(PYTHON) tests/run/test_table.py
