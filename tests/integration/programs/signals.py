"""Without an argument prints the names of its parts; with one runs that part. What a part prints is
the same on each run, but for addresses. Where there are no sys functions, nothing is switched."""
import faulthandler
import functools
import operator
import os
import signal
import sys
import threading
import time

on = getattr(sys, "activate_stack_trampoline", lambda backend: None)
off = getattr(sys, "deactivate_stack_trampoline", lambda: None)
if sys.argv[2:] == ["silent"]:
    on, off = (lambda backend: None), (lambda: None)
PARTS = {}
NEW = """
def new_%d(n):
    class Class:
        def method(self): return [inner() for inner in [lambda: n]]
    return Class().method()[0]
result = new_%d(%d)
"""
DEEPEST = 3


def part(function):
    PARTS[function.__name__] = function


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def new_function(number):
    space = {}
    exec(NEW % (number, number, number), space)
    return space["result"] == number


class Handler:
    """Counts, and computes something with old functions and new ones; not within itself more than DEEPEST
    times: where that takes longer than from one signal to the next, it would end in a RecursionError."""

    def __init__(self, number, busy=True):
        self.count = self.wrong = self.depth = 0
        self.busy = busy
        signal.signal(number, self)

    def __call__(self, number, frame):
        self.count += 1
        if not self.busy or self.depth >= DEEPEST:
            return
        self.depth += 1
        if fibonacci(6) != 8:
            self.wrong += 1
        if not new_function(self.count % 2000):
            self.wrong += 1
        self.depth -= 1


def storm(which, number, seconds, work, handler):
    """Runs until the work is done and a hundred signals have come, or for a minute."""
    signal.setitimer(which, seconds, seconds)
    right, done = True, 0
    end = time.time() + 60
    while (done < 20 or handler.count < 100) and time.time() < end:
        right = work(done) and right
        done += 1
    signal.setitimer(which, 0)
    print(right, handler.wrong, handler.count >= 100)


def make_new(done):
    return all(new_function(done * 50 + k) for k in range(50))


@part
def profiling_timer():
    storm(signal.ITIMER_PROF, signal.SIGPROF, 0.001, make_new, Handler(signal.SIGPROF))


@part
def profiling_timer_with_threads():
    stop, wrong = threading.Event(), []

    def work():
        while not stop.is_set():
            if fibonacci(9) != 34 or not new_function(int(time.time() * 1e6) % 1000):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    storm(signal.ITIMER_PROF, signal.SIGPROF, 0.001, make_new, Handler(signal.SIGPROF))
    stop.set()
    for one in threads:
        one.join()
    print(wrong)


@part
def real_timer():
    storm(signal.ITIMER_REAL, signal.SIGALRM, 0.0002, make_new, Handler(signal.SIGALRM, False))


@part
def all_timers():
    Handler(signal.SIGVTALRM)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0007, 0.0007)
    storm(signal.ITIMER_REAL, signal.SIGALRM, 0.0005, make_new, Handler(signal.SIGALRM))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@part
def toggling():
    def switch(done):
        on("perf")
        good = make_new(done)
        off()
        return good and fibonacci(8) == 21

    storm(signal.ITIMER_REAL, signal.SIGALRM, 0.0005, switch, Handler(signal.SIGALRM))


@part
def toggling_handler():
    class Switch(Handler):
        def __call__(self, number, frame):
            (on if self.count % 2 else lambda _: off())("perf")
            super().__call__(number, frame)

    storm(signal.ITIMER_REAL, signal.SIGALRM, 0.0005, make_new, Switch(signal.SIGALRM))


@part
def raising():
    """Raises from whatever runs at the signal, new functions included."""

    class Late(Exception):
        pass

    def raise_late(number, frame):
        raise Late

    signal.signal(signal.SIGALRM, raise_late)
    caught, number = 0, 0
    while caught < 200:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            while True:
                number += 1
                new_function(number % 3000)
        except Late:
            caught += 1
    print(caught, new_function(1), fibonacci(10))


@part
def raising_at_first_call():
    """The signal is pending, and not handled yet, when C calls a new function."""
    handled = []

    def stop(number, frame):
        handled.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGUSR1, stop)
    send = functools.partial(os.kill, os.getpid(), signal.SIGUSR1)
    call = operator.methodcaller("__call__")
    for number in range(3):
        on("perf")
        off()
        on("perf")
        sys.modules.pop("gc", None)
        try:
            list(map(call, [send, lambda: [number for _ in range(1000)]]))
            print("not stopped")
        except KeyboardInterrupt:
            print("stopped", len(handled))


@part
def killed_by_alarm():
    signal.setitimer(signal.ITIMER_PROF, 0.1)
    number = 0
    while True:
        number += 1
        new_function(number)


@part
def sleeping():
    """A signal interrupts a wait in C, and the wait continues."""
    handler = Handler(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    time.sleep(0.2)
    reading, writing = os.pipe()
    threading.Timer(0.1, os.write, (writing, b"x")).start()
    print(os.read(reading, 1))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(handler.count > 0, handler.wrong)


def inner(action):
    action()


class Outer:
    def call(self, action):
        return [inner(one) for one in [action]]


def below(action):
    sorted([0], key=lambda _: Outer().call(action))


@part
def registered():
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    below(lambda: os.kill(os.getpid(), signal.SIGUSR1))


@part
def later():
    faulthandler.dump_traceback_later(0.2)
    below(lambda: time.sleep(0.5))


@part
def registered_storm():
    with open(os.devnull, "w") as null:
        faulthandler.register(signal.SIGPROF, file=null)
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        print(all(make_new(number) for number in range(80)))
        signal.setitimer(signal.ITIMER_PROF, 0)


def fault(action):
    faulthandler.enable()
    below(action)


@part
def segmentation_fault():
    import ctypes

    fault(lambda: ctypes.string_at(0))


@part
def aborted():
    fault(os.abort)


@part
def overflown():
    """The C stack of a thread ends."""
    sys.setrecursionlimit(10 ** 6)
    threading.stack_size(1 << 17)

    class Deep:
        def __getattr__(self, name):
            return getattr(self, name)

    thread = threading.Thread(target=lambda: Deep().name)
    thread.start()
    thread.join()


if len(sys.argv) == 1:
    print(" ".join(sorted(PARTS)))
else:
    PARTS[sys.argv[1]]()
