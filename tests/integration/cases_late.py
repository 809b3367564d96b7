"""A libpython that is loaded by dlopen, long after the program's start."""

import os
import re
import shutil
import struct
import subprocess

import perf
from harness import case
from outcome import JITDUMP, MAP, OFF
from outcome import compile_program, compiler, configuration, result_of, shared_library

CASES = []
SWITCHES = (({}, OFF), ({"support": "1"}, MAP), ({"PYTHON_PERF_JIT_SUPPORT": "1"}, JITDUMP))
OURS = ("libpyperf.so", "libpyperf-plan.so")
SYMBOL_TABLES = (2, 11)  # elf.h: SHT_SYMTAB, SHT_DYNSYM
SCRIPT = """
import os, sys, time
def hot():
    for i in range(3000): pass
def main():
    end = time.process_time() + float(os.environ.get("SECONDS", 0))
    while time.process_time() < end: hot()
main()
state = getattr(sys, "is_stack_trampoline_active", lambda: "no such function")()
print(os.getpid(), state, flush=True)
"""


def build(bench):
    """The program, the library that it loads, and the path of that one's modules."""
    library = shared_library(bench)
    (prefix,) = configuration(bench, "prefix")
    program = compile_program(bench, "late.c", "late", ["-ldl"])
    return program, library, {"PYTHONHOME": prefix, "support": None}


@case(CASES)
def late_switches(bench):
    """For each way to load it: the switches are obeyed, and the locale stays the program's."""
    program, library, variables = build(bench)
    script = bench.write("inside.py", SCRIPT)
    for how in ("local", "global", "again", "never"):
        plain = bench.run(
            [program, how, library, script], bench.environment(preload=False, **variables)
        )
        for switches, outcome in SWITCHES:
            environment = bench.environment(**dict(variables, **switches))
            done = bench.run([program, how, library, script], environment)
            outcome = OFF if how == "never" else outcome
            expected = plain.out.replace(str(plain.pid), str(done.pid))
            expected = expected.replace("no such function", "False")  # before 3.12
            expected = expected.replace("%d False" % done.pid, "%d %s" % (done.pid, outcome != OFF))
            what = "%s %s" % (how, switches or "no switch")
            bench.equal("%s: status, output" % what, (0, expected, ""), done.seen)
            bench.equal("%s: left in /tmp" % what, outcome, result_of(bench, done.pid))


def with_other_symbols(path, copy):
    """A library of the same names at other addresses, as the next version's is."""
    with open(path, "rb") as file:
        image = bytearray(file.read())
    (start,) = struct.unpack_from("<Q", image, 0x28)
    size, count, _ = struct.unpack_from("<HHH", image, 0x3A)
    for at in range(start, start + size * count, size):
        _, kind, _, _, offset, length, _, _, _, entry = struct.unpack_from("<IIQQQQIIQQ", image, at)
        for symbol in range(offset, offset + length, entry) if kind in SYMBOL_TABLES else ():
            (value,) = struct.unpack_from("<Q", image, symbol + 8)
            struct.pack_into("<Q", image, symbol + 8, value + 48 if value else 0)
    with open(copy, "wb") as file:
        file.write(image)
    return copy


@case(CASES)
def late_replaced(bench):
    """Between dlopen and Py_Initialize an upgrade replaces libpython, or removes it: libpyperf uses
    the mapped one."""
    program, library, variables = build(bench)
    script = bench.write("inside.py", SCRIPT)
    copy = os.path.join(bench.folder, "libpython-of-the-case.so")
    another = os.path.join(bench.folder, "another.so")
    for what, change in (("replaced", [another, copy]), ("removed", [copy, ""])):
        for switches, outcome in SWITCHES:
            shutil.copy(library, copy)
            with_other_symbols(library, another)
            environment = bench.environment(**dict(variables, **switches))
            done = bench.run([program, "changed", copy, script] + change, environment)
            named = "%s, %s" % (what, switches or "no switch")
            look_at_late(bench, named, done, outcome)


def look_at_late(bench, named, done, outcome):
    """The output of the program and of libpyperf, and the files left."""
    expected = (0, ["none C.UTF-8", "%d %s" % (done.pid, outcome != OFF)], "")
    seen = (done.status, done.out.splitlines()[:2], done.err)
    bench.equal("%s: status, output" % named, expected, seen)
    bench.equal("%s: left in /tmp" % named, outcome, result_of(bench, done.pid))


