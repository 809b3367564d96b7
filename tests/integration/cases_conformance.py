"""CPython's own test_perf_profiler.py, from an installed 3.13 or later, run by interpreters without
perf support. programs/conformance.py lists what is replaced."""

import functools
import json
import os
import subprocess

import harness
import interpreters
from harness import Skip, case

CASES = []
TIMEOUT = 600
STDLIB = "import sysconfig; print(sysconfig.get_paths()['stdlib'])"


@functools.lru_cache(None)
def native_test():
    """The file of the oldest interpreter that has it; None if there is none."""
    plain = interpreters.plain_environment()
    for one in interpreters.find()[0]:
        if one.series >= (3, 13):
            folder = subprocess.check_output([one.path, "-c", STDLIB], env=plain).decode().strip()
            path = os.path.join(folder, "test", "test_perf_profiler.py")
            if os.path.exists(path):
                return path
    return None


def outcomes(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


@case(CASES, needs=("perf",))
def conformance(bench):
    if native_test() is None:
        raise Skip("no test_perf_profiler.py of 3.13 or later on this machine")
    if bench.plain("-c", "import test.support.script_helper").status != 0:
        raise Skip("this interpreter comes without its package test")
    results = os.path.join(bench.folder, "outcomes")
    command = [bench.python, bench.program("conformance.py"), native_test(), results]
    environment = bench.environment(support=None, TMPDIR=bench.folder)
    done = harness.finish(bench.start(command, environment), TIMEOUT)
    bench.equal("status of the run", 0, done.status)
    if done.status != 0:
        raise RuntimeError(done.err)
    rows = outcomes(results)
    for name, outcome, text in rows:
        if outcome == "skipped":
            bench.skip(name, text)
        else:
            lines = [line for line in text.strip().splitlines() if line.strip()]
            bench.that(name, "passed", outcome == "passed", " | ".join([outcome] + lines[-6:]))
    counts = {how: sum(row[1] == how for row in rows) for how in ("passed", "failed", "skipped")}
    text = "%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts
    good = counts["passed"] >= 10 and not counts["failed"]
    bench.that("all of it", "10 or more passed, 0 failed", good, text)
