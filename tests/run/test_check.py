#!/usr/bin/env python3
"""The summary of scripts/check, with a make that prints what is written here. A line for each thing looked
at; the exit status is 1 when one of them was not as expected."""

import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from canned import ROOT, main

CASES = []
MAKE = """#!/bin/sh
for suite; do :; done
case $suite in
check-a) echo '100%: Checks: 7, Failures: 0, Errors: 0'; echo '50%: Checks: 2, Failures: 1, Errors: 0'
    echo 'test.c:9:F:Core:one:0: bad'; exit 2 ;;
check-b) echo 'ok   a, expected'; echo 'skip b: no network'; echo '5 passed, 0 failed, 1 skipped' ;;
esac
"""


def summary(look):
    """One line a suite, what failed and what was skipped; the suite after a failing one runs."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "make"), "w") as out:
            out.write(MAKE)
        os.chmod(out.name, 0o755)
        with open(os.path.join(folder, "Makefile"), "w") as out:
            out.write("check: check-a check-b\n")
        script = '. "$0/scripts/dev/suites.sh"; run_suites "$1"'
        environment = dict(os.environ, PATH=folder + ":" + os.environ["PATH"])
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
    look.that("what was skipped", "no network", "skip b: no network" in last[3], last[3])
    look.that("all of it before", "the lines of both", "ok   a, expected" in shown, shown)


CASES.append(summary)

if __name__ == "__main__":
    sys.exit(main("check", CASES))
