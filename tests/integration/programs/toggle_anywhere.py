"""Switches in restricted contexts. It prints the same without libpyperf, where its switches are
functions that do nothing."""
import atexit
import gc
import signal
import os
import sys
import threading

on = getattr(sys, "activate_stack_trampoline", lambda backend: None)
off = getattr(sys, "deactivate_stack_trampoline", lambda: None)
if sys.argv[1:] == ["silent"]:
    on, off = (lambda backend: None), (lambda: None)


def both_ways(function):
    for _ in range(3):
        on("perf")
        function()
        off()
        function()


def fail():
    raise ValueError("inner")


def while_handling():
    try:
        fail()
    except ValueError as error:
        on("perf")
        try:
            {}["k"]
        except KeyError as later:
            off()
            print("handling", later.__context__ is error, sys.exc_info()[0].__name__)


def catching():
    received = None
    while True:
        try:
            received = yield received
        except ValueError as error:
            on("perf")
            received = str(error)


def thrown_into():
    generator = catching()
    next(generator)
    print("generator", generator.throw(ValueError("x")), generator.send(off()), generator.send(2))
    generator.close()


class Deleted:
    def __del__(self):
        on("perf")
        off()
        on("perf")


def deleting():
    Deleted()
    loop = Deleted()
    loop.me = loop
    del loop
    gc.collect()


def traced():
    events = []

    def tracer(frame, event, argument):
        (on if len(events) % 2 else lambda _: off())("perf")
        events.append((frame.f_code.co_name, event))
        return tracer

    sys.settrace(tracer)
    try:
        fail()
    except ValueError:
        pass
    sys.settrace(None)
    print("traced", events)


def deep():
    """The recursion limit is unchanged."""

    def down(n):
        deepest[0] = n
        if n == 300:
            on("perf")
        if n == 500:
            off()
        if n == 700:
            on("perf")
        down(n + 1)

    deepest = [0]
    off()
    try:
        down(0)
    except RecursionError:
        print("deepest", deepest[0])


def signalled():
    def handler(number, frame):
        on("perf") if len(seen) % 2 else off()
        seen.append(number)

    seen = []
    signal.signal(signal.SIGUSR1, handler)
    for _ in range(6):
        os.kill(os.getpid(), signal.SIGUSR1)
    print("signals", len(seen))


def forked():
    on("perf")
    pid = os.fork()
    if pid == 0:
        off()
        on("perf")
        fail_quietly()
        os._exit(7)
    off()
    print("forked", os.waitpid(pid, 0)[1] >> 8)


def fail_quietly():
    try:
        fail()
    except ValueError:
        pass


def in_thread():
    thread = threading.Thread(target=both_ways, args=(fail_quietly,))
    thread.start()
    thread.join()


for function in (while_handling, thrown_into, deleting, traced, deep, signalled, forked, in_thread):
    both_ways(function)
    print(function.__name__)
atexit.register(on, "perf")
atexit.register(off)
atexit.register(lambda: print("exit"))
on("perf")
