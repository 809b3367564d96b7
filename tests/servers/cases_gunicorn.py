"""gunicorn: four workers forked before the first request; and with gevent, a greenlet a request."""

import signal

import packages
import serving
import visit
from harness import case

CASES = []
SUBJECT = "gunicorn"
PROGRAM = "/usr/bin/gunicorn"
WORKERS = 4


def gunicorn(bench, *options):
    packages.require(PROGRAM, "gunicorn")

    def command(bench, port):
        words = [bench.python, PROGRAM, "--workers", str(WORKERS)]
        words += ["--bind", "%s:%d" % (serving.ADDRESS, port)]
        words += ["--chdir", serving.programs(bench)]
        return words + list(options) + ["orders:application"]

    return serving.Kind(command, WORKERS, signal.SIGTERM, ["orders"])


def look_at(bench, outermost, *options):
    kind = gunicorn(bench, *options)
    visit.look_at_server(bench, kind, 1, lambda names: any(map(outermost, names)))


@case(CASES, needs=("servers",))
def gunicorn_workers(bench):
    look_at(bench, ("<module>:" + PROGRAM).__eq__)


@case(CASES, needs=("servers",))
def gunicorn_with_gevent(bench):
    """The outermost function of a greenlet is gevent's."""
    packages.require_module("gevent")
    look_at(bench, lambda name: name.endswith("/gevent/baseserver.py"), "--worker-class", "gevent")


@case(CASES, needs=("servers",))
def gunicorn_toggled(bench):
    """Functions that were running before have no name: the worker's loop and its callers."""

    def beneath(names):
        return any(name.endswith("/gunicorn/workers/sync.py") for name in names)

    visit.look_at_toggle(bench, gunicorn(bench), beneath)
