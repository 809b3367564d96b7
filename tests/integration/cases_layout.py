"""Stacks are complete wherever the kernel puts our mappings: addresses differ from start to start.

perf takes the lowest mapping of a file, of whatever part of it, for where the file begins, and
looks for its unwind data from there (Linux 6.1, tools/perf/util/unwind-libunwind-local.c,
read_unwind_spec_eh_frame). A mapping of the image below its text hides all unwind data of it."""

import collections
import os

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
    # Not the tables, which are mapped by another name.
    if "/pyperf-" in line and line.endswith(".so\\n"): print(" ".join(line.split()[:3]))
"""


@case(CASES)
def lowest_mapping_of_many_starts(bench):
    """It begins with the file's first byte and is executable: the text, or its copy nearby."""
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
