"""Python on a stack that the program has allocated, and a stack limit that the program lowers."""

import os

import harness
from harness import case
from maps import Map
from outcome import embedding_program

CASES = []
# KiB. Before 3.11 each call of a Python function takes C stack.
OLD, NEW = 4096, 64
FIBERS = """
import sys, threading
sys.setrecursionlimit(5000)
def down(number):
    if number == 0:
        leave()
        return 0
    return 1 + down(number - 1)
def inside():
    print(down(10), down(800))
    sys.stdout.flush()
def helper(): return 1
def call_helper(): return helper()
def worker(): call_by_worker()
def call_by_worker(): return sum(map(called_from_c, [1]))
def called_from_c(one): return one
def outside():
    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    call_helper()
def warm_up():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
warm_up()
"""
OUTSIDE = "outside call_helper helper worker call_by_worker called_from_c".split()


@case(CASES)
def fibers(bench):
    """The program behaves as without libpyperf, and functions on threads' own stacks have names
    while the fiber runs Python."""
    program, script = embedding_program(bench, "fibers.c"), bench.write("fibers.py", FIBERS)
    size = OLD if bench.version < (3, 11) else NEW
    for where in ("main", "above", "below"):
        command = [program, where, str(size), script]
        plain = bench.run(command, bench.environment(preload=False, support=None, images=False))
        if plain.status != 0:
            # From 3.14 on CPython checks the stack's bounds itself (python/cpython#139653).
            bench.skip(where, "it ends with status %d without libpyperf" % plain.status)
            continue
        done = bench.run(command)
        bench.equal("%s: status, output" % where, plain.seen, done.seen)
        names = Map(bench.map_path(done.pid)).of_file(script)
        missing = [name for name in OUTSIDE if name not in names]
        bench.equal("%s: without names on threads' own stacks" % where, [], missing)


LOWERED = """
import os, resource, sys
kibibytes, depth, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sys.setrecursionlimit(depth + 1000)
def lower():
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (kibibytes << 10, hard))
def down(number):
    return 0 if number == 0 else 1 + down(number - 1)
def lower_then_down(number):
    if number > 0:
        return 1 + lower_then_down(number - 1)
    lower()
    return down(depth // 2)
def after(): return 1
if how == "deep before":
    down(1000)
if how == "in the middle":
    print(lower_then_down(100))
else:
    lower()
    print(down(depth))
if how == "child":
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(0 if down(depth) == depth else 1)
    print(os.waitpid(child, 0)[1])
print(down(depth), after())
"""


@case(CASES)
def lowered_stack_limit(bench):
    """The limit is lowered after the thread has begun to run Python; plain CPython from 3.11 on
    recurses without C stack."""
    program = bench.write("lowered.py", LOWERED)
    looked = 0
    for kibibytes in (64, 256, 1024, 4096):
        for depth in (3000, 9000):
            for how in ("before", "deep before", "in the middle", "child"):
                arguments = (program, str(kibibytes), str(depth), how)
                plain = bench.plain(*arguments)
                if plain.status != 0:
                    continue
                looked += 1
                done = bench.run_python(*arguments)
                what = "%d KiB, %d calls, %s" % (kibibytes, depth, how)
                bench.equal("%s: status, output" % what, plain.seen, done.seen)
                harness.remove(bench.map_path(done.pid))
                for path in bench.image_paths(done.pid, bench.images):
                    os.unlink(path)
    if bench.version >= (3, 11):
        bench.equal("works without libpyperf", 32, looked)
