#!/usr/bin/env python3
"""Tests the recipes of docs/services.md in their environment: in Docker, with Debian's docker.io,
and under systemd as process 1. As root, and with the package that "make deb" has made.

    recipes.py [--build DIR] [--only CASE]... [--list] container|systemd

One line for each check, and "N passed, N failed, N skipped" as the last; the exit status is 1 if
any failed. All are skipped if the environment is missing, or without root.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(1, os.path.join(ROOT, "tests", "integration"))

import cases_container
import cases_container_attached
import cases_container_inside
import cases_cron
import cases_fleet
import cases_systemd
import cases_systemd_inside
import engine
import harness
import manager

# The cases, their environment, and the function that says why it is missing.
SUBJECTS = {
    "container": (
        cases_container.CASES
        + cases_container_attached.CASES
        + cases_container_inside.CASES
        + cases_fleet.IN_CONTAINERS,
        engine.Engine,
        engine.missing,
    ),
    "systemd": (
        cases_systemd.CASES + cases_systemd_inside.CASES + cases_cron.CASES + cases_fleet.CASES,
        manager.Manager,
        manager.missing,
    ),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--only", action="append", metavar="CASE", help="may be repeated")
    parser.add_argument("--list", action="store_true", help="the names of all cases")
    parser.add_argument("subject", choices=sorted(SUBJECTS))
    return parser.parse_args()


def with_machine(function, machine):
    def run(bench):
        bench.machine = machine
        function(bench)

    return run


def run_all(arguments, tally):
    build = os.path.realpath(arguments.build)
    cases, make, _ = SUBJECTS[arguments.subject]
    with make(build) as machine:
        for one in cases:
            if not arguments.only or one.name in arguments.only:
                function = with_machine(one.function, machine)
                case = harness.Case(function, one.name, one.kind, one.needs)
                harness.run_case(case, None, build, tally)


def main():
    arguments = parse_arguments()
    cases, _, missing = SUBJECTS[arguments.subject]
    if arguments.list:
        print("\n".join(one.name for one in cases))
        return 0
    harness.clean_up_when_ended()
    tally = harness.Tally(arguments.subject)
    if missing():
        tally.skip("%s: %s" % (tally.label, missing()))
    else:
        try:
            run_all(arguments, tally)
        except (RuntimeError, OSError, ValueError) as why:
            tally.report("what it runs on", "made", False, str(why))
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
