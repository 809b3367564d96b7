# make check-servers      real servers, greenlet, gevent and numpy, as Debian packages them

.PHONY: check-servers

check-servers: all
	$(Q)$(PYTHON) tests/servers/run.py --build $(O)
