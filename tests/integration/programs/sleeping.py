"""Prints the names of the functions on its stack, innermost first, and sleeps there."""
import ctypes
import json
import sys
import time

PR_SET_PTRACER = 0x59616D61  # prctl(2): so that a debugger that is no ancestor may attach
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


class Waiter:
    def wait(self):
        time.sleep(60)


def outer(waiter):
    def inner():
        return max([1], key=lambda _: waiter.wait())

    return inner()


names = ["Waiter.wait", "outer.<locals>.inner.<locals>.<lambda>", "outer.<locals>.inner", "outer"]
print(json.dumps(["%s:%s" % (name, __file__) for name in names + ["<module>"]]))
sys.stdout.flush()
outer(Waiter())
