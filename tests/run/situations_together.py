"""Several pyperf-runs at once in one folder."""

import os
import re
import time

import perf
from harness import case, finish
from recorded import start_run

CASES = []

# Runs a function with the program's name until it is told to stop, and at least for some samples.
PROGRAM = """
import os, sys
def hot_%(name)s():
    return sum(range(1000))
def run():
    while sum(os.times()[:2]) < 0.4 or not os.path.exists("stop-%(name)s"):
        for _ in range(100): hot_%(name)s()
run()
"""


class Runs:
    def __init__(self, bench, count):
        self.bench = bench
        self.before = set(os.listdir(bench.folder))
        self.started = [self.start(number) for number in range(count)]
        time.sleep(1)

    def start(self, number):
        words = ["--stack-size", "8192", "--", self.bench.python, "-c", PROGRAM % {"name": number}]
        return start_run(self.bench, *words)

    def stop(self, number):
        self.bench.write("stop-%d" % number, "")

    def wait(self, number):
        done = finish(self.started[number])
        got = (done.status, set(re.findall(r"(?m) (hot_\d) ", done.err)))
        self.bench.equal("run %d: status, names in its table" % number, (0, {"hot_%d" % number}), got)

    def names(self, data):
        done = self.bench.run(["perf", "script", "-i", data] + perf.FIELDS)
        found = (name for one in perf.samples(done.out) for name in one.python)
        return {name for text in found for name in re.findall(r"^hot_\d", text)}

    def look_at_files(self):
        left = {name for name in os.listdir(self.bench.folder) if not name.startswith("stop-")}
        expected = ["perf.data", "perf.data.images", "perf.data.old"]
        self.bench.equal("what is left", expected, sorted(left - self.before))
        folders = os.listdir(os.path.join(self.bench.folder, "perf.data.images"))
        self.bench.equal("folders of images", 2, len(folders))


@case(CASES, needs=("perf",))
def together(bench):
    """perf.data is the profile of the run that ends last."""
    runs = Runs(bench, 4)
    for number in (1, 3, 0, 2):
        runs.stop(number)
        runs.wait(number)
    runs.look_at_files()
    bench.equal("names in perf.data", {"hot_2"}, runs.names("perf.data"))
    bench.equal("names in perf.data.old", {"hot_0"}, runs.names("perf.data.old"))


@case(CASES, needs=("perf",))
def together_to_the_end(bench):
    """Each run makes its table of its own profile, and each profile is complete."""
    runs = Runs(bench, 4)
    for number in range(4):
        runs.stop(number)
    for number in range(4):
        runs.wait(number)
    runs.look_at_files()
    names = [len(runs.names(data)) for data in ("perf.data", "perf.data.old")]
    bench.equal("programs in perf.data and perf.data.old", [1, 1], names)


@case(CASES, needs=("perf",))
def odd_profiles(bench):
    """An empty file, a device, several files of one run."""
    empty = bench.write("empty.data", "")
    inode = os.stat(empty).st_ino
    for name in ("empty.data", "/dev/null"):
        done = finish(start_run(bench, "-q", "-o", name, "--", "true"))
        bench.equal("%s: status" % name, 0, done.status)
    bench.equal("the same file, in use", (inode, True), (os.stat(empty).st_ino, os.stat(empty).st_size > 0))
    words = ["-q", "-o", "many.data", "--switch-output=2M", "--", bench.python, "-c", PROGRAM % {"name": 0}]
    bench.write("stop-0", "")
    finish(start_run(bench, *words))
    many = [name for name in os.listdir(bench.folder) if re.match(r"many\.data\.\d+$", name)]
    bench.that("--switch-output", "2 files or more", len(many) >= 2, repr(many))
    left = [name for _, folders, _ in os.walk(bench.folder) for name in folders if name.endswith(".recording")]
    bench.equal("folders of recordings that are left", [], left)
