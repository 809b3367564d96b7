"""The N-th allocation on libpyperf's behalf fails, for every N, and likewise other calls of libc:
the program prints the same as without libpyperf.

Every call rather than every SAMPLE-th one with PYPERF_TEST_ALL_FAULTS=1; allocations always."""

import collections
import os
import re

from cases_files import LEFT, lines_of_ours
from harness import case
from outcome import compile_program

CASES = []
ALL_FAULTS = "PYPERF_TEST_ALL_FAULTS"
SAMPLE = 7
# A file that another test has planted for an earlier process with a child's pid.
STALE = re.compile(r"cannot write /tmp/perf-\d+\.map: Operation not permitted")


class Faults:
    def __init__(self, bench, kind, support):
        self.bench, self.kind, self.asked = bench, kind, support is not None
        flags = ["-shared", "-fPIC", "-ldl"]
        self.library = compile_program(bench, "faults.c", "faults.so", flags)
        self.support = support
        self.words = [bench.program("faulty.py"), "switching" if self.asked else "not switching"]
        self.plain = bench.plain(*self.words)
        environment = bench.environment(preload=False, support=support, images=False)
        self.own = bench.run_python(*self.words, environment=environment)
        self.counts, self.wrong = collections.Counter(), []

    def run(self, number, again=True):
        """The functions that failed: none if there is no N-th call."""
        report = os.path.join(self.bench.folder, "report")
        environment = self.bench.environment(
            LD_PRELOAD="%s:%s" % (self.library, self.bench.library),
            support=self.support,
            FAULT_KIND=self.kind,
            FAULT_AT=str(number),
            FAULT_REPORT=report,
        )
        done = self.bench.run_python(*self.words, environment=environment)
        failed = []
        if os.path.exists(report):
            with open(report) as file:
                failed = file.read().split()
            os.unlink(report)
        if STALE.search(done.err) and again:
            return self.run(number, again=False)
        self.counts.update(failed)
        ours = lines_of_ours(done.err)
        # One line for each process in which something has failed.
        silent = len(ours) == len(done.err.splitlines()) <= (len(failed) if self.asked else 0)
        expected = self.own if LEFT in done.err else self.plain
        if done.seen[:2] != expected.seen[:2] or not silent:
            self.wrong.append((number, failed, done.seen))
        return failed

    def run_all(self, step, least):
        number = 1
        while self.run(number) or self.run(number + 1):
            number += step
        named = "%s, %s" % (self.kind, "asked" if self.asked else "not asked")
        self.bench.equal("%s: differs from plain" % named, [], self.wrong[:3])
        total, found = sum(self.counts.values()), sorted(self.counts.items())
        got = "%d: %s" % (total, " ".join("%s %d" % pair for pair in found))
        self.bench.that("%s: faults" % named, "%d or more" % least, total >= least, got)


@case(CASES)
def faults_of_memory(bench):
    Faults(bench, "memory", "1").run_all(1, 50)
    Faults(bench, "memory", None).run_all(1, 20)


@case(CASES)
def faults_of_calls(bench):
    every = os.environ.get(ALL_FAULTS, "0") not in ("", "0")
    Faults(bench, "calls", "1").run_all(1 if every else SAMPLE, 40)
    Faults(bench, "calls", None).run_all(1, 15)
