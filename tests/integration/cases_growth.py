"""A program that makes functions without end: how much memory that takes, and the limit."""

import json
import os

from harness import case
from maps import Map
from outcome import switch_environment

CASES = []
# With a million functions of each kind, and both kinds of image filled, on all interpreters: some
# ten minutes.
ALL_GROWTH = "PYPERF_TEST_ALL_GROWTH"
NOISE = 1024  # KiB by which the resident size of a program that does not grow varies
# Trampoline, symbol and table (preload/profile/registry.h), and a name of at most 21 bytes; the
# table doubles.
BYTES = 16 + 24 + 18 + 21
INTERNED = 70  # bytes that 3.12 and later keep for each name, also without libpyperf
PERF_JIT_FUNCTIONS, PERF_FUNCTIONS = 64 * 4096, 64 * 65536


def everything():
    return os.environ.get(ALL_GROWTH, "0") not in ("", "0")


def grow(bench, count, kind):
    """KiB resident after a tenth, a half and all."""
    program = bench.program("growth.py")
    done = bench.run_python(program, str(count), kind, timeout=600)
    bench.equal("%s, %d: status, stderr" % (kind, count), (0, ""), (done.status, done.err))
    return done, [kib for _, kib in sorted(json.loads(done.out).items(), key=lambda i: int(i[0]))]


@case(CASES)
def growth_of_same_functions(bench):
    """What a server compiles for each request: one trampoline and one line for each name."""
    count = 1000000 if everything() else 20000
    done, (tenth, _, whole) = grow(bench, count, "same")
    what = "%d requests: KiB resident, from the first tenth to the last" % count
    bench.that(what, "at most %d more" % NOISE, whole - tenth <= NOISE, "%d, %d" % (tenth, whole))
    names = Map(bench.map_path(done.pid)).of_file("page.html")
    lines = 8 if (3,) < bench.version < (3, 12) else 7  # PEP 709, and Python 2
    bench.equal("%d requests: lines" % count, lines, len(names))
    bench.equal("%d requests: images" % count, 1, len(bench.image_paths(done.pid, bench.images)))


@case(CASES)
def growth_of_different_functions(bench):
    count = 1000000 if everything() else 100000
    done, (tenth, half, whole) = grow(bench, count, "different")
    for half_of, functions, kib in (
        ("the first half", count * 4 // 10, half - tenth),
        ("the second half", count // 2, whole - half),
    ):
        most = BYTES + 1024.0 * NOISE / functions
        each = 1024.0 * kib / functions
        if bench.version >= (3, 12):  # interned names are immortal
            most += INTERNED + 32 * bench.interpreter.debug  # Objects/obmalloc.c, debug hooks: 24
        what = "%d functions: bytes each, in %s" % (count, half_of)
        bench.that(what, "at most %.0f" % most, each <= most, "%.0f" % each)
    names = Map(bench.map_path(done.pid)).of_file("many.py")
    bench.equal("%d functions: named" % count, count + 1, len(set(names) - {"<module>"}))


# Compiles a thousand functions at a time; at the end the first thousand again.
UNTIL_FULL = """
import sys
wanted = int(sys.argv[1])
for start in list(range(0, wanted, 1000)) + [0]:
    names = ["f%d" % number for number in range(start, min(start + 1000, wanted))]
    text = "\\n".join("def %s(): return 1" % name for name in names)
    text += "\\nassert " + " + ".join("%s()" % name for name in names) + " == %d" % len(names)
    exec(compile(text, "many.py", "exec"), {})
print("end")
"""
FULL = "libpyperf: further functions have no names: there is no room for more functions: "
FULL += "64 images are full\n"


@case(CASES)
def growth_to_the_end(bench):
    """One line says that there is no room for more; the program goes on."""
    if not everything() and bench.interpreter.label != "python3.11.7 shared":
        return
    program = bench.write("until_full.py", UNTIL_FULL)
    rows = [("perf_jit", PERF_JIT_FUNCTIONS)]
    rows += [("perf", PERF_FUNCTIONS)] if everything() else []
    for option, room in rows:
        words = ["-X", option, program, str(room + 2000)]
        done = bench.run_python(*words, environment=switch_environment(bench), timeout=600)
        what = "%s, %d functions" % (option, room + 2000)
        bench.equal("%s: status, output" % what, (0, "end\n", FULL), done.seen)
        images = bench.image_paths(done.pid, bench.images)
        bench.equal("%s: images" % what, 64, len(images))
        for path in bench.left(done.pid):
            os.unlink(path)
