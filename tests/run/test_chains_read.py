#!/usr/bin/env python3
"""pyperf-run --perf-data of perf's own profiles: each perf of this machine reads the same stacks in it.

    test_chains_read.py [--build DIR] [--python PATH] [--only CASE]...

One line for each check: verdict, interpreter, case, expected, got. PYPERF_NO_PERF=1 skips all of it.
"""

import collections
import os
import re
import shutil
import sys
import unittest.mock

sys.dont_write_bytecode = True

import recorded  # finds tests/integration, too

import interpreters
import perf  # finds scripts/run
from harness import SUPPORTED, case

import model
import perf_chains
import perf_script
import stacks

CASES = []
# perf's mark of a stack that was cut has a number that is none in a call chain.
CUT = re.compile(r"^\s*(f{16}|0) \[unknown\]", re.M)
FORKING = """import os, time
def work():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        sorted(bytearray(1 << 16))
if os.fork():
    os.wait()
    work()
    os.execv("/bin/sh", ["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"])
work()
"""


def folders_of_perfs(bench):
    """(version, a folder with it under the name perf), of each perf here."""
    found = []
    for path in [shutil.which("perf")] + interpreters.fetched("perf"):
        folder = os.path.join(bench.folder, "perf-%d" % len(found))
        os.makedirs(folder)
        os.symlink(path, os.path.join(folder, "perf"))
        done = run(bench, ["perf", "--version"], folder)
        if done.status == 0:
            found.append((done.out.split()[-1], folder))
    return found


def run(bench, words, folder=None, **more):
    environment = bench.environment(preload=False, support=None, images=False, **more)
    if folder:
        environment["PATH"] = folder + ":" + environment["PATH"]
        words = [os.path.join(folder, "perf")] + words[1:] if words[0] == "perf" else words
    return bench.run(words, environment)


def script(bench, data, folder=None):
    done = run(bench, ["perf", "script", "-i", data, "--fields", perf_script.FIELDS] + perf_script.WHOLE_STACKS, folder)
    return done.status, CUT.sub("0 [unknown]", done.out)


def report(bench, data, *words, folder=None):
    return run(bench, [os.path.join(recorded.ROOT, "scripts", "pyperf-run"), "--report", data] + list(words), folder)


def look_at_each(bench, data):
    small = os.path.join(bench.folder, "small.data")
    for version, folder in folders_of_perfs(bench):
        status, here = script(bench, data, folder)
        if status != 0:
            continue  # an old perf does not read what a later one has written
        done = report(bench, data, "--perf-data", small, folder=folder)
        bench.equal("perf %s: status, stderr" % version, (0, ""), (done.status, done.err))
        status, there = script(bench, small, folder)
        shown = "%d lines, %d Python frames" % (here.count("\n"), here.count(" py::"))
        wrong = [pair for pair in zip(here.split("\n"), there.split("\n")) if pair[0] != pair[1]]
        good = status == 0 and here == there and here.count(" py::") > 100
        bench.that("perf %s: stacks" % version, shown, good, "%d lines, %r" % (there.count("\n"), wrong[:2]))
        before, after = os.path.getsize(data), os.path.getsize(small)
        bench.that("perf %s: size" % version, "a tenth of %d" % before, after < before / 10, str(after))
    return small


@case(CASES, SUPPORTED, needs=("perf",))
def the_same_stacks(bench):
    """Deep ones; those that were cut; those of the kernel."""
    look_at_each(bench, recorded.record(bench, stack=16384))


@case(CASES, SUPPORTED, needs=("perf",))
def processes_and_events(bench):
    """A process that forks and calls exec; two events."""
    data = os.path.join(bench.folder, "events.data")
    words = ["perf", "record", "-N", "-e", "cpu-clock", "-e", "page-faults", "-F", "299", "-o", data]
    words += ["--call-graph", "dwarf,16384", "--", "env", "LD_PRELOAD=" + bench.library, "PYTHONPERFSUPPORT=1"]
    words += ["PYPERF_DIR=" + bench.images, bench.python, bench.write("forking.py", FORKING)]
    done = run(bench, words)
    bench.equal("perf record: status", 0, done.status)
    look_at_each(bench, data)


def python_frames(sample):
    """(place in the stack, name); versions of perf differ in names of C."""
    return [(at, frame.symbol) for at, frame in enumerate(sample.frames) if frame.symbol.startswith("py::")]


@case(CASES, SUPPORTED, needs=("perf",))
def functions_without_an_address(bench):
    """What a reader of the profile has found of a stack has its place in it."""
    data, small = recorded.record(bench), os.path.join(bench.folder, "small.data")
    added = model.Frame(("C.méthode", "/srv/a b.py"), "py::C.méthode:/srv/a b.py", "")
    made, expected = perf_chains.File(data, small), []
    # In HOME perf may have a copy of the vdso, from which it has names.
    with unittest.mock.patch.dict(os.environ, bench.environment(preload=False, support=None, images=False)):
        records = list(stacks.records(data))
    for sample in records:
        if isinstance(sample, model.Sample):
            places = [at for at, frame in enumerate(sample.frames) if frame.symbol.startswith("py::work:")]
            for at in reversed(places):
                sample.frames.insert(at + 1, added)
            made.add(sample)
            expected.append(python_frames(sample))
    image = made.image()
    for path, fill in ((image.path, lambda out: out.write(image.content)), (small, made.write)):
        with open(path, "wb") as out:
            fill(out)
    for version, folder in folders_of_perfs(bench):
        status, shown = script(bench, small, folder)
        if status != 0:
            continue
        got = [python_frames(sample) for sample in perf_script.parse(shown.split("\n"))]
        wrong = [pair for pair in zip(expected, got) if pair[0] != pair[1]]
        count = collections.Counter(name for stack in expected for _, name in stack)[added.symbol]
        good = not wrong and len(expected) == len(got) and count > 20
        bench.that("perf %s" % version, "%d samples, with it %d" % (len(expected), count), good, repr(wrong[:1])[:900])


@case(CASES, SUPPORTED, needs=("perf",))
def after_a_recording(bench):
    program = bench.write("program.py", recorded.PROGRAM % 0.5)
    words = ["-q", "--sampler=perf", "--perf-data", "small.data", "-o", "large.data", "--", bench.python, program]
    process = recorded.start_run(bench, *words)
    out, err = process.communicate(timeout=120)
    bench.equal("status, output", (0, "", ""), (process.returncode, out, err))
    small, large = (script(bench, os.path.join(bench.folder, name)) for name in ("small.data", "large.data"))
    bench.that("stacks", "the same", small == large and small[1].count("py::work:") > 20, small[1][:300])
    again = report(bench, os.path.join(bench.folder, "small.data"), "--top", "1")
    bench.that("its table", "work", again.status == 0 and " work " in again.out, repr(again.seen))


if __name__ == "__main__":
    sys.exit(recorded.main(CASES, __doc__))
