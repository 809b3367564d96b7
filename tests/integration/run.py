#!/usr/bin/env python3
"""Integration tests: every case on every interpreter found.

    run.py [--build DIR] [--only CASE]... [--python PATH]... [--jobs N] [--list]

One line for each check: verdict, interpreter, case, expected, got. Failures are repeated at the
end, after which stand the cases that took most time, all interpreters together. The last line is
"N passed, N failed, N skipped"; the exit status is 1 if anything failed, or if no supported
interpreter was found.

Environment: PYENV_ROOT (default ~/.pyenv) and PYPERF_INTERPRETERS (a colon-separated list of paths)
say where interpreters are, beside /usr/bin. Without PYPERF_NO_PERF=1, a machine where perf is
missing or not permitted is a failure; likewise PYPERF_NO_GDB=1 and gdb, and PYPERF_NO_WAITS=1 and sampling of
threads that wait.

Each interpreter's cases run in a process of their own (this file with --worker), as many at a time
as there are CPUs. All cases run on one build of four series, the others run a selection
(interpreters.py, thorough); with PYPERF_TEST_ALL_INTERPRETERS=1 all cases run on all of them.
"""

import argparse
import collections
import os
import queue
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

import harness
import interpreters

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Run on interpreters that do not run all cases (interpreters.py, thorough).
CHOICE = """
    stacks stacks-after-deletion sub-interpreter-stacks fork-stacks
    jitdump-stacks fork-maps map-of-ended-process map-of-recompiled-code map-of-odd-names switch-values switch-ways-to-run
    sys-calls sys-scope toggle-late text-restored same-behaviour recursion co-extra-of-others
    left-alone lives-share-trampolines growth-of-same-functions evaluator-orders
    unknown-version attach-names running-calls
    sampler-stacks sampler-small-calls sampler-lines sampler-switches waits-states
""".split()
# More than a third of the time: not on each interpreter that runs all cases (interpreters.py, patient).
SLOW = """
    pyperf-run stacks-of-other-perfs stacks-in-any-layout faults-of-memory faults-of-calls
    confined-to-address-space doctor-unread doctor-under-mdwe doctor-interrupted
    sampler-rotation-and-others sampler-rotation-of-threads sampler-rotation-without-room
    waits-ends waits-churn waits-failed-exec waits-fewer-rights waits-orphans waits-other-user waits-children
    waits-interpreters attach-own-namespaces attach-again attach-killed attach-other-user
    switch-table children-started dropped-functions-in-stacks recursion-taking-turns signals-alike
    hostile-while-running locked-down-stacks switched-among-interpreters
""".split()
LIBRARY = "library"  # in the place of an interpreter: cases that need none
SLOWEST = 20  # cases whose time is printed
SPENT = re.compile(r"time ([0-9.]+) (\S+)$")
WORKERS, ENDED = [], threading.Event()
CLOSING = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped$")


def all_cases():
    return harness.cases_in(os.path.join(HERE, "cases_*.py"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--only", action="append", metavar="CASE", help="may be repeated")
    parser.add_argument("--python", action="append", metavar="PATH", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--list", action="store_true", help="the names of all cases")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.only or ()) - {case.name for case in all_cases()}
    if unknown:
        parser.error("no such case: %s; see --list" % ", ".join(sorted(unknown)))
    return arguments


def work(arguments):
    """All cases of one interpreter."""
    interpreter = None
    if arguments.worker != LIBRARY:
        interpreter = interpreters.Interpreter(arguments.worker)
    tally = harness.Tally(interpreter.label if interpreter else LIBRARY)
    harness.clean_up_when_ended()
    for case in all_cases():
        if case.applies_to(interpreter) and (not arguments.only or case.name in arguments.only):
            start = time.monotonic()
            harness.run_case(case, interpreter, os.path.realpath(arguments.build), tally)
            print("time %.2f %s" % (time.monotonic() - start, case.name), flush=True)
    print(tally.closing(), flush=True)
    return 1 if tally.failed else 0


def selection(one, whole):
    """The names of an interpreter's cases; none: all cases."""
    if one.path not in whole:
        return CHOICE
    if interpreters.patient(one):
        return ()
    return [case.name for case in all_cases() if case.name not in SLOW or case.name in CHOICE]


def run_worker(what, choice, arguments, lines, seconds):
    command = [sys.executable, os.path.realpath(__file__), "--worker", what]
    command += ["--build", arguments.build]
    for name in arguments.only or choice:
        command += ["--only", name]
    worker = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, universal_newlines=True
    )
    WORKERS.append(worker)
    counts = None
    for line in worker.stdout:
        counts, spent = CLOSING.match(line), SPENT.match(line)
        if spent:
            seconds[spent.group(2)] += float(spent.group(1))
        elif not counts:
            lines.put(line)
    if worker.wait() < 0 or not counts:
        got = (what, worker.returncode)
        lines.put("FAIL %s, worker, expected an end after all cases, got status %d\n" % got)
        return [0, 1, 0]
    return [int(count) for count in counts.groups()]


def run_all(subjects, arguments, tally):
    """Workers take the next subject from a queue; their lines are printed as they come.

    Returns the lines that say FAIL, and the seconds that each case took.
    """
    waiting, lines, failures = queue.Queue(), queue.Queue(), []
    seconds = collections.Counter()
    for subject in subjects:
        waiting.put(subject)

    def take():
        while True:
            try:
                subject = waiting.get_nowait()
            except queue.Empty:
                break
            if ENDED.is_set():
                break
            counts = run_worker(*subject, arguments, lines, seconds)
            with lock:
                tally.add(*counts)
        lines.put(None)

    lock = threading.Lock()
    threads = [threading.Thread(target=take) for _ in range(max(1, arguments.jobs))]
    for thread in threads:
        thread.start()
    for _ in threads:
        for line in iter(lines.get, None):
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith("FAIL"):
                failures.append(line)
    return failures, seconds


def end(number, _):
    """Ends the workers, which remove their folders; threads wait for them."""
    ENDED.set()
    for worker in WORKERS:
        worker.terminate()
    sys.exit(128 + number)


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(case.name for case in all_cases()))
        return 0
    if arguments.worker:
        return work(arguments)
    harness.clean_up_when_ended(end)
    tally = harness.Tally("all")
    if arguments.python:
        found = [interpreters.Interpreter(os.path.realpath(path)) for path in arguments.python]
        subjects = [(one.path, ()) for one in found]
    else:
        found, left_out = interpreters.find()
        for path, why in left_out:
            tally.skip("%s: %s" % (path, why))
        for name in interpreters.absent(found):
            tally.skip("%s: not found" % name)
        whole = interpreters.thorough(found)
        subjects = [(one.path, selection(one, whole)) for one in found]
        # Those that take longest first, so that no worker is alone at the end.
        subjects.sort(key=lambda subject: -len(subject[1] or all_cases()))
        subjects.append((LIBRARY, ()))
        if not any(one.supported for one in found):
            tally.report("interpreters", "one of 3.6 to 3.15", False, "none")
    failures, seconds = run_all(subjects, arguments, tally)
    slowest = seconds.most_common(SLOWEST)
    print("\nSeconds: " + ", ".join("%s %.0f" % one for one in slowest))
    print("Seconds of all cases: %.0f" % sum(seconds.values()))
    if failures:
        print("\nOf these, once more, what failed:")
        sys.stdout.writelines(failures)
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
