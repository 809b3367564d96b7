"""Steps that compute, in Python and through C, and that say what came out: of program.py."""

import _ctypes
import ctypes
import gc
import os
import re
import sys
import types
import weakref
import zlib

NEW = sys.version_info >= (3, 11)  # Python calls Python without C stack
libc = ctypes.CDLL(None, use_errno=True)
STEPS = {}


def step(function):
    STEPS[function.__name__] = function
    return function


def run(steps):
    return ";".join(run_one(one) for one in steps)


def run_one(one):
    try:
        result = STEPS[one[0]](*one[1:])
    except Exception as error:
        result = type(error).__name__
    return "%s=%s" % (one[0], result)


def check(value):
    return "%08x" % (zlib.crc32(repr(value).encode()) & 0xFFFFFFFF)


class Base(object):
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.value() == other.value()

    def __hash__(self):
        return hash(self.value())

    def value(self):
        return self.n * 3

    @property
    def doubled(self):
        return self.value() * 2


class Derived(Base):
    def value(self):
        return super(Derived, self).value() + 1


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def counting(n):
    try:
        for i in range(n):
            yield fib(i % 7)
    finally:
        leave()


def leave():
    return None


@step
def compute(n):
    closures = [lambda x, i=i: x + i for i in range(n)]
    objects = {Derived(i % 5): i for i in range(n)}
    return check([f(1) for f in closures] + [sum(counting(n)), len(objects), Derived(n).doubled])


@step
def recurse(depth):
    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    def through_c(n):
        return 0 if n <= 0 else 1 + sum(map(through_c, [n - 1]))

    return "%d %d" % (down(depth if NEW else min(depth, 1500)), through_c(min(depth, 60)))


@step
def overflow(depth):
    """A recursion that Python ends."""
    def down():
        down()

    here = 0
    frame = sys._getframe()
    while frame:
        here, frame = here + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(here + depth)
    try:
        down()
        return "no end"
    except RuntimeError as error:  # RecursionError is one
        return type(error).__name__
    finally:
        sys.setrecursionlimit(before)


@step
def made(count, kept):
    """Code that is compiled, called and dropped."""
    keep = []
    for i in range(count):
        names = {}
        exec("def f%d(x):\n  def g(y): return y + %d\n  return g(x) * 2" % (i % 50, i), names)
        keep.append(names["f%d" % (i % 50)])
        del keep[: -kept or None]
        keep and keep[0](i)
    code = compute.__code__ if hasattr(compute, "__code__") else None
    again = types.FunctionType(code, globals(), "again")
    return "%d %s" % (len(keep), again(3))


@step
def dropped(n):
    """Functions called when objects die, by reference count and by the collector."""
    calls = []

    class Dies(object):
        def __del__(self):
            calls.append(fib(5))

    for i in range(n):
        one = Dies()
        ref = weakref.ref(one, lambda _: calls.append(fib(4)))
        if i % 2:
            one.me = one
        del one
    gc.collect()
    return str(sum(calls)) if sys.version_info >= (3,) else "2.7 keeps them"


@step
def generators(n):
    made = [counting(i + 3) for i in range(n)]
    firsts = [next(one) for one in made]
    for i, one in enumerate(made):
        if i % 3 == 0:
            one.close()
        elif i % 3 == 1:
            try:
                one.throw(KeyError(i))
            except KeyError:
                firsts.append(i)
    del made
    return check(firsts)


ASYNC = """
import asyncio
async def inner(i):
    await asyncio.sleep(0)
    return fib(i % 8)
async def outer(n):
    return sum(await asyncio.gather(*[inner(i) for i in range(n)]))
loop = asyncio.new_event_loop()
result = loop.run_until_complete(outer(n))
loop.close()
"""


@step
def coroutines(n):
    if sys.version_info < (3, 6):
        return "none"
    names = {"n": n, "fib": fib}
    exec(ASYNC, names)
    return str(names["result"]) if sys.version_info >= (3, 7) else "done"


# C in between

COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


@step
def sorted_by_c(n):
    def compare(a, b):
        return a[0] - b[0] + (fib(4) - 3)

    numbers = (ctypes.c_int * n)(*[i * 7919 % 1009 for i in range(n)])
    libc.qsort(numbers, n, ctypes.sizeof(ctypes.c_int), COMPARE(compare))
    return check(list(numbers))


@step
def raised_through_c(n):
    def raising(match):
        if len(match.group()) == n % 5:
            raise ValueError(n)
        return str(fib(len(match.group())))

    results = []
    for text in ("a bb ccc", "dddd ee f", "ggg"):
        try:
            results.append(re.sub(r"\w+", raising, text))
        except ValueError as error:
            results.append(str(error))
        try:
            results.append(sorted(text.split(), key=lambda word: 1 // (len(word) - n % 3)))
        except ZeroDivisionError:
            results.append("zero")
    return check(results)


@step
def traced(n):
    counts = {"call": 0, "return": 0}
    followed = [one.__code__ for one in (fib, counting, leave)]  # and not a signal's handler

    def trace(frame, event, argument):
        if event in counts and frame.f_code in followed:
            counts[event] += 1
        return trace

    before = sys.getprofile() if n % 2 else sys.gettrace()
    install = sys.setprofile if n % 2 else sys.settrace
    install(trace)
    try:
        fib(6)
        list(counting(4))
    finally:
        install(before)
    return check(sorted(counts.items())) if n % 2 == 0 else "profiled"


@step
def libraries(n):
    found = 0
    for i in range(n):
        for name in ("libm.so.6", "libz.so.1", "liblzma.so.5", "libbz2.so.1.0", "libcrypt.so.1"):
            try:
                handle = _ctypes.dlopen(name, os.RTLD_NOW if hasattr(os, "RTLD_NOW") else 2)
            except OSError:
                continue
            found += 1
            _ctypes.dlclose(handle)
    return str(found)
