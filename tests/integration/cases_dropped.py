"""Functions that are made and dropped: no function is shown under the name of a dropped one."""

import re

import perf
from harness import case

CASES = []
LOOKED_AT, SAMPLED = 100000, 10000
NAME = re.compile(r"(?:inner|outer)_(\d+)\b")


@case(CASES)
def dropped_functions(bench):
    """Each function compares its own stack with the map."""
    program = bench.program("dropped.py")
    done = bench.run_python("-W", "ignore", program, str(LOOKED_AT), "look", timeout=600)
    bench.equal("status, output", (0, "%d looked at\n" % LOOKED_AT, ""), done.seen)


@case(CASES, needs=("perf",))
def dropped_functions_in_stacks(bench):
    """perf shows the inner function, then the outer one of the same number."""
    command = [bench.python, bench.program("dropped.py"), str(SAMPLED)]
    done, data = perf.record(bench, command)
    bench.equal("status", 0, done.status)
    seen, wrong = 0, []
    for sample in perf.script(bench, data):
        names = [name.split(":")[0] for name in sample.python]
        if not names or names[0] != "work":
            continue
        seen += 1
        numbers = NAME.findall(" ".join(names))  # outer_1.<locals>.inner_1 outer_1
        if len(numbers) != 3 or len(set(numbers)) != 1:
            wrong.append(sample.python[:5])
    bench.that("samples in them", "100 or more", seen >= 100, str(seen))
    bench.that("one under another's name", "none", not wrong, "%d: %s" % (len(wrong), wrong[:1]))
