"""Shared by the tests of this folder: a program under perf record, and the runner."""

import argparse
import os
import sys

from looks import ROOT  # finds tests/integration, too

import harness
import interpreters

PARTS = os.path.join(ROOT, "scripts", "run")

# Near the bottom and deep in the stack, in Python, in C and in the kernel. One function's file has a
# name that has to be escaped in a page, another's has a name of Windows.
PROGRAM = """
import os
import time

def work(count):
    total = 0
    for number in range(count):
        total += number * number
    return total

def deep(levels):
    return deep(levels - 1) if levels else work(40000)

def read(zeros):
    for _ in range(20):
        os.read(zeros, 1 << 20)

names = {}
exec(compile("def odd(call): return call(20000)", "</script><b>", "exec"), names)
exec(compile("def windows(call): return call(20000)", "C:\\\\srv\\\\app.py", "exec"), names)

def main():
    zeros = os.open("/dev/zero", os.O_RDONLY)
    while time.process_time() < %s:
        work(40000)
        deep(60)
        names["odd"](work)
        names["windows"](work)
        sorted(range(20000), key=str)
        read(zeros)

main()
"""
DEPTH = 60  # some 240 frames with those of C; 65,528 bytes hold 70 calls of sid's 3.14


def record(bench, debug=None, seconds=1.5, stack=65528, python=None, variables=()):
    """The profile of the program. debug: a build-id cache that perf fills.
    variables: more of the program's environment, as NAME=VALUE."""
    program = bench.write("program.py", PROGRAM % seconds)
    data = os.path.join(bench.folder, "recorded.data")
    words = ["perf"] + (["--buildid-dir", debug] if debug else [])
    words += ["record", "--buildid-all" if debug else "-N", "-e", "cpu-clock", "-F", "299"]
    if debug and "--buildid-mmap" in bench.run(["perf", "record", "-h"]).err:
        words += ["--no-buildid-mmap"]  # choices.sh
    words += ["--call-graph", "dwarf,%d" % stack, "-o", data, "--", "env"]
    words += ["LD_PRELOAD=" + bench.library, "PYTHONPERFSUPPORT=1", "PYPERF_DIR=" + bench.images]
    words += list(variables)
    environment = bench.environment(preload=False, support=None, images=False)
    done = bench.run(words + [python or bench.python, program], environment)
    if done.status != 0:
        raise RuntimeError("perf record: status %d: %s" % (done.status, " ".join(done.err.split())))
    return data


def start_run(bench, *words, prefix=(), **more):
    """pyperf-run in the case's folder. prefix: a command that starts it. more: variables of the environment."""
    more.update(PYPERF_LIBRARY=bench.library, TMPDIR=bench.home)
    environment = bench.environment(preload=False, support=None, images=False, **more)
    return bench.start(list(prefix) + [os.path.join(ROOT, "scripts", "pyperf-run")] + list(words), environment)


def run_part(bench, part, *arguments, **more):
    """Runs a part of pyperf-run, as a user's shell starts it."""
    environment = bench.environment(preload=False, support=None, images=False, **more)
    return bench.run([os.path.join(PARTS, part)] + list(arguments), environment)


def main(cases, title):
    """Runs all cases on one interpreter: the newest that libpyperf supports, or --python. A fetched
    one only if there is no other, because it finds its library only in its own tree."""
    parser = argparse.ArgumentParser(description=title.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--python", metavar="PATH", help="the interpreter to be profiled")
    parser.add_argument("--only", action="append", metavar="CASE", help="may be repeated")
    arguments = parser.parse_args()
    if arguments.python:
        chosen = interpreters.Interpreter(os.path.realpath(arguments.python))
    else:
        supported = [one for one in interpreters.find()[0] if one.supported]
        if not supported:
            sys.exit("%s: no Python 3.6 to 3.15 here to be profiled" % sys.argv[0])
        fetched = interpreters.fetched("interpreter")
        chosen = ([one for one in supported if one.path not in fetched] or supported)[-1]
    tally = harness.Tally(chosen.label)
    harness.clean_up_when_ended()
    for case in cases:
        if not arguments.only or case.name in arguments.only:
            harness.run_case(case, chosen, os.path.realpath(arguments.build), tally)
    print(tally.closing())
    return 1 if tally.failed else 0
