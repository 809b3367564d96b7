"""gunicorn: four workers forked before the first request."""

import signal

import serving
import visit
from harness import case

CASES = []
SUBJECT = "gunicorn"
PROGRAM = "/usr/bin/gunicorn"
WORKERS = 4


def command(bench, port):
    address = "%s:%d" % (serving.ADDRESS, port)
    options = ["--workers", str(WORKERS), "--bind", address, "--chdir", serving.PROGRAMS]
    return [bench.python, PROGRAM] + options + ["orders:application"]


@case(CASES, needs=("servers",))
def gunicorn_workers(bench):
    serving.require(PROGRAM, "gunicorn")
    kind = serving.Kind(command, WORKERS, signal.SIGTERM, ["orders"])
    outermost = "<module>:" + PROGRAM

    def beneath(names):
        return len(names) > 1 and names[-1] == outermost

    visit.look_at_server(bench, kind, 1, beneath)
