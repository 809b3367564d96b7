"""perf attached to running processes, and its samples."""

import collections
import os
import signal
import time

import functions
import harness
import perf
from cases_stacks import AT_LEAST, worst

FREQUENCY = "999"
SECONDS_TO_ATTACH = 10
STACK = "24576"  # bytes of a copy: gunicorn's 19 Python calls take some 17,500 on 3.14
EVALUATOR = "_PyEval_EvalFrameDefault"


class Recording:
    def __init__(self, bench, pids):
        self.bench = bench
        self.data = os.path.join(bench.folder, "perf.data")
        words = ["perf", "record", "-e", "cpu-clock", "--call-graph", "dwarf," + STACK]
        words += ["-F", FREQUENCY, "-o", self.data, "-p", ",".join(map(str, pids))]
        try:
            self.process = bench.start(words, bench.environment(preload=False, support=None))
        except FileNotFoundError:
            raise RuntimeError("perf is not installed: apt-get install linux-perf")

    def __enter__(self):
        """The header is written once perf is attached."""
        end = time.time() + SECONDS_TO_ATTACH
        while not os.path.exists(self.data) or os.path.getsize(self.data) == 0:
            if self.process.poll() is not None or time.time() > end:
                self.process.kill()
                said = " ".join(harness.finish(self.process).err.split())
                raise RuntimeError("perf record does not attach: %s" % said)
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        harness.finish(self.process)

    def samples(self):
        path = self.bench.interpreter.path
        return perf.in_order(perf.samples(functions.name_all(perf.text(self.bench, self.data), path)))


def wanted(bench):
    """Whether perf is used here; reports a skip if not."""
    why = harness.ruled_out(("perf",))
    if why:
        bench.skip("stacks", why)
    return not why


def look_at_stacks(bench, what, samples, path, chain, beneath, at_least=100):
    """Every sample in chain[0] has the whole chain, and then what `beneath` accepts: a function of
    the Python names further out."""
    names = ["%s:%s" % (name, path) for name in chain]
    hot = [one for one in samples if names[0] in one.python]
    bad = collections.Counter()
    for one in hot:
        if one.python[: len(names)] != names or not beneath(one.python[len(names) :]):
            bad[tuple(one.python)] += 1
    good = len(hot) - sum(bad.values())
    bench.that(
        "%s: stacks in %s" % (what, chain[0]),
        "99 %% of %d or more" % at_least,
        len(hot) >= at_least and good >= AT_LEAST * len(hot),
        "complete %s%s" % (perf.share(good, len(hot)), worst(bad)),
    )


def parts_of_evaluator(samples):
    """What trampolines call, where it has no symbol: in the static 3.14 the evaluator's loop is in its cold part."""
    found = set()
    for one in samples:
        for inner, outer in zip(one.frames, one.frames[1:]):
            if outer.function is not None and functions.was_named(inner.symbol):
                found.add(inner.symbol)
    return found


def look_at_evaluator(bench, samples):
    """Counts stacks that end below the first trampoline and so have no name."""
    parts = parts_of_evaluator(samples)

    def is_evaluator(frame):
        return EVALUATOR in frame.symbol or frame.symbol in parts

    inside = [one for one in samples if any(map(is_evaluator, one.frames))]
    named = [one for one in inside if one.python]
    bench.that(
        "stacks through the evaluator with a Python function",
        "99 % of 300 or more",
        len(inside) >= 300 and len(named) >= AT_LEAST * len(inside),
        perf.share(len(named), len(inside)),
    )
