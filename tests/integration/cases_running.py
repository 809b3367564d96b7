"""Calls that were running when trampolines were switched on: their names in what perf has recorded."""

import collections
import glob
import os
import subprocess
import time

import attaching
import harness
import perf
from harness import Skip, case
from outcome import first_real_time

import model  # of scripts/run, as the next ones
import perf_script
import running

CASES = []
PHASE = 0.8  # seconds
SOME = 400000  # bytes of samples: perf records
BEGIN = {True: ("main", "<module>"), False: ("Thread.run", "Thread._bootstrap_inner", "Thread._bootstrap")}


class Program:
    """programs/running.py under perf record, and libpyperf, which comes later."""

    def __init__(self, bench, environment=None):
        self.bench, self.data, self.recorder = bench, os.path.join(bench.folder, "perf.data"), None
        environment = environment or bench.environment(preload=False, support=None, images=False)
        words = [bench.python, "-W", "ignore", bench.program("running.py"), bench.folder]
        self.process = bench.start(words, environment)
        self.process.stdout.readline()
        self.pid = self.process.pid

    def record(self):
        words = ["--call-graph", perf.call_graph(self.bench), "-F", perf.FREQUENCY, "-e", "cpu-clock"]
        words = [self.bench.perf, "record", "-q", "-o", self.data, "-p", str(self.pid)] + words
        self.recorder = self.bench.start(words, self.bench.environment(preload=False, support=None, images=False))
        harness.wait_for(lambda: os.path.exists(self.data) and os.path.getsize(self.data) > SOME)
        time.sleep(PHASE)

    def attach(self, *words):
        tool = os.path.join(self.bench.build, "pyperf-attach")
        command = [tool, words[0], str(self.pid)] + list(words[1:])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.bench.equal("%s: status" % words[0], 0, done.returncode)
        time.sleep(PHASE)

    def switch_on(self):
        self.attach("map", os.path.join(self.bench.build, "libpyperf.so"), self.bench.images)

    def mark(self, name):
        open(os.path.join(self.bench.folder, name), "w").close()
        time.sleep(PHASE)

    def end(self):
        """The samples, also of the child."""
        open(os.path.join(self.bench.folder, "end"), "w").close()
        done = harness.finish(self.process)
        self.bench.equal("status, output, stderr", (0, "right\n", ""), (done.status, done.out, done.err))
        if self.recorder:
            harness.finish(self.recorder)
        events = perf.text(self.bench, self.data, ["--show-task-events", "--show-mmap-events"])
        named = running.Running(read).named(perf_script.parse(events.split("\n")))
        return [one for one in named if isinstance(one, model.Sample) and one.frames]


def read(_, path):
    with open(path, "rb") as file:
        return file.read()


def names(sample):
    """From the innermost outwards."""
    return tuple(frame.function[0].replace("__bootstrap", "_bootstrap") for frame in sample.frames if frame.function)


def look_at(bench, samples, inlines):
    """Of one thread: whichever functions were running are named, and none that was not."""
    is_main = samples[0].tid == samples[0].pid
    begin, wrong, seen = BEGIN[is_main], [], set()
    for one in samples:
        got = names(one)
        seen.update(got)
        if got and (got[-len(begin) :] != begin or {"first", "second"} <= set(got)):
            wrong.append(got)
    named = sum(bool(names(one)) for one in samples)
    what = "main thread" if is_main else "other thread"
    bench.equal("%s: wrong" % what, [], sorted(set(wrong))[:3])
    bench.that("%s: named, of %d" % (what, len(samples)), "a third or more", named * 3 >= len(samples), str(named))
    bench.that("%s: not named" % what, "10 or more", len(samples) - named >= 10, str(len(samples) - named))
    expected = {"outer", "second", "spin"} | (set() if inlines else {"first"})
    bench.equal("%s: functions" % what, expected, seen & {"outer", "second", "spin", "first"})


@case(CASES, needs=("perf",))
def running_calls(bench):
    """perf records before they are switched on, and when they are off again."""
    program = Program(bench)
    program.record()
    program.switch_on()
    program.mark("second")
    program.attach("off")
    samples = program.end()
    inlines = bench.version >= (3, 11)
    for is_main in (True, False):
        look_at(bench, [one for one in samples if one.pid == program.pid and (one.tid == one.pid) == is_main], inlines)
    child = [names(one) for one in samples if one.pid != program.pid]
    named = [one for one in child if one]
    wrong = {one for one in named if {"first", "second"} & set(one) or one[-1] == "outer"}
    bench.equal("child: wrong", [], sorted(wrong)[:3])
    whole = [one for one in named if one[-3:] == ("outer",) + BEGIN[True]]
    if not inlines:
        got = perf.share(len(whole), len(named))
        bench.that("child: down to <module>", "99 %", len(whole) * 100 >= len(named) * 99, got)


@case(CASES, needs=("perf",))
def running_calls_toggled(bench):
    """A preloaded process that a signal switches on; pyperf-run asks which calls are there still."""
    if bench.version < (3,):
        raise Skip("in Python 2 there is no toggle signal")
    program = Program(bench, bench.environment(support=None, PYPERF_TOGGLE_SIGNAL="RTMIN+3"))
    toggle = first_real_time(bench) + 3
    os.kill(program.pid, toggle)
    harness.wait_for(lambda: glob.glob(os.path.join(bench.images, "*.calls")))
    rewritten = os.path.join(bench.folder, "named.data")
    words = ["-q", "--sampler=perf", "-o", program.data, "--perf-data", rewritten, "-p", str(program.pid)]
    words += ["--", "sleep", "1.5"]
    bench.equal("pyperf-run: status, stderr", (0, ""), attaching.run(bench, *words))
    os.kill(program.pid, toggle)
    program.mark("second")
    samples = program.end()
    wrong = []
    for is_main in (True, False):
        kept = ("first", "outer") + BEGIN[is_main]
        found = [names(one) for one in samples if (one.tid == one.pid) == is_main]
        right = [one for one in found if one[-len(kept) :] == kept]
        bench.that("samples of main thread: %s" % is_main, "20 or more", len(found) >= 20, str(len(found)))
        # A call may be about to begin, or its stack be cut.
        bench.that("with all functions", "95 %", len(right) * 20 >= len(found) * 19, perf.share(len(right), len(found)))
        wrong += [one for one in found if one and one not in right]
    bench.equal("wrong", [], wrong[:3])
    # perf itself shows the same of the rewritten profile.
    shown = collections.Counter((one.pid, one.tid, names(one)) for one in perf.script(bench, rewritten))
    bench.equal("rewritten", collections.Counter((one.pid, one.tid, names(one)) for one in samples), shown)
