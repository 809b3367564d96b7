"""Apache with mod_wsgi, embedded in its own processes and in daemon processes: libpython is loaded
with the module, and starts after root's privileges were dropped."""

import os
import shutil
import signal

import inside
import packages
import serving
import visit
from harness import case

CASES = []
SUBJECT = "mod_wsgi"
PROGRAM = "/usr/sbin/apache2"
MODULES = "/usr/lib/apache2/modules"
WORKERS = 2
THREADS = 16

# A fixed number of processes, so that perf knows them all. Interpreters are not ended: when
# mod_wsgi 4.9.4 ends sub-interpreters of 3.11, it hangs or crashes, with libpyperf or without.
CONFIGURATION = """
ServerRoot {folder}
ServerName {address}
Listen {address}:{port}
PidFile apache.pid
DefaultRuntimeDir {folder}
ErrorLog error.log
LogLevel warn
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
ServerLimit {servers}
StartServers {servers}
ThreadsPerChild {threads}
MinSpareThreads 1
MaxSpareThreads {all_threads}
MaxRequestWorkers {all_threads}
WSGISocketPrefix wsgi
WSGIDestroyInterpreter Off
{rest}
WSGIScriptAlias /orders {programs}/orders.py
WSGIScriptAlias /prices {programs}/prices.py
<Location /orders>
    WSGIApplicationGroup orders
</Location>
<Location /prices>
    WSGIApplicationGroup prices
</Location>
"""
# Apache refuses to serve as root.
OF_ROOT = "User www-data\nGroup www-data\n"
# Not every user has an existing home directory.
DAEMONS = """
WSGIDaemonProcess site processes={workers} threads=4 home={folder}
WSGIProcessGroup site
"""


def open_to_others(bench):
    """Copies the files for a server that has dropped root's rights and may not read the
    checkout."""
    for name in ("libpyperf.so", "libpyperf-plan.so"):
        shutil.copy(os.path.join(bench.build, name), bench.folder)
    bench.library = os.path.join(bench.folder, "libpyperf.so")
    serving.programs(bench)
    for folder, _, files in os.walk(bench.folder):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o755)
    os.chmod(bench.images, 0o1777)


def apache(bench, servers, rest, applications):
    packages.require(PROGRAM, "apache2-bin")
    packages.require(os.path.join(MODULES, "mod_wsgi.so"), "libapache2-mod-wsgi-py3")
    if os.geteuid() == 0:
        rest = OF_ROOT + rest
        open_to_others(bench)

    def command(bench, port):
        text = CONFIGURATION.format(
            folder=bench.folder,
            address=serving.ADDRESS,
            port=port,
            modules=MODULES,
            programs=serving.programs(bench),
            servers=servers,
            threads=THREADS,
            all_threads=THREADS * servers,
            rest=rest.format(folder=bench.folder, workers=WORKERS),
        )
        return [PROGRAM, "-f", bench.write("apache.conf", text), "-D", "FOREGROUND"]

    return serving.Kind(command, WORKERS, signal.SIGTERM, applications)


def look_at(bench, servers, rest):
    kind = apache(bench, servers, rest, ["orders", "prices"])
    visit.look_at_server(bench, kind, 2, lambda names: not names)


def look_at_sampled(bench, servers, rest, how):
    """Each thread is in one sub-interpreter or the other."""
    kind = apache(bench, servers, rest, ["orders", "prices"])
    inside.look_at_server(bench, kind, lambda names: not names, PYPERF_SAMPLER=how)


@case(CASES, needs=("servers",))
def mod_wsgi_embedded(bench):
    look_at(bench, WORKERS, "")


@case(CASES, needs=("servers",))
def mod_wsgi_daemon(bench):
    look_at(bench, 1, DAEMONS)


@case(CASES, needs=("servers",))
def mod_wsgi_embedded_sampled(bench):
    """Apache's processes block all signals before Python begins."""
    look_at_sampled(bench, WORKERS, "", inside.HZ)


@case(CASES, needs=("servers",))
def mod_wsgi_daemon_sampled(bench):
    """As on kernels before 6.4. The main thread, which Python has begun in, does nothing."""
    look_at_sampled(bench, 1, DAEMONS, inside.HZ + ":threads")
