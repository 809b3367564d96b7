"""Threads that end inside Python functions: by pthread_exit and pthread_cancel, called or waited
for without the interpreter's lock. Argument: which way. Their objects are never freed."""
import ctypes
import os
import sys
import threading
import time

try:
    import _thread
except ImportError:  # Python 2
    import thread as _thread

on = getattr(sys, "activate_stack_trampoline", lambda backend: None)
off = getattr(sys, "deactivate_stack_trampoline", lambda: None)
libc = ctypes.CDLL(None)
libc.pthread_cancel.argtypes = [ctypes.c_ulong]
libc.pthread_exit.argtypes = [ctypes.c_void_p]
libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
READING, WRITING = os.pipe()
started = []


def leave():
    libc.pthread_exit(None)


def wait_in_ctypes():
    started.append(_thread.get_ident())
    libc.read(READING, ctypes.create_string_buffer(1), 1)


def wait_in_os():
    started.append(_thread.get_ident())
    os.read(READING, 1)


class Held:
    def __call__(self, depth, last):
        for number in self.numbers(depth):
            return sorted([0], key=lambda _: self(depth - 1, last) if depth else last())

    def numbers(self, depth):
        try:
            yield depth
        finally:
            started.append("never")


def wait_for_threads():
    end = time.time() + 30
    while len(os.listdir("/proc/self/task")) > 1 and time.time() < end:
        time.sleep(0.001)
    return len(os.listdir("/proc/self/task"))


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def after():
    return fibonacci(15)


def end_threads(last, cancel, depth=3):
    for number in range(8):
        _thread.start_new_thread(Held(), (number % 4 * depth, last))
        if number == 4:
            off()
        while cancel and len(started) <= number:
            time.sleep(0.001)
        if number == 6:
            on("perf")
    for ident in started[:]:
        libc.pthread_cancel(ident)
    # Called from C: after a thread has ended while deep, 3.11 inlines calls until such a call.
    answers = [wait_for_threads()] + list(map(lambda _: after(), [0])) + ["never" in started]
    print(" ".join(str(one) for one in answers))


def deep():
    """Uses more than half of the thread's stack, where 3.11 inlines calls. Debug builds of 3.13
    allow 500 C calls, and inline after a tenth of them."""
    sys.setrecursionlimit(5000)
    threading.stack_size(1 << 20)
    end_threads(leave, False, 12 if hasattr(sys, "gettotalrefcount") else 40)


def in_main():
    """The process ends with its last thread."""

    def later():
        time.sleep(0.2)
        print("last", fibonacci(10), flush=True)

    threading.Thread(target=later).start()
    Held()(5, leave)


WAYS = {
    "exit": lambda: end_threads(leave, False),
    "exit from far below": deep,
    "cancel in ctypes": lambda: end_threads(wait_in_ctypes, True),
    "cancel in read": lambda: end_threads(wait_in_os, True),
    "exit of the main thread": in_main,
}
WAYS[sys.argv[1]]()
print("end", flush=True)
