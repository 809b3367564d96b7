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
SYSROOT ?=

# For another CPU: CC=aarch64-linux-gnu-gcc, and a folder with its headers and libraries
# (scripts/dev/fetch-sysroot makes one).
ifneq ($(SYSROOT),)
override CC := $(filter-out --sysroot=%,$(CC)) --sysroot=$(abspath $(SYSROOT))
endif

# The CPU that the compiler compiles for: the first word of a triplet such as x86_64-linux-gnu.
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)) $(shell uname -m))
ifeq ($(wildcard trampoline/arch/$(ARCH)/arch.mk),)
$(error libpyperf: no code for this CPU: there is no folder trampoline/arch/$(ARCH))
endif
include trampoline/arch/$(ARCH)/arch.mk

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
flags    := -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fstack-protector-strong $(warnings)
flags    += $(arch_flags) -I. $(addprefix -Itrampoline/arch/$(ARCH),/ /plan /tools)
ldflags  := -Wl,-z,relro,-z,now,-z,noexecstack,--hash-style=gnu $(arch_ldflags)
ifeq ($(DEBUG),1)
flags    += -O0 -g3
endif
ifneq ($(SAN),)
flags    += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
sanitize := -fsanitize=$(SAN)
else
ldflags  += -Wl,-z,defs # clang links a sanitizer's runtime only to programs
endif

