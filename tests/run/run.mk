# make check-run          libpyperf.so in programs of any libc; the parts of pyperf-run: options, table, flame
#                         graph in a browser, archive on a machine that has nothing else, what stores of profiles
#                         get, situations of bug reports, pyperf-inspect, completions; and fetch-interpreters
#                         without a network, make help, make deb, make tarball
# make check-tarball      the tarball is built in another folder, too: the same bytes

.PHONY: check-run check-tarball

# The longest first.
run_tests := situations flamegraph tarball archive options unwind package table completions attach live running lines \
             inspect preloaded libc flame_page inside send send_folder perf_reads chains_read enclosing elf \
             function_image samples packing exports following firefox flames perf_data perf_chains \
             fetch_interpreters check

check-run: all flamegraph-template
	+$(Q)$(many) $(addprefix check-run-,$(run_tests))

check-run-%: tests/run/test_%.py
	$(Q)CC='$(CC)' $(PYTHON) $< --build $(O)

check-tarball: all flamegraph-template
	$(Q)$(PYTHON) tests/run/test_tarball.py --build $(O) --twice
