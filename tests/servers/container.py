#!/usr/bin/env python3
"""The recipe for Docker in docs/services.md, tried in Docker: as root, with Debian's docker.io.

    container.py [--build DIR] [--only CASE]... [--list]

One line for each thing looked at, and "N passed, N failed, N skipped" as the last; the exit status
is 1 when anything failed. All is skipped where there is no Docker, or no root.
"""

import argparse
import os
import signal
import sys

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(1, os.path.join(ROOT, "tests", "integration"))

import cases_container
import engine
import harness

CASES = {case.name: case for case in cases_container.CASES}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--only", action="append", metavar="CASE", choices=sorted(CASES))
    parser.add_argument("--list", action="store_true", help="the names of all cases")
    return parser.parse_args()


def with_engine(function, machine):
    def run(bench):
        bench.engine = machine
        function(bench)

    return run


def run_all(arguments, tally):
    build = os.path.realpath(arguments.build)
    with engine.Engine(build) as machine:
        for name, one in CASES.items():
            if not arguments.only or name in arguments.only:
                function = with_engine(one.function, machine)
                case = harness.Case(function, name, one.kind, one.needs)
                harness.run_case(case, None, build, tally)


def end(number, _):
    """So that what was started is ended as well."""
    sys.exit(128 + number)


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(CASES))
        return 0
    signal.signal(signal.SIGTERM, end)
    tally = harness.Tally(cases_container.SUBJECT)
    if engine.missing():
        tally.skip("%s: %s" % (tally.label, engine.missing()))
    else:
        try:
            run_all(arguments, tally)
        except (RuntimeError, OSError, ValueError) as why:
            tally.report("Docker and the image", "made", False, str(why))
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
