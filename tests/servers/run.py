#!/usr/bin/env python3
"""Integration tests with servers and extension modules that Debian packages for its own python3.

    run.py [--build DIR] [--only CASE]... [--list]

One line for each check: verdict, subject, case, expected, got. The last line is "N passed, N
failed, N skipped"; the exit status is 1 if any failed. A missing package is a failure, unless
PYPERF_NO_SERVERS=1 skips all tests here; PYPERF_NO_PERF=1 skips those that need perf.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(1, os.path.join(ROOT, "tests", "integration"))

import packages  # finds programs/, too

import cases_apache
import cases_attached
import cases_celery
import cases_greenlet
import cases_gunicorn
import cases_numpy
import cases_uwsgi
import harness
import interpreters

MODULES = (
    cases_gunicorn,
    cases_uwsgi,
    cases_apache,
    cases_attached,
    cases_celery,
    cases_greenlet,
    cases_numpy,
)


def all_cases():
    return [case for module in MODULES for case in module.CASES]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--only", action="append", metavar="CASE", help="may be repeated")
    parser.add_argument("--list", action="store_true", help="the names of all cases")
    arguments = parser.parse_args()
    unknown = set(arguments.only or ()) - {case.name for case in all_cases()}
    if unknown:
        parser.error("no such case: %s; see --list" % ", ".join(sorted(unknown)))
    return arguments


def run_module(module, interpreter, arguments, total):
    tally = harness.Tally(module.SUBJECT)
    for case in module.CASES:
        if arguments.only and case.name not in arguments.only:
            continue
        if interpreter is not None and not interpreter.supported:
            tally.skip("%s, %s: %s is not supported" % (tally.label, case.name, interpreter.label))
            continue
        harness.run_case(case, interpreter, os.path.realpath(arguments.build), tally)
    total.add(tally.passed, tally.failed, tally.skipped)


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(case.name for case in all_cases()))
        return 0
    harness.clean_up_when_ended()
    total = harness.Tally("all")
    interpreter = None
    if not harness.ruled_out(("servers",)):
        interpreter = interpreters.Interpreter(os.path.realpath(packages.PYTHON))
    for module in MODULES:
        run_module(module, interpreter, arguments, total)
    print(total.closing())
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
