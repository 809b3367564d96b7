"""The line for cron in docs/services.md, in a Debian with systemd as process 1."""

import json
import os
import re
import shutil
import time

import guide
import orders
import packages
from debian import run
from harness import case
from manager import namespace

CASES = []
SECONDS = 120  # it begins with a minute
DATA = "/var/tmp/nightly.data"
# Logged by cron if output cannot be mailed. A job that prints shows that this works.
NO_MAIL = "discarding output"
LOUD = "* * * * *  echo loud\n"


def is_running(machine, word):
    """Whether a process of systemd's namespace has that word in its command line."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid) as words:
                if word in words.read() and namespace(pid) == namespace(machine.pid):
                    return True
        except OSError:
            continue
    return False


def wait_for_end(machine, word):
    end = time.time() + SECONDS
    while not os.path.exists(machine.inside(DATA[1:])) or is_running(machine, word):
        if time.time() > end:
            raise RuntimeError("no profile, or no end of it, after %d s" % SECONDS)
        time.sleep(0.2)


@case(CASES)
def cron_nightly(bench):
    machine = bench.machine
    (command,) = re.findall(r"^    0 3 \* \* \*  (.*)$", guide.section("cron"), re.M)
    for name in ("nightly.py", "orders.py"):
        shutil.copy(packages.program(name), machine.inside("srv"))
    machine.write("srv/crontab", "* * * * *  %s\n%s" % (command, LOUD))
    run(machine.enter("crontab", "/srv/crontab"))
    try:
        wait_for_end(machine, "pyperf-run")
    finally:
        run(machine.enter("crontab", "-r"))
    report = run(machine.enter("pyperf-run", "--report", DATA, "--json=-"))
    (event,) = json.loads(report)["events"]
    names = {one["name"] for one in event["functions"] if one["file"].startswith("/srv/")}
    bench.equal("names", {"main", "<module>"} | set(orders.CHAIN[:-1]), names)
    complete, samples = event["complete"], event["samples"]
    good = samples >= 100 and complete >= 0.99
    got = "%.1f %% of %d" % (100 * complete, samples)
    bench.that("complete stacks", "99 % of 100 or more", good, got)
    lines = run(machine.enter("journalctl", "-o", "cat")).splitlines()
    ours = [line for line in lines if "CMD" in line and "pyperf-run -q" in line]
    bench.equal("log: started", 1, len(ours))
    bench.equal("log: outputs", 1, sum(NO_MAIL in line for line in lines))
