# make                    build/libpyperf.so, build/libpyperf-plan.so and what pyperf-run needs
# make flamegraph-template  build/flamegraph.html, from npm: what pyperf-run --flamegraph fills in
# make interpreters       build/interpreters, from apt's mirror: CPython 2.7-3.15 and perf for the tests
# make check              all tests: units, every interpreter found, pyperf-run, servers
# make help               all targets and variables

VERSION := $(shell sed -n 's/^version=//p' scripts/pyperf-run)

CC      ?= cc
O       ?= build
prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
libdir  ?= $(prefix)/lib
docdir  ?= $(prefix)/share/doc/libpyperf
CFLAGS  ?= -O2 -g
V       ?= 0
DEBUG   ?= 0
SAN     ?=
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)

ARCH := $(shell uname -m)
ifeq ($(wildcard trampoline/arch/$(ARCH)),)
$(error libpyperf: no code for this CPU: there is no folder trampoline/arch/$(ARCH))
endif

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
flags    := -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fstack-protector-strong $(warnings)
flags    += -Itrampoline/arch/$(ARCH)
ldflags  := -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs,--hash-style=gnu
ifeq ($(DEBUG),1)
flags    += -O0 -g3
endif
ifneq ($(SAN),)
flags    += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
sanitize := -fsanitize=$(SAN)
endif

# What stays in the program: libc alone. What is loaded for the plan and goes again: libelf, capstone,
# liblzma.
plan_sources := preload/elf_lookup.c trampoline/detour_prepare.c \
                trampoline/capstone_memory.c trampoline/failure.c \
                $(wildcard trampoline/arch/$(ARCH)/relocate.c) \
                $(wildcard trampoline/arch/$(ARCH)/capstone_others.c)
