# make bench              what profiling costs, against off and CPython's own (QUICK=1: 5 minutes;
#                         ROWS=calls,startup: only these)
# make bench-report       docs/performance.md and docs/performance.svg from the last "make bench"
# make bench-greenlets    memory of suspended greenlets and the time of a switch; GREENLET_PYTHON has the
#                         module (/usr/bin/python3.11)
# make bench-qualnames    the qualified names derived for 3.6-3.10 against those of 3.11

.PHONY: bench-report bench-greenlets bench-qualnames

bench_helpers := $(O)/bench/spawn $(O)/bench/phases $(O)/bench/empty.so
bench_sources := tests/bench/spawn.c tests/bench/phases.c tests/bench/qualnames.c
QUICK ?=
ROWS  ?=

bench: all $(bench_helpers)
	$(Q)CC='$(CC)' $(PYTHON) tests/bench/bench.py --build $(O) $(if $(filter-out 0,$(QUICK)),--quick) \
	    $(if $(ROWS),--rows $(ROWS))

bench-report:
	$(Q)$(PYTHON) tests/bench/report.py --build $(O) docs

GREENLET_PYTHON ?= /usr/bin/python3.11
bench-greenlets: all
	$(Q)$(PYTHON) tests/bench/greenlets.py $(O)/libpyperf.so $(GREENLET_PYTHON)

bench-qualnames: $(O)/tests/qualnames
	$(Q)$(PYTHON) tests/bench/qualnames.py $<

$(O)/bench/%: $(O)/obj/tests/bench/%.c.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^

# Linked like libpyperf.so, so that the difference is libpyperf.so's work.
$(O)/bench/empty.so: tests/bench/empty.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC $(ldflags) $(LDFLAGS) -o $@ $<

$(O)/tests/qualnames: $(call object,tests/bench/qualnames.c preload/cpython/names.c)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^

-include $(patsubst %,$(O)/obj/%.d,$(bench_sources))
# Kept, as all other objects are.
.SECONDARY: $(patsubst %,$(O)/obj/%.o,$(bench_sources))
