# make check-flame        flame graphs in a browser, archives on a machine that has nothing else

.PHONY: check-flame

check-flame: all flamegraph-template
	$(Q)failed=; for test in tests/run/test_flamegraph.py tests/run/test_archive.py; do \
	    $(PYTHON) $$test --build $(O) || failed=1; done; [ -z "$$failed" ]
