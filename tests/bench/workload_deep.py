"""A stack of a known depth, busy at its end. usage: workload_deep.py DEPTH SECONDS

Prints its process id, because perf started it, and the times (CLOCK_MONOTONIC) between which its
stack is that deep."""

import os
import sys
import time


def down(depth, end):
    if depth > 1:
        return down(depth - 1, end)
    number = 0
    while time.monotonic() < end:
        for _ in range(1000):
            number += 1
    return number


depth, seconds = int(sys.argv[1]), float(sys.argv[2])
start = time.monotonic()
down(depth, start + seconds)
print(os.getpid(), start + 0.01, start + seconds)
