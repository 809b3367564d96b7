"""Stacks are complete at any address of our mappings: addresses differ from start to start.

perf takes the lowest mapping of any part of a file for the file's beginning, and looks for its
unwind data from there (Linux 6.1, tools/perf/util/unwind-libunwind-local.c,
read_unwind_spec_eh_frame). A mapping of the image below its text hides its unwind data."""

import collections
import os
import re
import subprocess

import perf
from harness import case

CASES = []
STARTS, PERF_STARTS = 25, 3
HOT = """
import time
def hot():
    for i in range(3000): pass
def middle(end):
    while time.process_time() < end: hot()
def outer():
    middle(time.process_time() + 0.15)
outer()
"""
MAPPINGS = """
with open("/proc/self/maps") as maps: mapped = list(maps)
for line in mapped:
    # Without the tables, which are mapped by another name.
    if "/pyperf-" in line and line.endswith(".so\\n"): print(" ".join(line.split()[:3]))
"""
# Extension modules that are loaded later, if they are not part of the interpreter.
LATE = """
for name in "_ctypes _decimal _json _csv _sqlite3 _ssl _lzma _bz2 zlib array math".split():
    try:
        __import__(name)
    except ImportError:
        pass
"""
ANONYMOUS = "//anon"
MMAP_EVENT = re.compile(r"PERF_RECORD_MMAP2? \d+/\d+: \[(0x\w+)\((0x\w+)\) @ [^]]*\]: (\S+) (.*)")


@case(CASES)
def lowest_mapping_of_many_starts(bench):
    """The lowest mapping begins with the file's first byte and is executable."""
    lowest = collections.Counter()
    for _ in range(STARTS):
        done = bench.run_python("-c", MAPPINGS)
        _, rights, offset = done.out.splitlines()[0].split()
        lowest["%s at %d" % (rights, int(offset, 16))] += 1
    bench.equal("lowest mapping of the image", {"r-xp at 0": STARTS}, dict(lowest))


@case(CASES, needs=("perf",))
def stacks_of_many_starts(bench):
    program = bench.write("hot.py", HOT)
    chain = ["%s:%s" % (name, program) for name in ("hot", "middle", "outer", "<module>")]
    shares = []
    for _ in range(PERF_STARTS):
        done, data = perf.record(bench, [bench.python, program])
        hot = [one.python for one in perf.script(bench, data) if chain[0] in one.python]
        good = sum(stack == chain for stack in hot)
        enough = good >= 0.99 * len(hot) > 0
        shares.append("all" if enough else "%d of %d" % (good, len(hot)))
        os.unlink(data)
    bench.equal("complete stacks of each start", ["all"] * PERF_STARTS, shares)


@case(CASES, needs=("perf",))
def addresses_of_one_file(bench):
    """perf 7.2 does not unwind through a file at addresses where it has seen a sample in another
    one, as in libpyperf-plan.so and its libraries, which are unloaded
    (preload/process/plan_library.h)."""
    done, data = perf.record(bench, [bench.python, bench.write("late.py", LATE)])
    bench.equal("status", 0, done.status)
    words = [bench.perf, "script", "-i", data, "--show-mmap-events"]
    shown = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    places, reused = {}, set()
    for start, length, rights, path in MMAP_EVENT.findall(shown.decode(errors="replace")):
        first, end = int(start, 16), int(start, 16) + int(length, 16)
        for other, (other_first, other_end) in places.items():
            if path not in (other, ANONYMOUS) and first < other_end and other_first < end:
                reused.add("%s where %s was" % (os.path.basename(path), os.path.basename(other)))
        if "x" in rights:
            places[path] = first, end
    library = os.path.join(bench.build, "libpyperf-plan.so")
    bench.that("files with code", library, library in places, "%d others" % len(places))
    bench.equal("mapped where another file was", [], sorted(reused))
