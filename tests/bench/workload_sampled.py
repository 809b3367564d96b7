"""Uses the CPU at a depth of calls: workload_sampled.py DEPTH SECONDS."""

import sys
import time


def work(numbers):
    return sum(numbers) + len(sorted(numbers, key=lambda one: -one))


def descend(count, seconds):
    if count > 0:
        return descend(count - 1, seconds)
    end, numbers = time.time() + seconds, list(range(200))
    while time.time() < end:
        work(numbers)
    return 0


sys.setrecursionlimit(int(sys.argv[1]) + 200)
descend(int(sys.argv[1]), float(sys.argv[2]))
