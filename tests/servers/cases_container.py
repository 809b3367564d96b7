"""The recipe of docs/services.md in Docker: a signal from outside, perf on the host and inside."""

import json
import os

import harness
import perf
from engine import Container, recipe
from harness import case

CASES = []
RUN = os.path.join(harness.HERE, "..", "..", "scripts", "pyperf-run")
FILE = "/srv/shop/__main__.py"
NAMES = ["price", "total", "total.<locals>.<listcomp>"]
AT_LEAST = 0.99
# main() was running when it was switched on: its own time has no name.
NAMED = 0.95


def pyperf_run(bench, *words):
    environment = bench.environment(preload=False, support=None, images=False)
    done = bench.run([os.path.realpath(RUN)] + list(words), environment)
    if done.status != 0:
        raise RuntimeError("pyperf-run: status %d: %s" % (done.status, done.err.strip()))
    return done


def record(bench, pid, seconds, *options, name="perf.data"):
    """The profile, and the table while the container still runs."""
    data = os.path.join(bench.folder, name)
    words = ["-q", "-o", data] + list(options) + ["-p", str(pid), "--", "sleep", str(seconds)]
    pyperf_run(bench, *words)
    return data, table(bench, data)


def recorded_by_perf(bench, pid, seconds):
    """Without pyperf-run, which would attach itself."""
    data = os.path.join(bench.folder, "plain.data")
    words = ["perf", "record", "-q", "-N", "-e", "cpu-clock", "-F", "199", "--call-graph", "dwarf,16384", "-o", data]
    environment = bench.environment(preload=False, support=None, images=False)
    bench.run(words + ["-p", str(pid), "--", "sleep", str(seconds)], environment)
    return perf.samples(bench.run(["perf", "script", "--no-inline", "-i", data] + perf.FIELDS, environment).out)


def table(bench, data):
    profile = json.loads(pyperf_run(bench, "--report", data, "--json=-").out)
    (event,) = profile["events"]
    names = sorted(one["name"] for one in event["functions"] if one["file"] == FILE)
    return event, names, profile["advice"]


def look_at_table(bench, what, seen, at_least=100):
    event, names, _ = seen
    good = event["samples"] >= at_least and event["complete"] >= AT_LEAST
    got = "%.1f %% of %d" % (100 * event["complete"], event["samples"])
    bench.that("%s: complete stacks" % what, "99 %% of %d or more" % at_least, good, got)
    bench.that("%s: names" % what, repr(NAMES), set(NAMES) <= set(names), repr(names))
    share = sum(one["own_share"] for one in event["functions"])
    bench.that("%s: own time with a name" % what, "95 %", share >= NAMED, "%.3f" % share)


def look_at_container(bench, what, container):
    sums, ours = container.lines()
    bench.equal("%s: results, lines of libpyperf" % what, (1, []), (len(set(sums)), ours))
    state = container.look("{{.State.Status}} {{.RestartCount}}")
    bench.equal("%s: state, restarts" % what, "running 0", state)


@case(CASES)
def container_toggled(bench):
    """perf on the host, while the container runs."""
    bench.equal("lines of the recipe", ["ENV", "ENTRYPOINT"], [one.split()[0] for one in recipe()])
    with Container(bench.machine) as container:
        bench.equal("dormant: images", [], container.images())
        container.signal()
        bench.equal("on: images", 1, len(container.images()))
        _, seen = record(bench, container.pid, 5)
        look_at_table(bench, "on", seen)
        container.signal()
        samples = recorded_by_perf(bench, container.pid, 2)
        bench.that("off: samples", "50 or more", len(samples) >= 50, str(len(samples)))
        bench.equal("off: names", [], [one.python for one in samples if one.python][:3])
        look_at_container(bench, "off", container)