core_sources := $(filter-out $(filter-out %/failure.c,$(plan_sources)), \
                $(wildcard preload/*.c trampoline/*.c jitdump/*.c) \
                $(filter-out %/relocate.c %/capstone_others.c, \
                $(wildcard trampoline/arch/$(ARCH)/*.c))) $(wildcard trampoline/arch/$(ARCH)/*.S)
# capstone as an archive where there is one: each Python process loads it, and its start is some
# 0.3 ms shorter without the symbols of all those functions that nobody calls.
capstone_archive := $(wildcard $(shell $(CC) -print-file-name=libcapstone.a))
plan_libraries := -lelf $(if $(capstone_archive),-l:libcapstone.a,-lcapstone) -llzma

object    = $(patsubst %,$(O)/obj/%.o,$(1))
plan_objects := $(call object,$(plan_sources))
core_objects := $(call object,$(core_sources))
# plan.map says which of these functions are exported.
$(plan_objects): flags += -fvisibility=default
test_objects := $(sort $(filter-out %/preload/main.c.o,$(plan_objects) $(core_objects)))

unit_sources := $(wildcard tests/unit/test_*.c)
unit_tests   := $(patsubst tests/unit/%.c,$(O)/tests/%,$(unit_sources))

.PHONY: all flamegraph-template interpreters check check-unit check-integration bench install uninstall clean \
        format help
.DELETE_ON_ERROR:

# What pyperf-run --doctor needs besides; the walker only where libunwind is.
inspect_objects := $(call object,scripts/run/pyperf-inspect.c preload/elf_lookup.c \
                   trampoline/failure.c)
walk_object := $(call object,scripts/run/pyperf-walk.c)
has_libunwind := $(shell $(CC) -x c -fsyntax-only -include libunwind.h /dev/null 2>&1 || echo no)
walker := $(if $(has_libunwind),,$(O)/pyperf-walk.so)

all: $(O)/libpyperf.so $(O)/libpyperf-plan.so $(O)/pyperf-inspect $(walker)

# Renamed into place: a process may be running with the one that is there.
$(O)/libpyperf.so: $(core_objects) preload/exports.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ldflags) $(sanitize) $(LDFLAGS) -Wl,--version-script=preload/exports.map \
	    -Wl,-soname,libpyperf.so -o $@.new $(core_objects) && mv $@.new $@

$(O)/libpyperf-plan.so: $(plan_objects) preload/plan.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ldflags) -Wl,--gc-sections $(sanitize) $(LDFLAGS) \
	    -Wl,--version-script=preload/plan.map \
	    -Wl,-soname,libpyperf-plan.so -o $@.new $(plan_objects) $(plan_libraries) && \
	    mv $@.new $@

$(O)/pyperf-inspect: $(inspect_objects)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ldflags) $(sanitize) $(LDFLAGS) -o $@ $^ $(plan_libraries)

$(O)/pyperf-walk.so: $(walk_object)
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ldflags) $(sanitize) $(LDFLAGS) -o $@ $^ -lunwind

$(O)/obj/%.c.o: %.c | $(O)/libraries-found
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(flags) -MMD -MP -c -o $@ $<

$(O)/obj/%.S.o: %.S
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

# One line a missing library, with the Debian package that brings it.
$(O)/libraries-found:
	@mkdir -p $(O); missing=; \
	for pair in libelf.h:libelf-dev capstone/capstone.h:libcapstone-dev lzma.h:liblzma-dev; do \
	    echo "#include <$${pair%%:*}>" | $(CC) -x c -fsyntax-only - 2>/dev/null || { \
	        echo "libpyperf: <$${pair%%:*}> is missing: apt-get install $${pair#*:}" >&2; \
	        missing=1; }; \
	done; [ -z "$$missing" ] && touch $@

flamegraph-template: $(O)/flamegraph.html

$(O)/flamegraph.html: scripts/dev/fetch-template
	$(call say,FETCH,$@)
	$(Q)scripts/dev/fetch-template $(O)

# Where tests/integration/interpreters.py looks for them, whatever O is.
interpreters:
	$(Q)scripts/dev/fetch-interpreters build/interpreters

# tests

include tests/tests.mk
include scripts/dev/package.mk

check: check-unit check-integration check-run check-servers check-cpython-quick

check-unit: $(unit_tests)
	$(Q)failed=; for test in $(unit_tests); do $(unit_runner) $$test || failed=1; done; \
	    [ -z "$$failed" ]

$(O)/tests/test_%: $(O)/obj/tests/unit/test_%.c.o $(test_objects) | $(unit_fixtures)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^ $(plan_libraries) \
	    -lcheck -lsubunit -lm -lrt -lunwind -lpthread

install: all install-extras
	install -d $(DESTDIR)$(libdir) $(DESTDIR)$(bindir) $(DESTDIR)$(docdir)/docs
	install -m 755 $(O)/libpyperf.so $(O)/libpyperf-plan.so $(DESTDIR)$(libdir)
	install -m 755 scripts/pyperf-run $(DESTDIR)$(bindir)
	install -m 644 README.md CHANGELOG.md LICENSE $(DESTDIR)$(docdir)
	install -m 644 docs/*.md docs/*.svg $(DESTDIR)$(docdir)/docs

uninstall: uninstall-extras
	rm -f $(DESTDIR)$(libdir)/libpyperf.so $(DESTDIR)$(libdir)/libpyperf-plan.so
	rm -f $(DESTDIR)$(bindir)/pyperf-run
	rm -rf $(DESTDIR)$(docdir)

clean:
	rm -rf $(O)

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

help:
	@awk '/^# make / { entry = 1 } !/^#( make |       )/ { entry = 0 } entry { print substr($$0, 3) }' \
	    Makefile scripts/dev/package.mk tests/tests.mk tests/*/*.mk
	@echo 'variables: CC, CFLAGS, LDFLAGS, O=dir, V=1, DEBUG=1, SAN=address,undefined,'
	@echo '           prefix, DESTDIR, PYTHON, DEBEMAIL'

-include $(patsubst %.o,%.d,$(plan_objects) $(core_objects) $(inspect_objects) $(walk_object))
-include $(patsubst %,$(O)/obj/%.d,$(unit_sources))
