"""The recipe of docs/services.md under systemd: a service that is switched on for a while."""

import os

from cases_container import look_at_table, record, table
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


@case(CASES)
def systemd_toggled(bench):
    bench.that("drop-in", "libpyperf.so in it", "libpyperf.so" in drop_in(), repr(drop_in()))
    with Service(bench.machine) as service:
        bench.equal("dormant: images", [], service.images())
        service.signal()
        bench.equal("on: images", 1, len(service.images()))
        data, seen = record(bench, service.pid, 5)
        look_at_table(bench, "on", seen)
        service.signal()
        event, names, _ = record(bench, service.pid, 2)[1]
        bench.that("off: samples", "50 or more", event["samples"] >= 50, str(event["samples"]))
        bench.equal("off: names", [], names)
        look_at_service(bench, "off", service, service.pid)
    bench.equal("stopped: images", 1, len(service.images()))
    bench.equal("stopped: result", "success", service.show("Result"))


@case(CASES)
def systemd_locked_down(bench):
    """No memory becomes executable, and the service is no root."""
    with Service(bench.machine, LOCKED) as service:
        service.signal()
        bench.equal("images", 1, len(service.images()))
        look_at_table(bench, "on", record(bench, service.pid, 3)[1])
        look_at_service(bench, "on", service, service.pid)


@case(CASES)
def systemd_private_tmp(bench):
    """Images in a /tmp that is gone with the service."""
    with Service(bench.machine, IN_TMP) as service:
        service.signal()
        bench.equal("images in /run/shop-images", [], service.images())
        names = os.listdir("/proc/%d/root/tmp" % service.pid)
        images = [one for one in names if one.startswith("pyperf-")]
        bench.equal("images in its /tmp", 1, len(images))
        data, seen = record(bench, service.pid, 3)
        look_at_table(bench, "running", seen)
    _, names, advice = table(bench, data)
    bench.equal("stopped: names", [], names)
    bench.that("stopped: advice", "one", bool(advice), repr(advice))
