"""Interpreters that libpyperf does not profile: one line says so, and the program runs."""

import os
import re
import shutil

import harness
from cases_files import LEFT
from harness import case
from maps import Map

CASES = []
PROGRAM = """
import sys
def called(): sys.stdout.write("out\\n")
called()
sys.stderr.write("err\\n")
sys.exit(5)
"""
OURS = "libpyperf: "
HEX = re.compile("0x[0-9a-f]+")


def without_us(bench, command):
    """For refused(): interpreters with their own perf support use it where libpyperf declines."""
    support = "1" if bench.interpreter.native else None
    return bench.run(command, bench.environment(preload=False, support=support, images=False))


def refused(bench, what, done, plain):
    """One line of ours, before the program's own, and all else as without libpyperf."""
    lines = done.err.splitlines(True)
    ours = [line for line in lines if line.startswith(OURS)]
    native = bench.interpreter.native
    said = LEFT + ": " if native else "not profiling: "
    good = len(ours) == 1 and ours[0].startswith(OURS + said)
    bench.that("%s: lines of ours" % what, "1, '%s%s...'" % (OURS, said), good, repr(ours))
    rest = "".join(line for line in lines if line not in ours)
    bench.equal("%s: status, output" % what, plain.seen[:2], (done.status, done.out))
    # The interpreter's fatal errors name a thread by its address.
    bench.equal("%s: stderr" % what, HEX.sub("0x", plain.err), HEX.sub("0x", rest))
    left = bench.left(done.pid)
    expected = [path.replace(str(plain.pid), str(done.pid)) for path in bench.left(plain.pid)]
    bench.equal("%s: left in /tmp" % what, expected, left)


@case(CASES, harness.OTHERS)
def unknown_version(bench):
    program = bench.write("program.py", PROGRAM)
    refused(bench, "refused", bench.run_python(program), without_us(bench, [bench.python, program]))


@case(CASES, harness.NATIVE)
def left_alone(bench):
    """PYPERF_NATIVE=1: the interpreter's own trampolines, without libpyperf's."""
    program = bench.write("program.py", PROGRAM)
    done = bench.run_python(program, environment=bench.environment(PYPERF_NATIVE="1"))
    bench.equal("status, output", bench.plain(program).seen, done.seen)
    map_file = Map(bench.map_path(done.pid))
    native = [line.split(" ", 2)[2] for line in map_file.lines if " py::" in line]
    names = ["py::%s:%s" % (name, program) for name in ("<module>", "called")]
    once = [name for name in names if native.count(name) == 1]
    bench.equal("names of its own support", names, once)
    # Ours have trampolines of 16 bytes; its own are larger.
    bench.equal("lines of ours", 0, len(map_file.names))
    bench.that("lines of its own", "100 or more", len(native) >= 100, str(len(native)))
    bench.equal("images", [], [path for path in bench.left(done.pid) if path.endswith(".so")])


@case(CASES, harness.OTHERS)
def unknown_version_off(bench):
    program = bench.write("program.py", PROGRAM)
    for support in (None, "0", "abc"):
        done = bench.run_python(program, environment=bench.environment(support=support))
        bench.equal("%s: status, output" % support, bench.plain(program).seen, done.seen)
        bench.equal("%s: left in /tmp" % support, [], bench.left(done.pid))


@case(CASES)
def damaged_companion(bench):
    """libpyperf-plan.so is missing, truncated, or no library."""
    program = bench.write("program.py", PROGRAM)
    plain = without_us(bench, [bench.python, program])
    place = os.path.join(bench.folder, "damaged")
    os.mkdir(place)
    shutil.copy(bench.library, place)
    library = os.path.join(place, "libpyperf-plan.so")
    with open(os.path.join(bench.build, "libpyperf-plan.so"), "rb") as file:
        whole = file.read()
    contents = {
        "missing": None,
        "empty": b"",
        "cut off": whole[:5000],
        "text": b"not a library\n" * 100,
    }
    for what, content in contents.items():
        if content is not None:
            with open(library, "wb") as file:
                file.write(content)
        environment = bench.environment(LD_PRELOAD=os.path.join(place, "libpyperf.so"))
        refused(bench, what, bench.run_python(program, environment=environment), plain)
    os.unlink(library)
    shutil.copy("/bin/true", library)
    refused(bench, "a program", bench.run_python(program, environment=environment), plain)


@case(CASES)
def damaged_companion_unasked(bench):
    """No message unless profiling is requested."""
    program = bench.write("program.py", PROGRAM)
    place = os.path.join(bench.folder, "alone")
    os.mkdir(place)
    shutil.copy(bench.library, place)
    environment = bench.environment(LD_PRELOAD=os.path.join(place, "libpyperf.so"), support=None)
    done = bench.run_python(program, environment=environment)
    bench.equal("status, output", bench.plain(program).seen, done.seen)