# A source folder belongs to one library; trampoline/base is in both. plan/ holds all code that
# needs libelf, capstone or liblzma: its library is loaded to plan the detour, and unloaded again.
base_sources := $(wildcard trampoline/base/*.c)
plan_sources := $(base_sources) $(wildcard trampoline/plan/*.c trampoline/arch/$(ARCH)/plan/*.c)
core_sources := $(base_sources) $(wildcard preload/process/*.c preload/profile/*.c \
                preload/cpython/*.c preload/sampler/*.c jitdump/*.c trampoline/*.c trampoline/unwind/*.c \
                trampoline/arch/$(ARCH)/*.c trampoline/arch/$(ARCH)/*.S)
tool_sources := $(wildcard preload/tools/*.c)
plan_libraries := -lelf $(arch_plan_libraries) -llzma

# The files that are built need a libc only, and of it only what trampoline/libc.symbols lists: glibc
# 2.17 or later, or musl. SHARED=1, for a distribution's package: libraries of this machine. The
# sanitizers' run-time libraries need a whole libc, too.
SHARED ?= $(if $(SAN),1,0)
ifeq ($(SHARED),0)
libc_stub := $(O)/libc/libc.so.6
libc_only := -nodefaultlibs $(libc_stub) -lgcc
archives := -Wl,-Bstatic $(plan_libraries) -Wl,-Bdynamic,--exclude-libs,ALL $(libc_only)
else
flags += -DPYPERF_WHOLE_LIBC
endif

object    = $(patsubst %,$(O)/obj/%.o,$(1))
plan_objects := $(call object,$(plan_sources))
core_objects := $(call object,$(core_sources))
# plan.map lists the exported functions.
$(filter-out $(core_objects),$(plan_objects)): flags += -fvisibility=default
test_objects := $(sort $(filter-out %/process/main.c.o,$(plan_objects) $(core_objects)))

# The build: version.h. The file is only written when its contents change.
build_string := $(VERSION)-$(shell find trampoline preload jitdump -name '*.[chS]' | LC_ALL=C sort | \
                xargs cat | sha256sum | cut -c1-12)
version_object := $(call object,trampoline/base/version.c)
$(version_object): flags += -DPYPERF_VERSION='"$(build_string)"'

# Those in a folder of the CPU's name are about its instructions and registers.
unit_sources := $(wildcard tests/unit/test_*.c tests/unit/$(ARCH)/test_*.c)
unit_tests   := $(addprefix $(O)/tests/,$(basename $(notdir $(unit_sources))))

.PHONY: FORCE all flamegraph-template interpreters check check-unit check-integration bench install uninstall clean \
        format help
.DELETE_ON_ERROR:

# For pyperf-run --doctor; pyperf-walk.so only if libunwind is installed.
inspect_objects := $(call object,preload/tools/pyperf-inspect.c trampoline/plan/elf_lookup.c \
                   trampoline/plan/elf_error.c $(wildcard trampoline/arch/$(ARCH)/tools/*.c) \
                   $(base_sources))
# For pyperf-run on musl.
unwinder_objects := $(call object,preload/tools/pyperf-unwind.c preload/tools/eh_frame.c \
                  $(wildcard trampoline/arch/$(ARCH)/tools/stack_*.c \
                  trampoline/arch/$(ARCH)/plan/capstone_others.c) $(base_sources))
# For pyperf-run --attach.
attach_objects := $(call object,$(wildcard preload/attach/*.c \
                  trampoline/arch/$(ARCH)/tools/attach_*.c trampoline/arch/$(ARCH)/tools/attach_*.S) \
                  preload/cpython/layout.c trampoline/plan/elf_lookup.c trampoline/plan/elf_error.c \
                  $(base_sources))
tools := pyperf-inspect $(arch_tools)
walk_object := $(call object,preload/tools/pyperf-walk.c)
has_libunwind := $(shell $(CC) -x c -fsyntax-only -include libunwind.h /dev/null 2>&1 || echo no)
walker := $(if $(has_libunwind),,$(O)/pyperf-walk.so)

all: $(O)/libpyperf.so $(O)/libpyperf-plan.so $(addprefix $(O)/,$(tools)) $(walker)

# Renamed into place, because a process may have the old one mapped.
$(O)/libpyperf.so: $(core_objects) preload/exports.map $(libc_stub)
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ldflags) $(sanitize) $(LDFLAGS) -Wl,--version-script=preload/exports.map \
	    -Wl,-soname,libpyperf.so -o $@.new $(core_objects) $(libc_only) && mv $@.new $@

$(O)/libpyperf-plan.so: $(plan_objects) trampoline/plan/plan.map $(O)/plan-libraries
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ldflags) -Wl,--gc-sections $(sanitize) $(LDFLAGS) \
	    -Wl,--version-script=trampoline/plan/plan.map \
	    -Wl,-soname,libpyperf-plan.so -o $@.new $(plan_objects) \
	    $$(cat $(O)/plan-libraries) && mv $@.new $@

$(O)/pyperf-inspect: $(inspect_objects) $(O)/plan-libraries
	$(call say,LINK,$@)
	$(Q)$(CC) $(ldflags) -Wl,--gc-sections $(sanitize) $(LDFLAGS) -o $@ $(inspect_objects) \
	    $$(cat $(O)/plan-libraries)

$(O)/pyperf-unwind: $(unwinder_objects) $(O)/plan-libraries
	$(call say,LINK,$@)
	$(Q)$(CC) $(ldflags) -Wl,--gc-sections $(sanitize) $(LDFLAGS) -o $@ $(unwinder_objects) \
	    $$(cat $(O)/plan-libraries)

$(O)/pyperf-attach: $(attach_objects) $(O)/plan-libraries
	$(call say,LINK,$@)
	$(Q)$(CC) $(ldflags) -Wl,--gc-sections $(sanitize) $(LDFLAGS) -o $@ $(attach_objects) \
	    $$(cat $(O)/plan-libraries)

$(O)/libc/libc.so.6: trampoline/libc.symbols $(arch_libc_symbols) scripts/dev/libc-stub
	$(Q)CC='$(CC)' scripts/dev/libc-stub $(@D) '$(arch_libc_version)' $< $(arch_libc_symbols)

# How those two are linked: to archives of the libraries, unless these need a newer libc than is
# allowed, as in Debian 13. Then they need the libraries of this machine.
$(O)/plan-libraries: $(inspect_objects) $(libc_stub)
	$(Q)echo '$(or $(archives),$(plan_libraries))' >$@.new; [ -z '$(archives)' ] || \
	    $(CC) $(ldflags) -Wl,--gc-sections $(LDFLAGS) -o $@.tried $(inspect_objects) $(archives) \
	        2>$@.log || { echo '$(plan_libraries)' >$@.new; \
	        echo '  NOTE    this machine alone can use this build: the archives of' \
	            'libelf, capstone and liblzma need more than glibc 2.17 ($@.log)'; }; \
	    rm -f $@.tried; mv $@.new $@

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
	$(Q)$(CC) $(CFLAGS) $(arch_flags) -I. -fPIC -MMD -MP -c -o $@ $<

$(version_object): $(O)/build-string
$(O)/build-string: FORCE
	@mkdir -p $(@D)
	@echo '$(build_string)' | cmp -s - $@ || echo '$(build_string)' >$@

# One line for each missing library, with its Debian package.
$(O)/libraries-found:
	@mkdir -p $(O); missing=; \
	for pair in libelf.h:libelf-dev $(arch_plan_headers) lzma.h:liblzma-dev; do \
	    echo "#include <$${pair%%:*}>" | $(CC) -x c -fsyntax-only - 2>/dev/null || { \
	        echo "libpyperf: <$${pair%%:*}> is missing: apt-get install $${pair#*:}" >&2; \
	        missing=1; }; \
	done; [ -z "$$missing" ] && touch $@

flamegraph-template: $(O)/flamegraph.html

$(O)/flamegraph.html: scripts/dev/fetch-template $(wildcard scripts/dev/page.*)
	$(call say,FETCH,$@)
	$(Q)scripts/dev/fetch-template $(O)

# tests/integration/interpreters.py looks for them here, independent of O.
interpreters:
	$(Q)scripts/dev/fetch-interpreters build/interpreters

# tests

include tests/tests.mk
include scripts/dev/package.mk
include scripts/dev/tarball.mk

check: check-unit check-integration check-run check-servers check-cpython-quick

# One failing test does not hide what the others say, and what each prints comes in one piece. As many at a
# time as there are CPUs, or as the caller's -j says.
many = $(MAKE) --no-print-directory -k -O $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

check-unit: $(unit_tests)
	+$(Q)$(many) $(patsubst $(O)/tests/%,run-%,$(unit_tests))

run-test_%: $(O)/tests/test_%
	$(Q)$(unit_runner) $<

define link_test
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(sanitize) $(LDFLAGS) -o $@ $^ $(plan_libraries) \
	    -lcheck -lsubunit -lm -lrt -lunwind -lpthread
endef

$(O)/tests/test_%: $(O)/obj/tests/unit/test_%.c.o $(test_objects) | $(unit_fixtures)
	$(link_test)

cpu_tests := $(patsubst tests/unit/$(ARCH)/%.c,$(O)/tests/%,$(wildcard tests/unit/$(ARCH)/test_*.c))
$(cpu_tests): $(O)/tests/%: $(O)/obj/tests/unit/$(ARCH)/%.c.o \
    $(test_objects) | $(unit_fixtures)
	$(link_test)

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
	    Makefile scripts/dev/*.mk tests/tests.mk tests/*/*.mk
	@echo 'variables: CC, CFLAGS, LDFLAGS, O=dir, V=1, DEBUG=1, SHARED=1, SAN=address,undefined,'
	@echo '           SYSROOT=dir, prefix, DESTDIR, PYTHON, DEBEMAIL'

-include $(patsubst %.o,%.d,$(plan_objects) $(core_objects) $(inspect_objects) \
    $(unwinder_objects) $(attach_objects) $(walk_object))
-include $(patsubst %,$(O)/obj/%.d,$(unit_sources))