@case(CASES)
def container_gone(bench):
    """Its images and its interpreter were removed with it; an archive has both."""
    archive = os.path.join(bench.folder, "shop.tar.bz2")
    with Container(bench.machine) as container:
        container.signal()
        data, seen = record(bench, container.pid, 3, "--archive", archive)
        look_at_table(bench, "running", seen)
    _, names, advice = table(bench, data)
    bench.equal("removed: names", [], names)
    bench.that("removed: advice", "one", bool(advice), repr(advice))
    bench.run(["tar", "-xjf", archive, "-C", bench.folder])
    folder = os.path.join(bench.folder, "shop")
    samples = archived(bench, folder)
    whole = [one for one in samples if one.python[-1:] == ["main.<locals>.<genexpr>:" + FILE]]
    good = len(samples) >= 100 and len(whole) >= NAMED * len(samples)
    got = "%d of %d" % (len(whole), len(samples))
    bench.that("removed: the archive's stacks up to main", "95 % of 100 or more", good, got)


def archived(bench, folder):
    words = ["perf", "--buildid-dir", os.path.join(folder, "debug"), "script", "--no-inline"]
    words += ["-i", os.path.join(folder, "perf.data")] + perf.FIELDS
    environment = bench.environment(preload=False, support=None, images=False)
    return perf.samples(bench.run(words, environment).out)


@case(CASES)
def container_with_init(bench):
    """Process 1 passes the signal on; the profiled process is another one."""
    with Container(bench.machine, "--init") as container:
        with open("/proc/%d/task/%d/children" % (container.pid, container.pid)) as children:
            pid = int(children.read().split()[0])
        container.signal()
        bench.equal("on: images", 1, len(container.images(pid)))
        look_at_table(bench, "on", record(bench, pid, 3)[1])
        with open("/proc/%d/status" % pid) as status:
            (inside,) = [line.split()[-1] for line in status if line.startswith("NSpid:")]
        kill = "kill -s RTMIN+3 " + inside
        bench.machine.docker("exec", container.name, "sh", "-c", kill)
        container.wait_for_turns(2)
        samples = recorded_by_perf(bench, pid, 1)
        bench.equal("off by docker exec: names", [], [one.python for one in samples if one.python][:3])
        look_at_container(bench, "off", container)


@case(CASES)
def container_for_reading(bench):
    """Docker mounts a tmpfs noexec, unless told otherwise."""
    with Container(bench.machine, "--read-only", "--tmpfs", "/tmp") as container:
        container.signal()
        sums, ours = container.lines()
        said = len(ours) == 1 and "no trampoline image" in ours[0]
        bench.that("noexec: lines of libpyperf", "one", said, repr(ours))
        bench.equal("noexec: results", 1, len(set(sums)))
    with Container(bench.machine, "--read-only", "--tmpfs", "/tmp:exec") as container:
        container.signal()
        look_at_table(bench, "exec", record(bench, container.pid, 3)[1])
        look_at_container(bench, "exec", container)


@case(CASES)
def container_of_a_user(bench):
    options = ("--user", "33", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    with Container(bench.machine, *options) as container:
        container.signal()
        look_at_table(bench, "on", record(bench, container.pid, 3)[1])
        look_at_container(bench, "on", container)


def paranoid():
    with open("/proc/sys/kernel/perf_event_paranoid") as file:
        return int(file.read())


@case(CASES)
def container_with_perf_inside(bench):
    unconfined = ["--security-opt", "seccomp=unconfined"]
    for options, permitted in (
        ([], False),
        (unconfined, paranoid() <= 2),
        (["--cap-add", "SYS_ADMIN"], True),
        (["--cap-add", "PERFMON"] + unconfined, True),
    ):
        what = " ".join(options) or "no option"
        status, said = bench.machine.once(options, "pyperf-run", "--doctor")
        if status == 125 and "unknown capability" in said:
            bench.skip(what, " ".join(said.split()).split(". See")[0])
            continue
        found = {
            subject: line.split()[0]
            for line in said.split("\n")
            for subject in ("perf permitted", "profile")
            if line[6:].startswith(subject + "  ")
        }
        wanted = "ok" if permitted else "FAIL"
        bench.equal("%s: doctor" % what, {"perf permitted": wanted, "profile": wanted}, found)
        if not permitted:
            # The message is wrapped.
            todo = "--security-opt seccomp=unconfined" in " ".join(said.split())
            bench.equal("%s: doctor says what to do" % what, True, todo)
