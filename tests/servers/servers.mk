# make check-servers      real servers, greenlet, gevent and numpy, as Debian packages them
# make check-container    docs/services.md's recipe in Docker: as root, with docker.io and debootstrap

.PHONY: check-servers check-container

check-servers: all
	$(Q)$(PYTHON) tests/servers/run.py --build $(O)

check-container: deb
	$(Q)$(PYTHON) tests/servers/container.py --build $(O)
