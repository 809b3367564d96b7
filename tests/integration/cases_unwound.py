"""Stacks with trampolines that are unwound: by C++ exceptions and by threads that end."""

import os

from harness import Skip, case
from maps import Map, look_at_form
from outcome import configuration, embedding_program, switch_environment

CASES = []
WAYS = (
    *("exit", "exit from far below", "cancel in ctypes", "cancel in read"),
    "exit of the main thread",
)


@case(CASES)
def unwound_by_exceptions(bench):
    """Thrown by C++ that Python calls, caught by C++ that calls Python."""
    program = embedding_program(bench, "thrown.cpp")
    home = {"PYTHONHOME": configuration(bench, "prefix")[0]}
    for how in ("module", "ctypes"):
        environment = switch_environment(bench, preload=False, PYPERF_TEST_PLAIN="1", **home)
        plain = bench.run([program, how], environment)
        for support, jit in (("1", None), (None, "1")):
            environment = switch_environment(bench, support, jit, **home)
            done = bench.run([program, how], environment)
            what = "by %s, %s" % (how, "map" if support else "jitdump")
            bench.equal("%s: status, output" % what, plain.seen, done.seen)
        bench.equal("by %s: lines" % how, 91, len(plain.out.splitlines()))


@case(CASES)
def unwound_threads(bench):
    """pthread_exit and pthread_cancel; then the other threads go on."""
    program = bench.program("threads_end.py")
    for way in WAYS:
        plain = bench.plain(program, way)
        done = bench.run_python(program, way, environment=switch_environment(bench, "1"))
        bench.equal("%s: status, output" % way, plain.seen, done.seen)
        map_file = Map(bench.map_path(done.pid))
        look_at_form(bench, map_file)
        last = "leave" if way.endswith("thread") else "after"
        bench.equal("%s: named" % way, True, last in map_file.of_file(program))
        for path in bench.left(done.pid):
            os.unlink(path)


WALK = """
import ctypes, functools, re, sys
walk = ctypes.PyDLL(sys.argv[1]).pyperf_walk
room = ctypes.create_string_buffer(1 << 18)
whole = []
def look():
    frames = walk(room, len(room))
    whole.append(frames > 0 and b"main" in room.value.replace(b"Py_BytesMain", b"main").split(b"\\n"))
    return 0
def plain(n): return look() if n == 0 else through_max(n - 1)
def through_max(n): return max([n], key=lambda x: plain(x) if n % 3 else through_re(x))
def through_re(n): return re.sub("x", lambda match: str(plain(n)), "x")
class Slots(object):
    def __getattr__(self, name): return plain(len(name))
    def __call__(self, n): return functools.reduce(lambda a, b: plain(n), [1, 2])
    def __lt__(self, other): return look() == 0
def generated(n):
    for i in range(n): yield plain(i)
for i in range(12):
    plain(i), through_max(i), through_re(i), Slots()(i), getattr(Slots(), "y" * i)
    list(generated(i)), sorted([Slots(), Slots()])
print("%d of %d" % (sum(whole), len(whole)))
"""


@case(CASES)
def unwound_within(bench):
    """libunwind in the process sees stacks up to main, as it does without us."""
    walker = os.path.join(bench.build, "pyperf-walk.so")
    if not os.path.exists(walker):
        raise Skip("%s is not built: no libunwind-dev" % walker)
    program = bench.write("walk.py", WALK)
    plain = bench.plain(program, walker)
    if plain.status != 0:
        raise Skip("the program ends with status %d without us" % plain.status)
    bench.equal("status, output", plain.seen, bench.run_python(program, walker).seen)
