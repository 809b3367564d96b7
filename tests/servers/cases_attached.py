"""Servers that run without libpyperf, to which pyperf-run -p attaches while they answer."""

import os
import signal

import attached
import cases_celery
import inside
import orders
import packages
import recording
import serving
from cases_apache import open_to_others
from cases_gunicorn import PROGRAM as GUNICORN
from cases_gunicorn import gunicorn
from cases_uwsgi import uwsgi
from harness import case

CASES = []
SUBJECT = "attached"


@case(CASES, needs=("servers",))
def gunicorn_attached(bench):
    outermost = "<module>:" + GUNICORN
    attached.look_at_server(bench, gunicorn(bench), lambda names: names[-1:] == [outermost])


@case(CASES, needs=("servers",))
def gunicorn_threads_attached(bench):
    kind = gunicorn(bench, "--worker-class", "gthread", "--threads", "4")
    attached.look_at_server(bench, kind, lambda names: names and names[-1].startswith("Thread._bootstrap:"))


@case(CASES, needs=("servers",))
def uwsgi_attached(bench):
    """As another user, with a sub-interpreter for the second application."""
    options = ["--skip-atexit-teardown"]
    if os.geteuid() == 0:
        open_to_others(bench)
        options += ["--uid", "www-data", "--gid", "www-data"]
    attached.look_at_server(bench, uwsgi(bench, ["orders", "prices"], *options), lambda names: not names)


@case(CASES, needs=("servers",))
def threaded_attached(bench):
    """Debian's static 3.11; each request has a thread of its own."""

    def command(bench, port):
        return [bench.python, os.path.join(serving.programs(bench), "threaded.py"), str(port)]

    kind = serving.Kind(command, 1, signal.SIGTERM, ["orders"])
    attached.look_at_server(bench, kind, lambda names: names and names[-1].startswith("Thread._bootstrap:"))


@case(CASES, needs=("servers",))
def celery_attached(bench):
    with cases_celery.Worker(bench, [], preload=False, images=False) as worker:
        bench.equal("right answers before", cases_celery.FIRST, worker.work(cases_celery.FIRST))
        pids = set(cases_celery.pids_by_recipe())
        one = attached.Attached(bench, pids, 1)
        tasks = right = 0
        while one.runs():
            tasks += cases_celery.FIRST
            right += worker.work(cases_celery.FIRST)
        bench.equal("right answers", tasks, right)
        profile = one.end()
        attached.look_at_processes(bench, pids)
        bench.equal("status, processes left", (0, 0), worker.stop())
        bench.equal("lines of libpyperf", False, "libpyperf" in worker.said())
    found = list(profile.records())
    inside.look_at_all(bench, "all", found, 100)
    path = serving.program(bench, "orders")
    own = inside.each(found)
    recording.look_at_stacks(bench, "all", own, path, orders.CHAIN[:-1], cases_celery.beneath_task(bench))
