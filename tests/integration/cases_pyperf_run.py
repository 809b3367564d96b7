"""scripts/pyperf-run, which has tests of its own (test_pyperf_run.py)."""

import json
import os
import sys

import harness
from harness import case

CASES = []
TESTS = os.path.join(harness.HERE, "test_pyperf_run.py")
RUN = os.path.join(harness.HERE, "..", "..", "scripts", "pyperf-run")
DEEP = """
import os
def spin(n): return sum(i * i for i in range(n))
def down(n): return down(n - 1) if n else [spin(1000) for _ in range(12000)]
down(5)
print(os.getpid())
"""


@case(CASES, needs=("perf",))
def pyperf_run(bench):
    environment = bench.environment(preload=False, support=None, images=False)
    environment["PYPERF_BUILD"] = bench.build
    done = bench.run([sys.executable, TESTS, bench.python], environment, timeout=400)
    lines = (done.out + done.err).splitlines()
    bad = [line for line in lines if line.startswith("FAIL")] or lines[-5:]
    good = sum(", expected " in line for line in lines)
    got = "%d things as expected" % good if done.status == 0 else " | ".join(bad)
    bench.that("test_pyperf_run.py", "status 0", done.status == 0 and good > 0, got)


@case(CASES, harness.OTHERS, needs=("perf",))
def pyperf_run_of_3_12(bench):
    """Its own map has no whole stacks; those come with the jitdump that libpyperf adds."""
    if bench.version != (3, 12):
        return
    environment = bench.environment(preload=False, support=None, images=False)
    environment["PYPERF_LIBRARY"] = bench.library
    done = bench.run([RUN, "--json", bench.python, "-c", DEEP], environment)
    event = json.loads(done.err)["events"][0]
    names = {one["name"] for one in event["functions"]}
    bench.equal("status, functions", (0, True), (done.status, {"spin", "down"} <= names))
    good = event["complete"] >= 0.99 and event["samples"] >= 50
    got = "%.1f %% of %d" % (100 * event["complete"], event["samples"])
    bench.that("complete", "99 % of 50 or more", good, got)
    bench.equal("left in /tmp", [], bench.left(int(done.out)))
