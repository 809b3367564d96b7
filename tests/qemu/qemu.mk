# make check-qemu         unit tests and integration tests without perf for AArch64, by an emulator that it
#                         fetches (qemu-user of Debian 13); needs gcc-aarch64-linux-gnu, mmdebstrap, patchelf,
#                         and a kernel with binfmt_misc in user namespaces (Linux 6.7)
# make check-qemu-unit    the unit tests alone
# make check-qemu-tarball the tarball: built in two folders, the same bytes; used by each interpreter

qemu_folder := build/qemu
qemu_inside = tests/qemu/inside $(abspath $(qemu_folder)/qemu-aarch64) $(abspath $(qemu_folder)/root)
# The emulator is some ten times slower.
qemu_make = $(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc SYSROOT=$(qemu_folder)/sysroot \
    O=build/aarch64 EMULATED=1 \
    unit_runner='env CK_TIMEOUT_MULTIPLIER=10 $(qemu_inside)'

.PHONY: check-qemu check-qemu-unit check-qemu-tarball check-qemu-fetched
check-qemu-fetched:
	$(Q)tests/qemu/fetch $(qemu_folder)

check-qemu-unit: check-qemu-fetched
	$(Q)$(qemu_make) check-unit

# The emulator has no ptrace(2), of which gdb lives, and makes no process in the same memory, as a watcher is.
check-qemu: check-qemu-unit
	$(Q)$(qemu_make) all
	$(Q)$(qemu_inside) env PYPERF_NO_PERF=1 PYPERF_NO_GDB=1 PYPERF_NO_WAITS=1 python3 tests/integration/run.py --build build/aarch64 \
	    --python /usr/bin/python3.11 \
	    $$(sed -n 's/^interpreter /--python /p' $(qemu_folder)/interpreters/list) $(INTEGRATION_OPTIONS)

# The copy's libraries and sysroot have other paths, too.
qemu_copy = $(abspath $(qemu_folder)/tarball/copy)
check-qemu-tarball: check-qemu-fetched
	$(Q)$(qemu_make) tarball
	$(Q)rm -rf $(qemu_folder)/tarball && mkdir -p $(qemu_copy)/b
	$(Q)git ls-files -z | xargs -0 cp --parents -t $(qemu_copy)
	$(Q)cp -al "$$(readlink -f $(qemu_folder)/sysroot)" $(qemu_copy)/root && cp build/aarch64/flamegraph.* $(qemu_copy)/b
	$(Q)$(MAKE) --no-print-directory -C $(qemu_copy) CC=aarch64-linux-gnu-gcc SYSROOT=root O=b \
	    SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) tarball
	$(Q)cmp build/aarch64/SHA256SUMS $(qemu_copy)/b/SHA256SUMS
	$(Q)tar xf build/aarch64/libpyperf-$(VERSION)-linux-aarch64.tar.xz -C $(qemu_folder)/tarball
	$(Q)$(qemu_inside) tests/qemu/tarball $(qemu_folder)/tarball /usr/bin/python3.11 \
	    $$(sed -n 's/^interpreter //p' $(qemu_folder)/interpreters/list)
