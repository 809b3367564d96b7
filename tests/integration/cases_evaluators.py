"""Other frame evaluators (PEP 523): both work, in any order of setting and unsetting."""

import itertools
import json
import os

import jitdump_parser
from harness import Skip, case
from maps import Map
from outcome import compile_program, headers, switch_environment

CASES = []
HOW = ("default", "previous")


def interleavings(ours, theirs):
    """All orders in which two sequences of steps can be mixed."""
    length = len(ours) + len(theirs)
    for places in itertools.combinations(range(length), len(ours)):
        mine, other = iter(ours), iter(theirs)
        yield "".join(next(mine) if place in places else next(other) for place in range(length))


# +, j and - switch profiling on and off; s and u set and unset the other evaluator.
SEQUENCES = list(interleavings("+-+", "sus")) + list(interleavings("-+-", "sus"))
SEQUENCES += list(interleavings("j+", "sus"))


def build(bench):
    """The module counting, in the case's folder."""
    include = headers(bench)
    flags = ["-shared", "-fPIC", "-I" + include]
    compile_program(bench, "counting.c", "counting.so", flags)
    return switch_environment(bench, PYTHONPATH=bench.folder)


def expected_rows(sequence, number):
    """A row: name, active, set, calls counted (one from Python and two from C), results right."""
    active = other = False
    for place, step in enumerate(sequence):
        active = step in "+j" if step in "+j-" else active
        other = step == "s" if step in "su" else other
        yield ["%d_%d" % (number, place), active, other, int(other), 2 * int(other), True]


def names_of(bench, pid):
    names = set()
    if os.path.exists(bench.map_path(pid)):
        names |= set(Map(bench.map_path(pid)).of_file("new.py"))
    if os.path.exists(bench.dump_path(pid)):
        loads = jitdump_parser.load(bench.dump_path(pid)).loads
        names |= {one.name[4:-7] for one in loads if one.name.endswith(":new.py")}
    return names


def look_at_sequences(bench, options, following, after, environment):
    command = [bench.python] + options + [bench.program("evaluators.py"), following, after]
    done = bench.run(command + SEQUENCES, environment)
    what = "the other calls the %s one, gives way to the %s one" % (following, after)
    what = " ".join(options + [what])
    bench.equal("%s: status, stderr" % what, (0, ""), (done.status, done.err))
    if done.status != 0:
        return
    names = names_of(bench, done.pid)
    for number, (sequence, got) in enumerate(zip(SEQUENCES, json.loads(done.out))):
        expected = list(expected_rows(sequence, number))
        wrong = [row for row in zip(sequence, expected, got) if row[1] != row[2]]
        wrong += unnamed(expected, names)
        bench.equal("%s: %s" % (what, sequence), [], wrong[:3])


def unnamed(expected, names):
    """Functions that should have names and have none, or the reverse."""
    for name, active, *_ in expected:
        for function in ("direct_" + name, "by_c_" + name):
            if (function in names) != active:
                yield "%s %s" % (function, "has no name" if active else "has a name")


@case(CASES)
def evaluator_orders(bench):
    environment = build(bench)
    for options in ([], ["-X", "perf"]):
        for following, after in itertools.product(HOW, HOW):
            look_at_sequences(bench, options, following, after, environment)


ANSWERED = """
import counting, sys
def answered(): return 1
def other(): return answered() + 1
def use(): return [answered(), other(), list(map(lambda n: answered(), [0]))]
def expect(what, value): assert use() == value, (what, use())
own, compiled = [1, 2, [1]], [42, 43, [42]]
expect("start", own)
counting.answer("answered")
for order in range(2):
    if order: sys.activate_stack_trampoline("perf")
    for how in ("default", "previous"):
        counting.set(how)
        expect("set", compiled)
        sys.activate_stack_trampoline("perf")
        expect("on", compiled)
        sys.deactivate_stack_trampoline()
        expect("off", compiled)
        sys.activate_stack_trampoline("perf")
        counting.unset(how)
        expect("unset", own)
        sys.deactivate_stack_trampoline()
        expect("off again", own)
print("end")
"""


@case(CASES)
def evaluator_that_compiles(bench):
    """An evaluator that runs some functions itself, without calling another one."""
    if bench.version >= (3, 12):
        raise Skip("from 3.12 on an evaluator has to end the frame, with what is not exported")
    environment = build(bench)
    done = bench.run_python("-c", ANSWERED, environment=environment)
    bench.equal("status, output", (0, "end\n", ""), done.seen)


THREADS = """
import counting, sys, threading
sys.setswitchinterval(1e-4)
done, wrong = threading.Event(), []
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
def numbers():
    for number in range(20): yield fibonacci(number % 8)
def work():
    while not done.is_set():
        if sum(numbers()) != 70: wrong.append(1)
def switch():
    for number in range(1500):
        sys.activate_stack_trampoline(("perf", "perf_jit")[number % 7 == 0])
        sys.deactivate_stack_trampoline()
def evaluators():
    for number in range(1500):
        counting.set(("default", "previous")[number % 2])
        fibonacci(2)
        counting.unset(("default", "previous")[number % 3 == 0])
def run_both():
    pair = [threading.Thread(target=function) for function in (switch, evaluators)]
    for one in pair: one.start()
    for one in pair: one.join()
    done.set()
threads = [threading.Thread(target=work) for _ in range(4)] + [threading.Thread(target=run_both)]
for one in threads: one.start()
for one in threads: one.join()
counting.unset("default")
sys.activate_stack_trampoline("perf")
def last(): return 1
last()
print(len(wrong), counting.count() > 0)
"""


@case(CASES)
def evaluator_threads(bench):
    """Two threads switch profiling and the other evaluator while four compute."""
    environment = build(bench)
    done = bench.run_python("-c", THREADS, environment=environment)
    bench.equal("status, output", (0, "0 True\n", ""), done.seen)
    names = Map(bench.map_path(done.pid)).of_file("<string>")
    bench.equal("a function called afterwards has a name", True, "last" in names)


AT_EXIT = """
import atexit, counting, os, sys
def late(): return 1
class Deleted:
    def __del__(self): late()
kept = Deleted()
kept.me = kept
atexit.register(late)
for step in sys.argv[1]:
    if step == "s": counting.set(sys.argv[2])
    elif step == "+": sys.activate_stack_trampoline("perf")
    else: sys.deactivate_stack_trampoline()
    late()
if os.fork() == 0:
    late()
    sys.exit()
os.wait()
"""


@case(CASES)
def evaluator_at_exit(bench):
    """Still set when the interpreter ends, and in a forked child."""
    environment = build(bench)
    for steps, how in itertools.product(("s", "s+", "+s", "s+-", "+s-", "+s-+"), HOW):
        done = bench.run_python("-c", AT_EXIT, steps, how, environment=environment)
        bench.equal("%s, %s: status, output" % (steps, how), (0, "", ""), done.seen)
