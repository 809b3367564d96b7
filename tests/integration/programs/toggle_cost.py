"""Prints memory, descriptors and mappings before and after 100,000 switches, as JSON. Arguments:
what is done between switches, and how many."""
import json
import os
import sys

WHAT, COUNT = sys.argv[1], int(sys.argv[2])
on, off = sys.activate_stack_trampoline, sys.deactivate_stack_trampoline


def called():
    return 1


def held():
    with open("/proc/self/maps") as maps:
        mappings = sum(1 for _ in maps)
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * 4
    return {
        "resident KiB": resident,
        "mappings": mappings,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "files": sum(os.path.getsize(path) for path in files()),
    }


def files():
    paths = ("/tmp/perf-%d.map", "/tmp/jit-%d.dump")
    return [path % os.getpid() for path in paths if os.path.exists(path % os.getpid())]


def nothing(count):
    for _ in range(count):
        on("perf")
        off()


def calls(count):
    for _ in range(count):
        on("perf")
        called()
        off()
        called()


def backends(count):
    for _ in range(count):
        on("perf")
        called()
        on("perf_jit")
        called()


def errors(count):
    for _ in range(count):
        for value in ("nope", None, "\0"):
            try:
                on(value)
            except (TypeError, ValueError):
                pass


def on_alone(count):
    for _ in range(count):
        on("perf")


switch = globals()[WHAT]
switch(1000)
off()
before = held()
switch(COUNT)
off()
after = held()
print(json.dumps({"before": before, "after": after}))
