"""Stacks with trampolines that are unwound: by C++ exceptions and by threads that end."""

import os

from harness import case
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
