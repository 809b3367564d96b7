# make check-qemu         unit tests and integration tests without perf for AArch64, by an emulator that it
#                         fetches (qemu-user of Debian 13); needs gcc-aarch64-linux-gnu, mmdebstrap, patchelf,
#                         and a kernel with binfmt_misc in user namespaces (Linux 6.7)
# make check-qemu-unit    the unit tests alone

qemu_folder := build/qemu
qemu_inside = tests/qemu/inside $(abspath $(qemu_folder)/qemu-aarch64) $(abspath $(qemu_folder)/root)
# The emulator is some ten times slower.
qemu_make = $(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc SYSROOT=$(qemu_folder)/sysroot \
    O=build/aarch64 EMULATED=1 \
    unit_runner='env CK_TIMEOUT_MULTIPLIER=10 $(qemu_inside)'

.PHONY: check-qemu check-qemu-unit check-qemu-fetched
check-qemu-fetched:
	$(Q)tests/qemu/fetch $(qemu_folder)

check-qemu-unit: check-qemu-fetched
	$(Q)$(qemu_make) check-unit

check-qemu: check-qemu-unit
	$(Q)$(qemu_make) all
	$(Q)$(qemu_inside) env PYPERF_NO_PERF=1 python3 tests/integration/run.py --build build/aarch64 \
	    --python /usr/bin/python3.11 \
	    $$(sed -n 's/^interpreter /--python /p' $(qemu_folder)/interpreters/list) $(INTEGRATION_OPTIONS)
