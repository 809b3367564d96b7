"""The recipe of docs/services.md under systemd: a service that is switched on for a while."""

import os
import shutil

import perf
from cases_container import FILE, look_at_table, record, table
from harness import case
from manager import Service, drop_in

CASES = []
LOCKED = "PrivateTmp=yes\nMemoryDenyWriteExecute=yes\nNoNewPrivileges=yes\nUser=www-data\n"
IN_TMP = "PrivateTmp=yes\nEnvironment=PYPERF_DIR=\n"


def look_at_service(bench, what, service, pid):
    said = service.manager.read("srv/err").splitlines()
    bench.equal("%s: results" % what, 1, len(set(service.turns())))
    bench.equal("%s: stderr" % what, [], said)
    state = [service.show(name) for name in ("ActiveState", "SubState", "NRestarts")]
    bench.equal("%s: state, restarts" % what, ["active", "running", "0"], state)
    bench.equal("%s: process" % what, pid, service.host_pid(int(service.show("MainPID"))))


def names_inside(bench, data):
    """Stacks of shop's functions, by a perf that sees the files of systemd's namespace."""
    shutil.copy(data, bench.machine.inside("srv/perf.data"))
    words = ["perf", "script", "--no-inline", "-i", "/srv/perf.data"]
    words = bench.machine.enter(*words, *perf.FIELDS)
    environment = bench.environment(preload=False, support=None, images=False)
    samples = perf.samples(bench.run(words, environment).out)
    bench.that("samples", "100 or more", len(samples) >= 100, str(len(samples)))
    return {name for one in samples for name in one.python if name.endswith(":" + FILE)}


@case(CASES)
def systemd_toggled(bench):
    bench.that("drop-in", "libpyperf.so in it", "libpyperf.so" in drop_in(), repr(drop_in()))
    with Service(bench.machine) as service:
        bench.equal("dormant: images", [], service.images())
        service.signal()
        bench.equal("on: images", 1, len(service.images()))
        on, seen = record(bench, service.pid, 5, name="on.data")
        look_at_table(bench, "on", seen)
        service.signal()
        event, names, _ = record(bench, service.pid, 2)[1]
        bench.that("off: samples", "50 or more", event["samples"] >= 50, str(event["samples"]))
        bench.equal("off: names", [], names)
        look_at_service(bench, "off", service, service.pid)
    bench.equal("stopped: images", 1, len(service.images()))
    names = names_inside(bench, on)
    bench.that("stopped: names", "3 or more", len(names) >= 3, repr(names))
    bench.equal("stopped: result", "success", service.show("Result"))


@case(CASES)
def systemd_locked_down(bench):
    """No memory may become executable, and the service does not run as root."""
    with Service(bench.machine, LOCKED) as service:
        status = service.status()
        bench.equal("filtered, no root", ("2", True), (status["Seccomp"], status["Uid"][0] != "0"))
        service.signal()
        bench.equal("images", 1, len(service.images()))
        look_at_table(bench, "on", record(bench, service.pid, 3)[1])
        look_at_service(bench, "on", service, service.pid)


@case(CASES)
def systemd_private_tmp(bench):
    """Images in a private /tmp that is removed with the service."""
    with Service(bench.machine, IN_TMP) as service:
        bench.equal("a /tmp of its own", True, service.has_own_tmp())
        service.signal()
        bench.equal("images in /run/shop-images", [], service.images())
        names = os.listdir("/proc/%d/root/tmp" % service.pid)
        images = [one for one in names if one.startswith("pyperf-")]
        bench.equal("images in its /tmp", 1, len(images))
        data, seen = record(bench, service.pid, 3)
        look_at_table(bench, "running", seen)
    _, names, advice = table(bench, data)
    bench.equal("stopped: names", [], names)
    bench.equal("stopped: names, inside", set(), names_inside(bench, data))
    good = "build id" in (advice or "") or "missing" in (advice or "")
    bench.that("stopped: advice", "of a lost file", good, repr(advice))