def look_at_declined(bench, named, done, plain, said):
    """As without libpyperf, but for one line that says why."""
    expected = (0, plain.out.replace(str(plain.pid), str(done.pid)))
    bench.equal("%s: status, output" % named, expected, (done.status, done.out))
    good = re.match(said + "$", done.err, re.S) is not None
    bench.that("%s: stderr" % named, repr(said), good, repr(done.err))
    images = [path for path in bench.left(done.pid) if path.endswith(".so")]
    bench.equal("%s: images" % named, [], images)


def copy_libraries(bench, folder):
    for name in OURS:
        shutil.copy(os.path.join(bench.build, name), folder)


PLANTED = """
#include <unistd.h>
__attribute__((constructor)) static void run(void) { write(2, "planted\\n", 8); _exit(66); }
"""


@case(CASES)
def late_elsewhere(bench):
    """LD_PRELOAD=./libpyperf.so, and another current directory when Python starts, which holds a
    planted libpyperf-plan.so."""
    program, library, variables = build(bench)
    script = bench.write("inside.py", SCRIPT)
    other = os.path.join(bench.folder, "other")
    os.mkdir(other)
    copy_libraries(bench, bench.folder)
    source = bench.write("planted.c", PLANTED)
    for name in OURS:
        planted = os.path.join(other, name)
        command = [compiler(bench, source), "-w", "-shared", "-fPIC", "-o", planted, source]
        subprocess.run(command, check=True)
    for switches, outcome in SWITCHES:
        environment = bench.environment(**dict(variables, LD_PRELOAD="./libpyperf.so", **switches))
        done = bench.run([program, "elsewhere", library, script, other], environment)
        look_at_late(bench, str(switches or "no switch"), done, outcome)


@case(CASES)
def late_upgrade(bench):
    """Between the program's start and Python's both of our libraries are replaced, or one."""
    program, library, variables = build(bench)
    script = bench.write("inside.py", SCRIPT)
    new = os.path.join(bench.folder, "new")
    os.mkdir(new)
    for names, why in (
        (OURS, r"libpyperf: [^\n]*/libpyperf\.so[^\n]* was replaced after it was loaded[^\n]*\n"),
        (OURS[1:], r"libpyperf: [^\n]*libpyperf-plan\.so is of another build[^\n]*\n"),
    ):
        for switches, said in (({}, ""), ({"support": "1"}, why)):
            copy_libraries(bench, bench.folder)
            changes = []
            for name in names:
                changes += [other_build(bench, name, new), os.path.join(bench.folder, name)]
            environment = bench.environment(**dict(variables, **switches))
            environment["LD_PRELOAD"] = os.path.join(bench.folder, OURS[0])
            command = [program, "changed", library, script]
            done = bench.run(command + changes, environment)
            del environment["LD_PRELOAD"]
            plain = bench.run(command, environment)
            what = "%s, %s" % (" and ".join(names), switches or "no switch")
            look_at_declined(bench, what, done, plain, said)


def other_build(bench, name, folder):
    with open(os.path.join(bench.build, name), "rb") as file:
        image = file.read()
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(re.sub(rb"(\0libpyperf \d[^\0]*)[^\0]\0", rb"\1x\0", image))
    return path


@case(CASES, needs=("perf",))
def late_stacks(bench):
    program, library, variables = build(bench)
    script = bench.write("inside.py", SCRIPT)
    # A copy, because perf itself has Debian's libpython loaded; see c_and_kernel_frames.
    copy = shutil.copy(os.path.realpath(library), bench.folder)
    command = [program, "local", copy, script]
    done, data = perf.record(bench, command, **dict(variables, support="1", SECONDS="0.5"))
    chain = ["%s:%s" % (name, script) for name in ("hot", "main", "<module>")]
    hot = [one for one in perf.script(bench, data) if chain[0] in one.python]
    bench.pids.update(one.pid for one in hot)
    good = sum(one.python == chain for one in hot)
    enough = len(hot) >= 100 and good >= 0.99 * len(hot)
    bench.that("complete", "99 % of 100 or more", enough, perf.share(good, len(hot)))
    bench.equal("status", 0, done.status)
