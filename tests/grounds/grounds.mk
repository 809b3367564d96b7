# make ground-bullseye    the tarball in a bare Debian 11 (glibc 2.31, perf 5.10); ground-bookworm and
#                         ground-trixie, ground-sid the same; with INTEGRATION=1 these tests, too. Needs root, mmdebstrap
#                         and apt's mirror
# make ground-2.17        the tarball with glibc 2.17, of an npm package, and CPython of Debian's sources
# make ground-musl        the tarball with CPython for musl, of Debian's sources

.PHONY: ground-2.17 ground-musl

ground-%: tarball
	$(Q)tests/grounds/debian $* $(O)/libpyperf-$(VERSION)-linux-$(ARCH).tar.xz $(O)/grounds/$* \
	    $(if $(INTEGRATION),$(abspath $(O)))

ground-2.17: tarball
	$(Q)tests/grounds/old-glibc $(O)/libpyperf-$(VERSION)-linux-$(ARCH).tar.xz $(O)/grounds/2.17 \
	    $(if $(INTEGRATION),$(abspath $(O)))

ground-musl: tarball
	$(Q)tests/grounds/musl $(O)/libpyperf-$(VERSION)-linux-$(ARCH).tar.xz $(O)/grounds/musl build/interpreters/built
