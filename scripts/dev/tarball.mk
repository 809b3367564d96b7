# make tarball            build/libpyperf-VERSION-linux-CPU.tar.xz, for all machines with glibc 2.17 or later, its debug
#                         files in a second one, and SHA256SUMS; needs scdoc and the archives of Debian 12

folder := libpyperf-$(VERSION)
portable := $(O)/portable
# What is in the tarball does not depend on the folder in which it was built.
portable_flags := -O2 -g -ffile-prefix-map=$(CURDIR)=/usr/src/$(folder) \
    $(if $(SYSROOT),-ffile-prefix-map=$(abspath $(SYSROOT))=)
portable_make = $(MAKE) --no-print-directory O=$(portable) CFLAGS='$(portable_flags)' walker=

.PHONY: tarball tarball-static tarball-files

tarball-static:
	$(Q)[ '$(SHARED)' = 0 ] || { echo 'libpyperf: make tarball links libelf, capstone and liblzma' \
	    'statically: not with SHARED=$(SHARED) (or SAN=)' >&2; exit 1; }

tarball: tarball-static $(O)/scdoc-found flamegraph-template
	$(Q)rm -rf $(portable)/stage && mkdir -p $(portable) && cp $(O)/flamegraph* $(portable)
	$(Q)$(portable_make) $(portable)/plan-libraries
	$(Q)grep -q Bstatic $(portable)/plan-libraries || { echo 'libpyperf: make tarball needs' \
	    '$(patsubst -l%,lib%,$(strip $(plan_libraries))) as archives that glibc 2.17 suffices for, as in Debian 12;' \
	    '$(portable)/plan-libraries.log has the reason' >&2; exit 1; }
	$(Q)$(portable_make) all man
	$(Q)$(portable_make) install DESTDIR=$(portable)/stage/$(folder) prefix= >$(portable)/install.log
	$(Q)$(portable_make) OUT=$(O) tarball-files

# In a make of its own, because $(O) is another there.
tarball-files:
	$(Q)CC='$(CC)' SYSROOT='$(abspath $(SYSROOT))' OBJCOPY='$(OBJCOPY)' TOOLS='$(strip $(tools))' \
	    STRIP="$$($(CC) -print-prog-name=strip)" SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	    LINK='$(ldflags) -Wl,--gc-sections $(LDFLAGS)' LIBRARIES='$(strip $(plan_libraries))' \
	    PLAN='$(plan_objects:$(O)/obj/%=%)' INSPECT='$(inspect_objects:$(O)/obj/%=%)' \
	    ATTACH='$(if $(filter pyperf-attach,$(tools)),$(attach_objects:$(O)/obj/%=%))' \
	    scripts/dev/tarball $(O) $(folder) $(OUT) linux-$(ARCH)
