# make check-inspect      what pyperf-inspect says of code with and without frame pointers

.PHONY: check-inspect

check-inspect: $(O)/pyperf-inspect
	$(Q)CC='$(CC)' $(PYTHON) tests/run/test_inspect.py $<
