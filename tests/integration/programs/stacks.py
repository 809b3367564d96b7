"""Ways in which one Python function calls another. Each ends in hot(), and is listed with the
functions that are on the stack then, innermost first. Prints both as JSON."""
import ctypes
import functools
import json
import os
import re
import sys
import threading
import time

SECONDS = float(sys.argv[1])
PATHS = []


def path(*chain):
    """A part of the chain is a qualified name of this file, or (qualified name, file)."""

    def mark(function):
        PATHS.append((function, list(chain)))
        return function

    return mark


def hot(*_):
    total = 0
    for i in range(3000):
        total += i * i
    return total


class Worker(object):
    def __init__(self, busy=False):
        if busy:
            hot()

    def run(self):
        return self.step()

    def step(self):
        return hot()

    @classmethod
    def create(cls):
        return hot()

    @staticmethod
    def detached():
        return hot()

    @property
    def value(self):
        return hot()

    def __lt__(self, other):
        return hot() < 0

    class Part(object):
        class Detail(object):
            def look(self):
                return hot()


@path("hot", "Worker.step", "Worker.run", "method")
def method():
    Worker().run()


@path("hot", "Worker.create", "class_method")
def class_method():
    Worker.create()


@path("hot", "Worker.detached", "static_method")
def static_method():
    Worker.detached()


@path("hot", "Worker.value", "property_of_object")
def property_of_object():
    return Worker().value


@path("hot", "Worker.__init__", "constructor")
def constructor():
    Worker(busy=True)


@path("hot", "Worker.__lt__", "comparison")
def comparison():
    sorted([Worker(), Worker()])


@path("hot", "Worker.Part.Detail.look", "nested_class")
def nested_class():
    Worker.Part.Detail().look()


@path("hot", "class_body.<locals>.Body", "class_body")
def class_body():
    class Body:
        hot()

    return Body


def numbers():
    yield hot()
    yield hot()


@path("hot", "numbers", "generator")
def generator():
    for _ in numbers():
        pass


@path("hot", "generator_expression.<locals>.<genexpr>", "generator_expression")
def generator_expression():
    sum(hot() for _ in range(2))


# A comprehension has a frame of its own up to 3.11 (PEP 709), that of a list from 3.0 on.
SET = ["set_comprehension.<locals>.<setcomp>"] * (sys.version_info < (3, 12))
LIST = ["list_comprehension.<locals>.<listcomp>"] * ((3,) < sys.version_info < (3, 12))


@path("hot", *(LIST + ["list_comprehension"]))
def list_comprehension():
    [hot() for _ in range(2)]


@path("hot", *(SET + ["set_comprehension"]))
def set_comprehension():
    {hot() for _ in range(2)}


def make_counter():
    count = [0]

    def counter():
        count[0] += hot()

    return counter


@path("hot", "make_counter.<locals>.counter", "closure")
def closure():
    make_counter()()


def traced(function):
    @functools.wraps(function)
    def wrapper():
        return function()

    return wrapper


@traced
def decorated():
    return hot()


@path("hot", "decorated", "traced.<locals>.wrapper", "decorator")
def decorator():
    decorated()


@path("hot", "sort_key.<locals>.<lambda>", "sort_key")
def sort_key():
    sorted([3, 1, 2], key=lambda number: hot() + number)


def replacement(match):
    hot()
    return match.group()


@path("hot", "replacement", ("sub", re.sub.__code__.co_filename), "substitution")
def substitution():
    re.sub("b", replacement, "abc")


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def compare(one, other):
    return hot() and 1


@path("hot", "compare", "foreign_callback")
def foreign_callback():
    ctypes.CDLL(None).qsort(ctypes.create_string_buffer(2), 2, 1, compare)


@path("hot", ("<module>", "<template>"), "executed")
def executed():
    exec(compile("hot()", "<template>", "exec"), {"hot": hot})


def recurse(depth):
    return recurse(depth - 1) if depth > 1 else hot()


@path("hot", *(["recurse"] * 10 + ["recursion"]))
def recursion():
    recurse(10)


# Syntax of only one of the two languages.
PYTHON_3 = """
def delegating():
    yield from numbers()


@path("hot", "numbers", "delegating", "delegating_generator")
def delegating_generator():
    list(delegating())


async def inner_coroutine():
    return hot()


async def outer_coroutine():
    return await inner_coroutine()


@path("hot", "inner_coroutine", "outer_coroutine", "coroutine")
def coroutine():
    try:
        outer_coroutine().send(None)
    except StopIteration:
        pass
"""
PYTHON_2 = """
class Old:
    def look(self):
        return hot()


@path("hot", "Old.look", "classic_class")
def classic_class():
    Old().look()


@path("hot", "unoptimized.<locals>.enclosed", "unoptimized")
def unoptimized():
    exec "number = 1"

    def enclosed(call=hot):
        return call()

    enclosed()
"""
IS_3 = sys.version_info >= (3,)
exec(compile(PYTHON_3 if IS_3 else PYTHON_2, __file__, "exec"))

BOOTSTRAP = "Thread._bootstrap" if IS_3 else "Thread.__bootstrap"
THREAD = [
    (name, threading.Thread.run.__code__.co_filename)
    for name in ("Thread.run", BOOTSTRAP + "_inner", BOOTSTRAP)
]


def in_thread(until):
    while time.time() < until:
        hot()


def libffi_misleads_perf():
    """libffi 3.5 maps trampolines of closures out of its own file. perf 6.1 takes the lowest mapping
    of a file for its address, and so the stacks of a program without libpyperf end there, too."""
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps if "/libffi.so" in line]
    return bool(lines) and "x" in lines[0][1]


def main():
    for function, _ in PATHS:
        end = time.process_time() + SECONDS
        while time.process_time() < end:
            function()
    thread = threading.Thread(target=in_thread, args=(time.time() + SECONDS,))
    thread.start()
    thread.join()


def full(chain):
    pairs = (part if isinstance(part, tuple) else (part, __file__) for part in chain)
    return ["%s:%s" % pair for pair in pairs]


left_out = []
if libffi_misleads_perf():
    left_out = [function.__name__ for function, _ in PATHS if function is foreign_callback]
    PATHS = [one for one in PATHS if one[0] is not foreign_callback]
main()
expected = {function.__name__: full(chain + ["main", "<module>"]) for function, chain in PATHS}
expected["thread"] = full(["hot", "in_thread"] + THREAD)
print(json.dumps({"pid": os.getpid(), "hot": full(["hot"])[0], "paths": expected, "left_out": left_out}))
