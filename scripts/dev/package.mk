# make man                build/man: pyperf-run(1), libpyperf(7); needs scdoc
# make deb                build/libpyperf_VERSION_CPU.deb; needs debhelper and scdoc

mandir  ?= $(prefix)/share/man
datadir ?= $(prefix)/share/libpyperf
partdir ?= $(prefix)/lib/libpyperf
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir  ?= $(prefix)/share/zsh/site-functions
fishdir ?= $(prefix)/share/fish/vendor_completions.d

pages := $(O)/man/pyperf-run.1 $(O)/man/libpyperf.7
# One date for everything that is made from the same sources.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)

maintainer = $(or $(DEBFULLNAME),The libpyperf authors) <$(or $(DEBEMAIL),root@localhost)>

.PHONY: man deb install-extras uninstall-extras

man: $(pages)

# On a terminal "-" is a typographic hyphen, which is wrong in a copied command line; "\-" is not.
$(O)/man/%: docs/man/%.scd README.md scripts/dev/man.awk Makefile | $(O)/scdoc-found
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)awk -v version=$(VERSION) -f scripts/dev/man.awk README.md $< >$@.scd
	$(Q)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) scdoc <$@.scd >$@.roff
	$(Q)sed '/^[.]/b; /^\\h/b; s/\\-/-/g; s/-/\\-/g' $@.roff >$@ && rm $@.scd $@.roff

$(O)/scdoc-found:
	@mkdir -p $(O); command -v scdoc >/dev/null || { \
	    echo 'libpyperf: scdoc is missing: apt-get install scdoc' >&2; exit 1; }; touch $@

# The scripts of scripts/run, and the binaries of the build; the template and the manual if they
# were made.
install-extras: all
	install -d $(addprefix $(DESTDIR),$(bashdir) $(zshdir) $(fishdir))
	install -m 644 scripts/completions/pyperf-run.bash $(DESTDIR)$(bashdir)/pyperf-run
	install -m 644 scripts/completions/_pyperf-run $(DESTDIR)$(zshdir)
	install -m 644 scripts/completions/pyperf-run.fish $(DESTDIR)$(fishdir)
	for part in $(wildcard scripts/run/*.sh scripts/run/*.py) $(foreach made, \
	    $(basename $(notdir $(tool_sources))) $(arch_tools),$(O)/$(made) $(O)/$(made).so); do \
	    [ ! -f $$part ] || install -D -m $$([ -x $$part ] && echo 755 || echo 644) \
	        -t $(DESTDIR)$(partdir) $$part || exit; \
	done
	[ ! -f $(O)/flamegraph.html ] || install -D -m 644 -t $(DESTDIR)$(datadir) \
	    $(O)/flamegraph.html $(O)/flamegraph.LICENSE
	for page in $(pages); do \
	    [ ! -f $$page ] || install -D -m 644 -t $(DESTDIR)$(mandir)/man$${page##*.} $$page || \
	        exit; \
	done

uninstall-extras:
	rm -f $(DESTDIR)$(bashdir)/pyperf-run $(DESTDIR)$(zshdir)/_pyperf-run
	rm -f $(DESTDIR)$(fishdir)/pyperf-run.fish
	rm -f $(DESTDIR)$(mandir)/man1/pyperf-run.1 $(DESTDIR)$(mandir)/man7/libpyperf.7
	rm -rf $(DESTDIR)$(partdir) $(DESTDIR)$(datadir)

# A package of the distribution needs the distribution's libraries.
packaged := $(O)/packaged

# debhelper works in a source folder that holds only scripts/dev/debian.
deb: $(O)/deb-tools-found flamegraph-template
	$(Q)mkdir -p $(packaged) && cp $(O)/flamegraph* $(packaged)
	$(Q)$(MAKE) --no-print-directory O=$(packaged) SHARED=1 all man
	$(Q)rm -rf $(O)/deb && mkdir -p $(O)/deb/debian
	$(Q)for file in scripts/dev/debian/*; do \
	    sed -e 's/@VERSION@/$(VERSION)/' -e 's/@MAINTAINER@/$(maintainer)/' \
	        -e "s/@DATE@/$$(LC_ALL=C date -uRd @$(SOURCE_DATE_EPOCH))/" \
	        $$file >$(O)/deb/debian/$${file##*/} || exit; \
	done; chmod +x $(O)/deb/debian/rules
	$(Q)DEB_RULES_REQUIRES_ROOT=no $(MAKE) --no-print-directory -C $(O)/deb -f debian/rules \
	    TOP=$(CURDIR) BUILD=$(packaged) SHARED=1 binary >$(O)/deb.log 2>&1 </dev/null || { \
	        cat $(O)/deb.log >&2; exit 1; }
	@echo "libpyperf: $(abspath $(O))/libpyperf_$(VERSION)_$$(dpkg --print-architecture).deb"

$(O)/deb-tools-found:
	@mkdir -p $(O); missing=; for pair in dh:debhelper scdoc:scdoc; do \
	    command -v $${pair%:*} >/dev/null || missing="$$missing $${pair#*:}"; \
	done; [ -z "$$missing" ] || { \
	    echo "libpyperf: make deb needs more: apt-get install$$missing" >&2; exit 1; }; touch $@
