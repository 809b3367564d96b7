"""uWSGI: libpython is loaded with a plugin; workers are forked from a process that has run Python
already."""

import os
import signal

import inside
import packages
import serving
import visit
from cases_apache import open_to_others
from harness import case

CASES = []
SUBJECT = "uwsgi"
PROGRAM = "/usr/bin/uwsgi-core"
PLUGIN = "/usr/lib/uwsgi/plugins/python3_plugin.so"
WORKERS = 2


def uwsgi(bench, applications, *options):
    packages.require(PROGRAM, "uwsgi-core")
    packages.require(PLUGIN, "uwsgi-plugin-python3")

    def command(bench, port):
        words = [PROGRAM, "--plugin", PLUGIN, "--http-socket", "%s:%d" % (serving.ADDRESS, port)]
        words += ["--master", "--processes", str(WORKERS), "--disable-logging"]
        words += ["--manage-script-name", "--need-app"]
        for name in applications:
            words += ["--mount", "/%s=%s" % (name, serving.program(bench, name))]
        return words + list(options)

    return serving.Kind(command, WORKERS, signal.SIGINT, applications)


def look_at(bench, applications, interpreters, *options):
    kind = uwsgi(bench, applications, *options)
    visit.look_at_server(bench, kind, interpreters, lambda names: not names)


@case(CASES, needs=("servers",))
def uwsgi_sub_interpreters(bench):
    """The first application has the main interpreter, each other one a sub-interpreter. With those,
    uWSGI 2.0.21 crashes when it ends the interpreters of 3.11, with libpyperf or without, so it is
    told not to."""
    look_at(bench, ["orders", "prices", "again"], 3, "--skip-atexit-teardown")


@case(CASES, needs=("servers",))
def uwsgi_one_interpreter(bench):
    """The interpreter is ended when the worker ends."""
    look_at(bench, ["orders", "prices"], 1, "--single-interpreter")


@case(CASES, needs=("servers",))
def uwsgi_toggled(bench):
    kind = uwsgi(bench, ["orders"], "--single-interpreter")
    visit.look_at_toggle(bench, kind, lambda names: not names)


@case(CASES, needs=("servers",))
def uwsgi_sampled(bench):
    """A sub-interpreter for the second application: see above."""
    kind = uwsgi(bench, ["orders", "prices"], "--skip-atexit-teardown")
    inside.look_at_server(bench, kind, lambda names: not names)


@case(CASES, needs=("servers",))
def uwsgi_threads_sampled(bench):
    """uWSGI's threads block all signals; started as root, it changes its user."""
    options = ["--single-interpreter", "--enable-threads", "--threads", "4"]
    if os.geteuid() == 0:
        open_to_others(bench)
        options += ["--uid", "www-data", "--gid", "www-data"]
    inside.look_at_server(bench, uwsgi(bench, ["orders", "prices"], *options), lambda names: not names)
    owners = {os.stat(os.path.join(bench.images, name)).st_uid for name in os.listdir(bench.images)}
    bench.equal("owners of files: root", os.geteuid() == 0 and {0} == owners, False)
