"""scripts/run/table.py, run by each interpreter, on profiles of perf. tests/run/test_table.py tests
other output of perf."""

import json
import os
import re
import time

import harness
import perf
from harness import case

CASES = []
ROOT = os.path.dirname(os.path.dirname(harness.HERE))
TABLE = os.path.join(ROOT, "scripts", "run", "table.py")
SECONDS = "1.2"
EXPECTED, TOLERANCE = 0.75, 0.08


def record_shares(bench, depth, copy):
    program = bench.program("shares.py")
    options = ["--call-graph", "dwarf,%d" % copy]
    # Without site: what the start takes, on a busy machine, is no part of the program's own seconds.
    command = [bench.python, "-S", program, str(depth), SECONDS]
    done, data = perf.record(bench, command, options)
    bench.equal("status", (0, ""), (done.status, done.out))
    return data


def run_table(bench, data, *options):
    environment = bench.environment(preload=False, support=None, images=False)
    return bench.run([bench.python, TABLE, "--data", data] + list(options), environment)


def totals(bench, data):
    """The only event, its functions of shares.py by name, and the advice."""
    done = run_table(bench, data, "--json=-")
    bench.equal("table.py", (0, ""), (done.status, done.err))
    profile = json.loads(done.out)
    (event,) = profile["events"]
    ours = [one for one in event["functions"] if one["file"] == bench.program("shares.py")]
    return event, {one["name"]: one for one in ours}, profile["advice"]


@case(CASES, needs=("perf",))
def table_shares(bench):
    walks = perf.frame_pointers(bench) == "yes"
    for depth in (10, 60):
        data = record_shares(bench, depth, 65528)
        event, functions, advice = totals(bench, data)
        # cases_stacks.py says why stack copies do not work for all of those.
        look_at_shares(bench, "depth %d" % depth, event, functions, 0.9 if walks else 0.99)
        if event["complete"] < 0.99:
            bench.that("depth %d: advice" % depth, "fp", "fp does" in (advice or ""), repr(advice))
        else:
            bench.equal("depth %d: advice" % depth, None, advice)
    folded = os.path.join(bench.folder, "folded")
    shown = run_table(bench, data, "--collapsed", folded).out.split("\n")
    rows = [line.split()[-2] for line in shown if re.search(r"/shares\.py:\d+$", line)]
    bench.equal("first rows", ["heavy", "light"], rows[:2])
    with open(folded, encoding="utf-8") as lines:
        counts = [(line.count(";py::dive:"), int(line.rsplit(" ", 1)[1])) for line in lines]
    bench.equal("folded samples", event["samples"], sum(count for _, count in counts))
    deep = sum(count for calls, count in counts if calls == depth)
    all_deep = sum(count for calls, count in counts if calls > 0)
    named = "folded, %d deep" % depth
    good = deep >= 0.99 * all_deep >= 0.6 * event["samples"]
    bench.that(named, "99 %% of %d, which are 60 %% of all" % all_deep, good, str(deep))


def share_of_heavy(functions):
    """Of the CPU time that the program gives itself. The start takes what it takes."""
    return functions["heavy"]["own"] / (1e9 * float(SECONDS))


def look_at_shares(bench, what, event, functions, at_least):
    own = share_of_heavy(functions)
    good = abs(own - EXPECTED) < TOLERANCE
    bench.that("%s: own time of heavy()" % what, "75 % +- 8", good, "%.3f" % own)
    ratio = functions["heavy"]["own"] / functions["light"]["own"]
    bench.that("%s: heavy : light" % what, "3 +- 0.5", abs(ratio - 3) < 0.5, "%.2f" % ratio)
    total = functions["dive"]["total"]
    below = sum(functions[name]["total"] for name in ("heavy", "light"))
    good = 0.99 * below <= total <= 1.01 * below
    bench.that("%s: total of dive()" % what, "that of both", good, "%d, %d" % (total, below))
    complete = event["complete"]
    named = "%s: complete" % what
    bench.that(named, "%.2f or more" % at_least, complete >= at_least, "%.4f" % complete)
    seconds = event["seconds"]
    bench.that("%s: seconds" % what, "1.0 to 1.8", 1.0 < seconds < 1.8, "%.2f" % seconds)


@case(CASES, needs=("perf",))
def table_of_short_stacks(bench):
    """Own times stay right, and the advice helps."""
    for copy, larger in ((8192, 16384), (16384, 32768)):
        event, functions, advice = totals(bench, record_shares(bench, 60, copy))
        own, complete = share_of_heavy(functions), event["complete"]
        good = abs(own - EXPECTED) < TOLERANCE
        bench.that("%d: own time of heavy()" % copy, "75 % +- 8", good, "%.3f" % own)
        bench.that("%d: complete" % copy, "10 % at most", complete < 0.1, "%.4f" % complete)
        expected = "--stack-size %d" % larger
        bench.that("%d: advice" % copy, expected, expected in str(advice), str(advice))


CALLS = 300
LIMIT = "/proc/sys/kernel/perf_event_max_stack"


class Raised:
    """The kernel's limit of frames. It cannot be set while any process records."""

    def __init__(self, frames):
        self.frames = str(frames)

    def __enter__(self):
        with open(LIMIT) as file:
            self.before = file.read()
        if not self.set(self.frames):
            raise harness.Skip("%s cannot be set" % LIMIT)

    def __exit__(self, *_):
        self.set(self.before)

    def set(self, text):
        for _ in range(100):
            try:
                with open(LIMIT, "w") as file:
                    file.write(text)
                return True
            except PermissionError:
                return False
            except OSError:
                time.sleep(0.1)
        return False


@case(CASES, needs=("perf",))
def table_of_deep_stacks(bench):
    """300 calls of some 4 frames each, in the table, perf script and perf report."""
    if perf.frame_pointers(bench) != "yes":
        raise harness.Skip("no copy of a stack holds %d calls" % CALLS)
    program = bench.program("deep.py")
    with Raised(4096):
        done, data = perf.record(
            bench, [bench.python, program, str(CALLS), "1"], ["--call-graph", "fp"]
        )
    bench.equal("status", (0, ""), (done.status, done.out))
    (event,) = json.loads(run_table(bench, data, "--json=-").out)["events"]
    ours = [one for one in event["functions"] if one["file"] == program]
    total = {one["name"]: one["total_share"] for one in ours}.get("<module>", 0)
    bench.that("total of <module>", "0.9 or more", total >= 0.9, "%.3f" % total)
    wanted = ["hot:" + program] + ["deep:" + program] * CALLS + ["<module>:" + program]
    inside = [one.python for one in perf.script(bench, data, perf.WHOLE_STACKS) if wanted[0] in one.python]
    good = sum(one[-len(wanted) :] == wanted for one in inside)
    share = perf.share(good, len(inside))
    bench.that("perf script", "99 % of 50 or more", good >= 0.99 * len(inside) >= 49, share)
    words = ["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "caller,0.5,callee,function,percent"]
    environment = bench.environment(preload=False, support=None, images=False)
    shown = bench.run(words + perf.WHOLE_STACKS, environment).out
    rooted = [part for part in shown.split("\n\n") if "py::<module>:" + program in part]
    deepest = max((len(re.findall("py::deep:", part)) for part in rooted), default=0)
    bench.that("perf report", "%d in a stack from <module>" % CALLS, deepest >= CALLS, str(deepest))
