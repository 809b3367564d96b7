"""gunicorn: four workers forked before the first request; and with gevent, a greenlet a request."""

import os
import signal
import time

import inside
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


def replaced(bench, kind):
    """A function that replaces all workers while requests come: one is killed, all are asked to end, as on a reload."""

    def wait_for_others(server, earlier, count):
        end, found = time.time() + serving.SECONDS_TO_START, set()
        while len(found) < count:
            if time.time() > end:
                raise RuntimeError("no new workers: %s" % server.said()[-600:])
            requests = kind.requests()[: serving.FIRST_REQUESTS]
            found.update(int(one.process) for one in server.ask(requests) if one.process is not None)
            found -= earlier
        return found

    def replace(server, pids):
        os.kill(min(pids), signal.SIGKILL)
        later = wait_for_others(server, set(pids), 1)
        server.process.send_signal(signal.SIGHUP)
        later |= wait_for_others(server, set(pids) | later, WORKERS)
        requests = kind.requests()[: serving.FIRST_REQUESTS]
        inside.look_at_answers(bench, "replaced", requests, server.ask(requests))
        end = time.time() + serving.SECONDS_TO_START
        while pids & set(serving.parents()) and time.time() < end:
            time.sleep(0.05)
        bench.equal("the first workers have ended", set(), pids & set(serving.parents()))

    return replace


@case(CASES, needs=("servers",))
def gunicorn_sampled(bench):
    """Files of workers that were killed or have ended are read with the others."""
    kind = gunicorn(bench)
    outermost = ("<module>:" + PROGRAM).__eq__
    inside.look_at_server(bench, kind, lambda names: any(map(outermost, names)), replaced(bench, kind))


@case(CASES, needs=("servers",))
def gunicorn_threads_sampled(bench):
    kind = gunicorn(bench, "--worker-class", "gthread", "--threads", "4")
    inside.look_at_server(bench, kind, lambda names: names[-1:] and names[-1].startswith("Thread._bootstrap:"))
