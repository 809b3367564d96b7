"""Switches on and off. Prints, as JSON, for each step the functions of this file in the map and in
the dump, in order. The dump is not parsed here: names are searched for in its bytes."""
import json
import os
import re
import sys

MAP, DUMP = ("/tmp/%s" % name % os.getpid() for name in ("perf-%d.map", "jit-%d.dump"))
STAGES = []
on, off = sys.activate_stack_trampoline, sys.deactivate_stack_trampoline


def names_in(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        end = re.escape(__file__.encode()) + b"[\n\0]"
        found = re.findall(b"py::([^:\0\n]+):" + end, file.read())
    names = [one.decode() for one in found]
    return [name for name in names if name.split(".")[0] not in ("stage", "names_in", "identity")]


def identity(path):
    return os.stat(path).st_ino if os.path.exists(path) else None


def stage(name):
    # Called while profiling or not; its own name is not reported.
    files = [identity(MAP), identity(DUMP)]
    STAGES.append([name, sys.is_stack_trampoline_active(), names_in(MAP), names_in(DUMP), files])


def never(): pass
def first(): return 1
def second(): return 2
def third(): return 3
def fourth(): return 4
def both(): return 5
def inside(): return 6


def running():
    on("perf")
    return inside()


def generator():
    while True:
        yield 7


def deactivating():
    off()
    return second()


suspended = generator()
next(suspended)
never()
stage("off from the start")
running()
stage("on, running() is on the stack and inside() is called")
next(suspended)
stage("a generator goes on")
first()
stage("first()")
deactivating()
stage("deactivating() calls second() when it is off")
second()
off()
third()
stage("off twice; second(), third()")
on("perf")
stage("on again")
on("perf")
third()
stage("on twice; third()")
running()
stage("running() again")
first()
stage("first() again: a name once")
on("perf_jit")
both()
first()
stage("to the dump: both(), first()")
off()
fourth()
stage("off: fourth()")
on("perf")
both()
stage("to the map: both()")
on("perf_jit")
both()
inside()
stage("to the dump: both() again, inside()")
on("perf")
inside()
fourth()
stage("to the map: fourth()")
off()
print(json.dumps(STAGES))
