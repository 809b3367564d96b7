# make check-servers      real servers, greenlet, gevent and numpy, as Debian packages them
# make check-container    docs/services.md's recipe in Docker: as root, with docker.io and debootstrap
# make check-systemd      those for systemd and cron, with systemd as process 1 of namespaces: as root,
#                         with debootstrap

.PHONY: check-servers check-container check-systemd

check-servers: all
	$(Q)$(PYTHON) tests/servers/run.py --build $(O)

check-container check-systemd: deb
	$(Q)$(PYTHON) tests/servers/recipes.py --build $(O) $(@:check-%=%)
