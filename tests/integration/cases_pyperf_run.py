"""scripts/pyperf-run, which has tests of its own (test_pyperf_run.py)."""

import os
import sys

import harness
from harness import case

CASES = []
TESTS = os.path.join(harness.HERE, "test_pyperf_run.py")


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
