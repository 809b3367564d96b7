"""The recipes of docs/services.md for a fleet: a timer of systemd, or a container beside another one, profiles a
service for a while and sends that to a store, which tests/run/store.py stands for."""

import glob
import os
import re
import subprocess
import sys
import time

import guide
import packages
from cases_container_attached import Plain
from debian import run
from engine import IMAGE
from harness import case
from manager import UNIT

sys.path.insert(1, os.path.join(os.path.dirname(packages.HERE), "run"))

from store import Store

CASES, IN_CONTAINERS = [], []
SECONDS = 120
# The tests' image with neither its program nor what prepares that.
PROFILER = "FROM %s\nENV LD_PRELOAD= PYPERF_TOGGLE_SIGNAL=\nENTRYPOINT []\n" % IMAGE
FOLDER = "var/lib/shop-profile"


def units():
    """The service and the timer of the guide."""
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", guide.section("A fleet"), re.M)
    texts = [re.sub(r"^    ", "", one, flags=re.M).strip() + "\n" for one in blocks]
    (service,) = [one for one in texts if one.startswith("[Unit]")]
    (timer,) = [one for one in texts if one.startswith("[Timer]")]
    return service, timer.split("\n\ne ")[0] + "\n"


def wait_for(machine, what):
    """Until the service of the profile has ended, and that is so."""
    end = time.time() + SECONDS
    while not what() or machine.systemctl("is-active", "shop-profile.service", check=False) == "activating":
        if time.time() > end:
            raise RuntimeError("nothing after %d s: %s" % (SECONDS, log(machine)))
        time.sleep(0.2)


def log(machine):
    return run(machine.enter("journalctl", "-o", "cat", "-u", "shop-profile")).strip()


def install(machine, store):
    service, timer = units()
    service = service.replace("pyroscope+http://pyroscope:4040", store.url("pyroscope")).replace("sleep 60", "sleep 3")
    timer = timer.replace("OnCalendar=*:0/15\nRandomizedDelaySec=60", "OnActiveSec=1s\nAccuracySec=100ms")
    machine.write("etc/systemd/system/shop-profile.service", service)
    machine.write("etc/systemd/system/shop-profile.timer", timer)
    # As it is without a drop-in: nothing of libpyperf.
    machine.write("etc/systemd/system/shop.service", UNIT)
    run(machine.enter("rm", "-rf", "/etc/systemd/system/shop.service.d"))
    machine.systemctl("daemon-reload")


def look_at(bench, received, **labels):
    """Profiles of shop, one in each request."""
    got = [one for request in received for one in request]
    for name, value in sorted(labels.items()):
        bench.equal(name, {value}, {one.labels.get(name) for one in got})
    bench.equal("one in each request", len(received), len(got))
    names = {name for one in got for stack in one.profile.stacks for name, file, _ in stack if file.startswith("/srv/")}
    bench.that("functions of shop", "main and more", "main" in names and len(names) >= 3, sorted(names))


@case(CASES)
def systemd_profiles_are_sent(bench):
    machine = bench.machine
    with Store() as store:
        install(machine, store)
        machine.systemctl("start", "shop")
        try:
            store.answers.append((503, "later"))
            machine.systemctl("start", "shop-profile.timer")
            wait_for(machine, lambda: store.headers)
            said = log(machine)
            bench.equal("a store that is down: requests that it took", 0, len(store.received))
            bench.that("a store that is down: log", "a line", "HTTP 503: later; " in said, said)
            bench.equal("the profile", 1, len(glob.glob(machine.inside(FOLDER + "/*.samples"))))
            machine.systemctl("start", "shop-profile.service")
            wait_for(machine, lambda: len(store.received) == 2)
            pid = machine.systemctl("show", "-p", "MainPID", "--value", "shop")
            look_at(bench, store.received, service_name="shop", service_version="1.4", process_pid=pid)
            bench.equal("wrong", [], store.wrong)
            bench.equal("shop", "active", machine.systemctl("is-active", "shop", check=False))
        finally:
            machine.systemctl("stop", "shop-profile.timer", "shop-profile.service", "shop", check=False)


def beside(container, store):
    """The guide's command."""
    (found,) = re.findall(r"^(    docker run -d --pid (?:.*\n)+?.*done')$", guide.section("A fleet"), re.M)
    for old, new in (
        ("run -d", "run -d --network host"),
        ("container:shop", "container:" + container.name),
        ("pyroscope+http://pyroscope:4040", store.url("pyroscope")),
        ("sleep 60", "sleep 3"),
        ("sleep 840", "sleep 1"),
    ):
        if old not in found:
            raise RuntimeError("the guide's container has no %r" % old)
        found = found.replace(old, new)
    return found


@case(IN_CONTAINERS)
def containers_profiles_are_sent(bench):
    engine = bench.machine
    with subprocess.Popen(["printf", "%s", PROFILER], stdout=subprocess.PIPE) as dockerfile:
        engine.docker("build", "--network", "none", "-t", "profiler", "-", stdin=dockerfile.stdout)
    with Store() as store, Plain(bench) as container:
        store.answers.append((503, "later"))
        name = run(["sh", "-c", beside(container, store)], env=engine.environment).strip()
        try:
            end = time.time() + SECONDS
            while len(store.received) < 2 and time.time() < end:
                time.sleep(0.2)
            said = engine.docker("logs", name)
            bench.that("two requests", "with the one that failed", len(store.received) >= 2, said)
            bench.that("log", "HTTP 503: later", "HTTP 503: later; " in said, said)
            look_at(bench, store.received, service_name="shop", host_name=os.uname()[1], process_pid="1")
            bench.equal("wrong", [], store.wrong)
            container.wait_for_turns(1)
        finally:
            engine.docker("rm", "-f", name)
