"""Prints how many bytes of the C stack a Python call takes, directly and through a function of C (max and map): by the
stack pointer of a thread that sleeps at two depths, which the kernel tells."""

import os
import sys
import threading
import time

DEPTHS = (20, 60)


def direct(depth):
    return direct(depth - 1) if depth else time.sleep(0.3) or 0


def through_c(depth):
    return max(map(through_c, (depth - 1,))) if depth else time.sleep(0.3) or 0


def stack_pointer():
    """task/TID/syscall: the number, six arguments, the stack pointer and the pc."""
    with open("/proc/self/task/%d/syscall" % os.getpid()) as file:
        return int(file.read().split()[7], 16)


def measure(function, depth):
    found = []

    def look():
        time.sleep(0.15)
        found.append(stack_pointer())

    thread = threading.Thread(target=look)
    thread.start()
    function(depth)
    thread.join()
    return found[0]


for function in (direct, through_c):
    shallow, deep = (measure(function, depth) for depth in DEPTHS)
    sys.stdout.write("%d\n" % ((shallow - deep) // (DEPTHS[1] - DEPTHS[0])))
