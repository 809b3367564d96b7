# make check-run          libpyperf.so in programs of any libc; the parts of pyperf-run: options, table, flame
#                         graph in a browser, archive on a machine that has nothing else, situations of bug
#                         reports, pyperf-inspect, completions; and fetch-interpreters without a network, make
#                         help, make deb, make tarball
# make check-tarball      the tarball is built in another folder, too: the same bytes

.PHONY: check-run check-tarball

check-run: all flamegraph-template
	$(Q)failed=; \
	CC='$(CC)' $(PYTHON) tests/run/test_inspect.py --build $(O) || failed=1; \
	for test in check completions options attach table running lines enclosing elf function_image samples exports \
	    firefox perf_data perf_chains fetch_interpreters; do \
	    $(PYTHON) tests/run/test_$$test.py || failed=1; \
	done; \
	for test in libc inside perf_reads chains_read preloaded unwind flamegraph archive package tarball situations; do \
	    $(PYTHON) tests/run/test_$$test.py --build $(O) || failed=1; \
	done; [ -z "$$failed" ]

check-tarball: all flamegraph-template
	$(Q)$(PYTHON) tests/run/test_tarball.py --build $(O) --twice
