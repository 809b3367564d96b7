# make check-attach       attaches to busy processes, COUNT (500) for each interpreter; takes an hour or more
#                         (ATTACH_OPTIONS=--python PATH)

COUNT          ?= 500
ATTACH_OPTIONS ?=

.PHONY: check-attach
check-attach: all $(O)/tests/attach/helper.so
	$(Q)$(PYTHON) tests/attach/run.py --build $(O) --count $(COUNT) $(ATTACH_OPTIONS)

$(O)/tests/attach/helper.so: tests/attach/helper.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -g -fPIC -shared $(warnings) -o $@ $< -lpthread
