#!/usr/bin/env python3
"""The summary of scripts/check, with a make that prints what is written here. A line for each thing looked
at; the exit status is 1 when one of them was not as expected."""

import collections
import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from looks import ROOT, case, main  # finds tests/integration, too

import harness

CASES = []
MAKE = """#!/bin/sh
for suite; do :; done
case $suite in
check-a) echo '100%: Checks: 7, Failures: 0, Errors: 0'; echo '50%: Checks: 2, Failures: 1, Errors: 0'
    echo 'test.c:9:F:Core:one:0: bad'; exit 2 ;;
check-b) echo 'ok   a, expected'; echo 'ok   b, expected x, got         test.c:9:F:Core:one:0: bad'
    echo 'skip b: no network'; echo 'miss b, expected x, got y'; echo '5 passed, 0 failed, 1 skipped' ;;
check-c) printf 'FAIL c: %0300d, got the last word\\n' 0; echo '4 passed, 2 failed, 3 skipped' ;;
esac
"""


@case(CASES)
def summary(look):
    """One line a suite, what failed and what was skipped; the suite after a failing one runs."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "make"), "w") as out:
            out.write(MAKE)
        os.chmod(out.name, 0o755)
        with open(os.path.join(folder, "Makefile"), "w") as out:
            out.write("check: check-a check-b check-c\n")
        script = '. "$0/scripts/dev/suites.sh"; run_suites "$1"'
        environment = dict(os.environ, PATH=folder + ":" + os.environ["PATH"], SUITES="")
        words = ["sh", "-eu", "-c", script, ROOT, folder]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown = done.stdout.decode()
    last = shown[shown.rindex("FAILED") :].split("\n")
    look.equal("status", 1, done.returncode)
    good = "check-a" in last[0] and "8 passed, 1 failed, 0 skipped" in last[0]
    look.that("the first", "8 passed, 1 failed", good, last[0])
    look.that("what failed", "test.c:9:F", "test.c:9:F" in last[1], last[1])
    good = last[2].startswith("ok ") and "check-b" in last[2] and "5 passed, 0 failed, 1 skipped" in last[2]
    look.that("the second", "ok, 5 passed", good, last[2])
    look.that("what missed once", "got y", "miss b, expected x, got y" in last[3], last[3])
    look.that("what was skipped", "no network", "skip b: no network" in last[4], last[4])
    look.that("the third", "4 passed, 2 failed", "4 passed, 2 failed, 3 skipped" in last[5], last[5])
    look.that("a failure, whole", "got the last word", "got the last word" in last[6], last[6])
    look.equal("what names a failure is none", 1, "\n".join(last).count("test.c:9:F"))
    look.that("all of it before", "the lines of both", "ok   a, expected" in shown, shown)


@case(CASES)
def modules_of_cpython(look):
    """What tests/cpython counts is what a summary takes."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "cpython"))
    specification = importlib.util.spec_from_file_location("cpython", os.path.join(sys.path[0], "run.py"))
    cpython = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(cpython)
    counts = collections.Counter(
        {cpython.PASSED: 3, cpython.AGAIN: 1, cpython.SKIPPED: 2, cpython.WITHOUT_TOO: 1, cpython.ONLY_WITH: 2}
    )
    tally = harness.Tally("cpython")
    cpython.enter(tally, counts)
    look.equal("closing", "4 passed, 2 failed, 3 skipped", tally.closing())


@case(CASES)
def second_try(look):
    """A case that fails once counts as it does the second time, as often as is permitted."""
    tries = []

    def fails_first(bench):
        tries.append(bench.name)
        bench.equal("first", 1, 1)
        bench.equal("second", len(tries) > 1, True)

    def run(permitted):
        del tries[:]
        harness.second_tries, tally, shown = permitted, harness.Tally("tests"), io.StringIO()
        with contextlib.redirect_stdout(shown):
            for _ in range(2):
                harness.run_case(harness.Case(fails_first, "odd", harness.SUPPORTED, ()), None, ROOT, tally)
        harness.second_tries = 0
        return tally.closing(), [line.split()[0] for line in shown.getvalue().splitlines()]

    look.equal("none", ("3 passed, 1 failed, 0 skipped", ["ok", "FAIL", "ok", "ok"]), run(0))
    verdicts = ["ok", "miss", "miss", "ok", "ok", "ok", "ok"]
    look.equal("one", ("4 passed, 0 failed, 0 skipped", verdicts), run(1))


@case(CASES)
def one_line(look):
    """A check is one line, whatever was got: the summary counts lines."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        harness.Tally("tests").report("lines", "x", True, "FAIL a\n5 passed, 0 failed, 1 skipped\n")
    look.equal("lines", 1, shown.getvalue().count("\n"))


WAITING = """
import sys
sys.path.insert(0, sys.argv[1])
import cases_library, harness, run

@harness.case(cases_library.CASES)
def waiting(bench):
    print(bench.folder, bench.start(["sleep", "60"]).pid, flush=True)
    bench.run(["sleep", "60"])

sys.argv[1:] = sys.argv[2:]
run.main()
"""


@case(CASES)
def ended(look):
    """A case that a signal ends leaves neither its folder nor a process."""
    words = [sys.executable, "-B", "-c", WAITING, os.path.dirname(harness.__file__)]
    words += ["--worker", sys.executable, "--only", "waiting"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, universal_newlines=True)
    folder, pid = child.stdout.readline().split()
    child.terminate()
    child.communicate(timeout=30)
    look.equal("folder, process", (False, False), (os.path.exists(folder), os.path.exists("/proc/" + pid)))


if __name__ == "__main__":
    sys.exit(main("check", CASES))
