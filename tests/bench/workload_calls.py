"""Nanoseconds of a Python call: fib, methods, generators. See workload.serve."""

import time

import workload

clock = getattr(time, "perf_counter", time.time)  # Python 2.7 has only the latter


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


FIB, FIB_CALLS = 19, 13529


class Counter:
    def __init__(self):
        self.total = 0

    def add(self, number):
        self.total += number

    def twice(self, number):
        self.add(number)
        self.add(number)


METHOD_CALLS = 12000


def methods():
    twice = Counter().twice
    for number in range(METHOD_CALLS // 3):
        twice(number)


RESUMES = 20000


def numbers(limit):
    while limit:
        limit -= 1
        yield limit


def generators():
    for _ in numbers(RESUMES):
        pass


KINDS = {
    "fib": (lambda: fib(FIB), FIB_CALLS),
    "methods": (methods, METHOD_CALLS),
    "generators": (generators, RESUMES),
}


def measure(kind):
    """The best of a few in a row: another process has just used the processor, its caches and its
    branch predictor."""
    function, calls = KINDS[kind]
    best = float("inf")
    for _ in range(4):
        start = clock()
        function()
        best = min(best, clock() - start)
    return best / calls * 1e9


workload.start()
workload.serve(measure)
