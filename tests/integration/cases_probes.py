"""Another tool's probe on the entry of the frame evaluator: a uprobe, as bpftrace and `perf probe -x` set it.

The kernel puts an int3 over the entry's first byte, in the memory of the process, and executes the first
instruction that the *file* has there elsewhere; then it goes on behind it."""

import ctypes
import json
import os
import re
import select
import struct
import subprocess

import harness
from cases_refusal import refused, without_us
from harness import case
from maps import Map

CASES = []
PROGRAM = """
import sys, threading
sys.setrecursionlimit(20000)
threading.stack_size(8 << 20)  # musl's threads have 128 KiB
deep = 15000 if sys.version_info >= (3, 11) else 4000
def down(number): return from_c(20) if number == 0 else 1 + down(number - 1)
def from_c(number): return number + len(list(map(leaf, range(number))))
def leaf(number): return number
def generated(number):
    for i in range(number): yield leaf(i)
def work(results): results.append((down(700), down(deep) - deep, from_c(20), sum(generated(30))))
def step():
    results = []
    thread = threading.Thread(target=work, args=(results,))
    thread.start()
    work(results)
    thread.join()
    sys.stdout.write("%r\\n" % (sorted(results),))
    sys.stdout.flush()
def again(): return down(3)
def switched():
    sys.deactivate_stack_trampoline()
    down(3)
    sys.activate_stack_trampoline("perf")
    again()
for line in iter(sys.stdin.readline, ""):
    if line == "switch\\n": switched()
    step()
"""
STEP = "[(740, 40, 40, 435), (740, 40, 40, 435)]\n"
PMU = "/sys/bus/event_source/devices/uprobe"
PERF_EVENT_OPEN = 298
IOC_DISABLE = 0x2401
RETURNS = 1  # config: at the function's return
LOG_LINE = re.compile(r"evaluator at 0x([0-9a-f]+), ")


def place_in_file(log, pid):
    """The file of the evaluator and where in it the entry is, of a process that runs."""
    with open(log) as file:
        return place_of(pid, int(LOG_LINE.search(file.read()).group(1), 16))


def place_of(pid, address):
    """The file that is mapped there in a process, and where in it."""
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            fields = line.split()
            start, end = (int(one, 16) for one in fields[0].split("-"))
            if start <= address < end:
                return fields[5], address - start + int(fields[2], 16)
    raise RuntimeError("nothing is mapped at %#x" % address)


class Probe:
    """A uprobe in one process."""

    def __init__(self, pid, path, offset, config=0):
        with open(os.path.join(PMU, "type")) as file:
            number = int(file.read())
        self.path = ctypes.create_string_buffer(os.fsencode(path))
        attributes = struct.pack(
            "IIQQQQQIIQQ", number, 72, config, 0, 0, 0, 0, 0, 0, ctypes.addressof(self.path), offset
        )
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.syscall(PERF_EVENT_OPEN, attributes, pid, -1, -1, 8)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def count(self):
        return struct.unpack("Q", os.read(self.fd, 8))[0]

    def remove(self):
        os.close(self.fd)


def may_probe(bench, path, offset):
    """On this kernel, by this user."""
    try:
        Probe(os.getpid(), path, offset).remove()
        return True
    except OSError as error:
        bench.skip("uprobes", "perf_event_open: %s" % error)
        return False


class Program:
    """The program, which takes a step for each line it gets."""

    def __init__(self, bench):
        script = bench.write("probed.py", PROGRAM)
        self.script, self.log = script, os.path.join(bench.folder, "probed.log")
        harness.remove(self.log)
        environment = bench.environment(PYPERF_DEBUG="python:1,detour:1,file=" + self.log)
        self.process = bench.start([bench.python, script], environment, stdin=subprocess.PIPE)

    def step(self, what="step"):
        return step(self.process, what)


def step(process, what="step"):
    """Sends a line, and returns the answer; nothing when the process has ended."""
    try:
        process.stdin.write(what + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], 60)[0]:
            raise RuntimeError("no answer within 60 s")
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


