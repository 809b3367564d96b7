"""Prints the names of the functions on its stack, innermost first, and sleeps there."""
import ctypes
import json
import sys
import time

PR_SET_PTRACER = 0x59616D61  # prctl(2): so that a debugger that is no ancestor may attach
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)

NAMES = (
    "Waiter.wait",
    "outer.<locals>.inner.<locals>.<lambda>",
    "outer.<locals>.inner",
    "outer",
    "<module>",
)


class Waiter:
    def wait(self):
        # Said from here: whoever has read it finds every frame on the stack.
        print(json.dumps(["%s:%s" % (name, __file__) for name in NAMES]))
        sys.stdout.flush()
        time.sleep(60)


def outer(waiter):
    def inner():
        return max([1], key=lambda _: waiter.wait())

    return inner()


outer(Waiter())
