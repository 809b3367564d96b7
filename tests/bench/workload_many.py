"""Many functions, busy for a while, for which a report has to find names.
usage: workload_many.py COUNT SECONDS

Prints its process id, because perf started it, and the time of its end (CLOCK_MONOTONIC)."""

import os
import sys
import time

LINES = "def function_%05d(number):\n    while number:\n        number -= 1\n"


def define(count):
    functions = {}
    for start in range(0, count, 1000):
        source = "".join(LINES % n for n in range(start, min(count, start + 1000)))
        name = "/srv/application/module_%03d.py" % (start // 1000)
        exec(compile(source, name, "exec"), functions)
    return [function for name, function in sorted(functions.items()) if name[0] == "f"]


def work(functions, seconds):
    end = time.time() + seconds
    while time.time() < end:
        for function in functions:
            function(20)


work(define(int(sys.argv[1])), float(sys.argv[2]))
print(os.getpid(), time.monotonic())