@case(CASES)
def uprobe_while_profiled(bench):
    """It comes, counts, goes, and comes once more; the program does not notice, and keeps its names."""
    for what, config in (("entry", 0), ("return", RETURNS)):
        program = Program(bench)
        bench.equal("%s: before" % what, STEP, program.step())
        place = place_in_file(program.log, program.process.pid)
        if not may_probe(bench, *place):
            harness.kill(program.process)
            return
        probe = Probe(program.process.pid, *place, config)
        bench.equal("%s: with it" % what, STEP, program.step())
        count = probe.count()
        # The kernel follows 64 returns of a thread. From 3.11 on few frames come through the entry.
        least = 1 if bench.version >= (3, 11) else 64 if config else 4000
        bench.that("%s: count" % what, "%d or more" % least, count >= least, str(count))
        bench.equal("%s: with it, switched" % what, STEP, program.step("switch"))
        probe.remove()
        bench.equal("%s: without it again" % what, STEP, program.step())
        probe = Probe(program.process.pid, *place, config)
        bench.equal("%s: with another one" % what, STEP, program.step("switch"))
        done = harness.finish(program.process)
        probe.remove()
        bench.equal("%s: the end" % what, (0, "", ""), done.seen)
        names = Map(bench.map_path(done.pid)).of_file(program.script)
        bench.equal("%s: named later" % what, True, "again" in names)


# The functions that 3.12 and later have for perf, which we replace.
API = """
import ctypes, sys
api = ctypes.pythonapi
def called(): pass
calls = (
    ("PyUnstable_PerfMapState_Init", ()),
    ("PyUnstable_PerfMapState_Fini", ()),
    ("PyUnstable_CopyPerfMapFile", (b"/nonexistent",)),
    ("PyUnstable_PerfTrampoline_CompileCode", (ctypes.py_object(called.__code__),)),
    ("PyUnstable_PerfTrampoline_SetPersistAfterFork", (0,)),
)
calls = [one for one in calls if hasattr(api, one[0])]
print([ctypes.cast(getattr(api, name), ctypes.c_void_p).value for name, _ in calls], flush=True)
for line in sys.stdin:
    print([getattr(api, name)(*arguments) for name, arguments in calls], flush=True)
"""


@case(CASES)
def uprobe_on_replaced_functions(bench):
    """It counts, and the program does not notice."""
    if bench.version < (3, 12):
        bench.skip("functions", "3.12 is the first that has them")
        return
    process = bench.start([bench.python, bench.write("api.py", API)], stdin=subprocess.PIPE)
    addresses = json.loads(process.stdout.readline())
    before = step(process)
    for address in addresses:
        place = place_of(process.pid, address)
        if not may_probe(bench, *place):
            harness.kill(process)
            return
        probe = Probe(process.pid, *place)
        bench.equal("%#x: answers" % place[1], before, step(process))
        bench.equal("%#x: count" % place[1], 1, probe.count())
        probe.remove()
    bench.equal("the end", (0, "", ""), harness.finish(process).seen)


FIRST = """
import sys
def called(): sys.stdout.write("out\\n")
called()
"""
# The probe is there before the program is executed, and stays with the process.
WAITS = 'read line; exec "$@"'


@case(CASES)
def uprobe_before_start(bench):
    """We decline, and say what is there."""
    program = Program(bench)
    program.step()
    place = place_in_file(program.log, program.process.pid)
    harness.kill(program.process)
    if not may_probe(bench, *place):
        return
    script = bench.write("first.py", FIRST)
    plain = without_us(bench, [bench.python, script])
    command = ["sh", "-c", WAITS, "sh", bench.python, script]
    process = bench.start(command, stdin=subprocess.PIPE)
    probe = Probe(process.pid, *place)
    process.stdin.write("\n")
    done = harness.finish(process)
    count = probe.count()
    probe.remove()
    refused(bench, "refused", done, plain)
    bench.that("count", "20 or more", count >= 20, str(count))
    said = "a probe (uprobe) or a debugger's breakpoint is on the function's entry"
    bench.that("said", repr(said), said in done.err, repr(done.err))
