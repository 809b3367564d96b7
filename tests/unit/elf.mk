# ELF files for test_elf_*, one for each place that can hold symbols. All are made from two sources;
# `shifted` has the same names at other addresses, so that a test knows which file was read.

elf_folder := $(O)/tests/elf
elf_source := $(addprefix tests/unit/elf/,image.c other.c)
elf_build  := $(CC) -O1 -fno-stack-protector -nostdlib -Wl,--hash-style=gnu,-z,max-page-size=4096
elf_shared := $(elf_build) -fPIC -shared
OBJCOPY    ?= $(shell $(CC) -print-prog-name=objcopy)
NM         ?= $(shell $(CC) -print-prog-name=nm)

# Three files from one: stripped, its symbols, and nm's list of them.
# $(call elf_split,file) works on $(elf_folder)/file.so.
elf_split = $(OBJCOPY) --only-keep-debug $(elf_folder)/$(1).so $(elf_folder)/$(1).debug && \
    $(OBJCOPY) --strip-all $(elf_folder)/$(1).so $(elf_folder)/$(1).stripped && \
    $(NM) -P $(elf_folder)/$(1).so >$(elf_folder)/$(1).nm

unit_fixtures += $(elf_folder)/made

$(O)/obj/tests/unit/test_elf_%: flags += -DELF_FIXTURES='"$(abspath $(elf_folder))"'

# Fixed ids, because they are part of the paths below.
$(elf_folder)/made: $(elf_source) tests/unit/elf.mk
	$(call say,FIXTURE,$(elf_folder))
	@rm -rf $(elf_folder)
	@mkdir -p $(addprefix $(elf_folder)/,beside below/.debug alone badcrc everything \
	    root/.build-id/01 root/srv/app wrong/.build-id/01)
	$(Q)$(elf_shared) -Wl,--build-id=0x01234567 -o $(elf_folder)/id.so $(elf_source)
	$(Q)$(elf_shared) -Wl,--build-id=0x01ffffff -DSHIFTED -o $(elf_folder)/shifted.so $(elf_source)
	$(Q)$(elf_shared) -Wl,--build-id=none -o $(elf_folder)/noid.so $(elf_source)
	$(Q)$(elf_shared) -Wl,--build-id=0x02,--hash-style=sysv -o $(elf_folder)/sysv.so $(elf_source)
	$(Q)$(elf_build) -static -Wl,-Ttext=0x7000000 -o $(elf_folder)/fixed $(elf_source)
	$(Q)$(NM) -P $(elf_folder)/fixed >$(elf_folder)/fixed.nm
	$(Q)$(call elf_split,id)
	$(Q)$(call elf_split,shifted)
	$(Q)$(call elf_split,noid)
	$(Q)$(NM) -P $(elf_folder)/sysv.so >$(elf_folder)/sysv.nm
	@cp $(elf_folder)/id.debug $(elf_folder)/root/.build-id/01/234567.debug
	@cp $(elf_folder)/shifted.debug $(elf_folder)/wrong/.build-id/01/234567.debug
	$(Q)cd $(elf_folder) && \
	for place in beside below alone badcrc; do \
	    $(OBJCOPY) --add-gnu-debuglink=noid.debug noid.stripped $$place/app.so || exit; \
	done
	@cd $(elf_folder) && cp noid.debug beside && cp noid.debug below/.debug && \
	    cp noid.debug root/srv/app && cp noid.debug badcrc && printf x >>badcrc/noid.debug
	$(Q)cd $(elf_folder) && $(OBJCOPY) --strip-debug noid.debug mini && xz -k mini && \
	    $(OBJCOPY) --add-section .gnu_debugdata=mini.xz noid.stripped packed.so
	$(Q)cd $(elf_folder) && $(OBJCOPY) --strip-debug shifted.debug other && xz -k other && \
	    $(OBJCOPY) --add-section .gnu_debugdata=other.xz --add-gnu-debuglink=id.debug \
	        id.stripped everything/app.so && cp id.debug everything
	@touch $@
