"""Interpreters that are started and ended repeatedly in one process: programs/lives.c.

Each interpreter (a "life") obeys its own switches, and is not affected by those before it. Output
is compared with a run without libpyperf."""

import itertools
import os
import re
import signal

import jitdump_parser
import perf
from harness import case
from maps import Map, look_at_form
from outcome import JITDUMP, MAP, OFF, configuration, embedding_program, switch_environment

CASES = []
STATES = "PYPERF_TEST_LIVES"
# A script for each interpreter; FIRST stands for the call of a sys function.
LIFE = """
import os, sys
if os.environ["PYPERF_TEST_LIVES"] != os.devnull: FIRST
def in_life_NUMBER(): return 1
class Class_NUMBER:
    def method(self): return [inner() for inner in [lambda: in_life_NUMBER()]]
Class_NUMBER().method()
print("life NUMBER", flush=True)
with open(os.environ["PYPERF_TEST_LIVES"], "a") as file:
    file.write("%s\\n" % getattr(sys, "is_stack_trampoline_active", lambda: None)())
"""
FIRST = {
    "on": 'getattr(sys, "activate_stack_trampoline", len)("perf")',
    "jit": 'getattr(sys, "activate_stack_trampoline", len)("perf_jit")',
    "off": 'getattr(sys, "deactivate_stack_trampoline", list)()',
}
SET, UNSET = "PYTHONPERFSUPPORT=1 init", "PYTHONPERFSUPPORT= init"

# The first version; PYTHONPERFSUPPORT at the start; for each interpreter how it is started, what it
# calls first, and the resulting mode.
LIVES = (
    ((3, 6), "1", [("init", MAP)] * 10),
    ((3, 6), None, [("init", OFF)] * 3),
    ((3, 6), "1", [("init", MAP), (UNSET, OFF), (SET, MAP)]),
    ((3, 6), None, [("init", OFF), (SET, MAP), (UNSET, OFF)]),
    ((3, 6), "1", [("init off", OFF), ("init", MAP), ("init off", OFF), ("init", MAP)]),
    ((3, 6), None, [("init on", MAP), ("init", OFF), ("init", OFF), ("init on", MAP)]),
    ((3, 6), None, [("init", OFF), ("init jit", JITDUMP), ("init on", MAP), ("init", OFF)]),
    ((3, 6), "1", [("init jit", JITDUMP), ("init", MAP), ("init off", OFF), ("init on", MAP)]),
    ((3, 8), "1", [("isolated", OFF), ("configured", MAP), ("isolated on", MAP)]),
    ((3, 8), None, [("xperf", MAP), ("init", OFF), ("xjit", JITDUMP), ("isolated", OFF)]),
    ((3, 8), None, [("init", OFF), ("xperf", MAP), ("xperf off", OFF), ("xjit", JITDUMP)]),
)


def home_of(bench, known={}):
    """The path of the library's modules."""
    if bench.python not in known:
        (known[bench.python],) = configuration(bench, "prefix")
    return known[bench.python]


def run_lives(bench, program, steps, support="1"):
    """Runs with libpyperf, and without it for comparison."""
    more = {"PYTHONHOME": home_of(bench), STATES: os.path.join(bench.folder, "states")}
    plain = switch_environment(bench, None, preload=False, **more)
    expected = bench.run([program] + steps, dict(plain, **{STATES: os.devnull}))
    done = bench.run([program] + steps, switch_environment(bench, support, **more))
    for one in (done, expected):
        # 2.7 prints messages about late destructors, which may be mixed.
        if bench.version == (2, 7):
            one.err = "".join(sorted(re.sub("at 0x[0-9a-f]+", "at 0x", one.err)))
    return done, expected


def names_of_life(bench, pid, path):
    """Names by file, without <module>: that is running when it switches."""
    names = {}
    if os.path.exists(bench.map_path(pid)):
        names[MAP] = Map(bench.map_path(pid)).of_file(path)
    if os.path.exists(bench.dump_path(pid)):
        loads = jitdump_parser.load(bench.dump_path(pid)).loads
        own = [one.name for one in loads if one.name.endswith(":" + path)]
        names[JITDUMP] = [name[len("py::") : -len(path) - 1] for name in own]
    names = {file: sorted(set(found) - {"<module>"}) for file, found in names.items()}
    return {file: found for file, found in names.items() if found}


def expected_names(version, number, state):
    names = ["Class_%d", "Class_%d.method", "in_life_%d"]
    names += ["Class_%d.method.<locals>.<lambda>"]
    if version < (3, 12):  # PEP 709
        names += ["Class_%d.method.<locals>.<listcomp>"]
    return {} if state == OFF else {state: sorted(name % number for name in names)}


def look_at_lives(bench, program, support, lives):
    steps, paths = [], []
    for number, (how, _) in enumerate(lives):
        *words, last = how.split()
        text = LIFE.replace("FIRST", FIRST.get(last, "pass")).replace("NUMBER", str(number))
        paths.append(bench.write("life_%d.py" % number, text))
        steps += words + ([] if last in FIRST else [last]) + ["run:main:" + paths[-1], "final"]
    done, expected = run_lives(bench, program, steps, support)
    what = "PYTHONPERFSUPPORT=%s, %s" % (support or "", ", ".join(how for how, _ in lives))
    bench.equal("%s: status, output" % what, expected.seen, done.seen)
    with open(os.path.join(bench.folder, "states")) as file:
        states = file.read().split()
    os.unlink(os.path.join(bench.folder, "states"))
    bench.equal("%s: active" % what, [str(state != OFF) for _, state in lives], states)
    for number, (how, state) in enumerate(lives):
        names = names_of_life(bench, done.pid, paths[number])
        bench.equal("%s: names of life %d" % (what, number), expected_names(bench.version, number, state), names)


@case(CASES)
def lives_decided(bench):
    """Switched by the environment, the configuration and the sys functions of each."""
    program = embedding_program(bench, "lives.c")
    for since, support, lives in LIVES:
        if bench.version >= since:
            look_at_lives(bench, program, support, lives)


REPEATED = """
import sys
class Class:
    def method(self, n): return n if n < 2 else self.method(n - 1) + self.method(n - 2)
def numbers():
    for number in range(20): yield Class().method(number % 8)
def fail(n): return fail(n - 1) if n else {}["missing"]
try:
    fail(20)
except KeyError as error:
    sys.stdout.write("%d %s\\n" % (sum(numbers()), error))
"""


@case(CASES)
def lives_share_trampolines(bench):
    """The same functions in each of twenty interpreters, in one image and with one line each."""
    program = embedding_program(bench, "lives.c")
    path = bench.write("repeated.py", REPEATED)
    done, expected = run_lives(bench, program, ["init", "run:main:" + path, "final"] * 20)
    bench.equal("status, output", expected.seen, done.seen)
    map_file = Map(bench.map_path(done.pid))
    look_at_form(bench, map_file)
    names = ["<module>", "Class", "Class.method", "fail", "numbers"]
    bench.equal("names", names, sorted(map_file.of_file(path)))
    bench.equal("images", 1, len(bench.image_paths(done.pid, bench.images)))


# The script of a sub-interpreter: PART stands for its name.
PART = """
import sys
def in_PART(n): return n if n < 2 else in_PART(n - 1) + in_PART(n - 2)
class Class_PART:
    def __del__(self): in_PART(1)
class Cycle: pass
loop = Cycle()
loop.me, loop.deleted = loop, Class_PART()
def endless_PART():
    while True: yield in_PART(3)
generator = endless_PART()
sys.stdout.write("PART %d %d\\n" % (next(generator), in_PART(10)))
"""
TOGGLED = """
import sys
getattr(sys, "deactivate_stack_trampoline", list)()
def off_in_PART(): return 1
off_in_PART()
getattr(sys, "activate_stack_trampoline", len)("perf")
"""


def look_at_parts(bench, what, program, steps, parts):
    """Runs the steps in a second interpreter, after one was started and ended."""
    first = ["init", "sub:Z", "run:Z:" + parts["Z"], "end:Z", "run:main:" + parts["Z"], "final"]
    steps = first + ["init"] + steps + ["run:main:" + parts["Y"], "final"]
    done, expected = run_lives(bench, program, steps)
    bench.equal("%s: status, output" % what, expected.seen, done.seen)
    names = Map(bench.map_path(done.pid))
    run = [part for part in parts if part in "ZY" or "run:%s:%s" % (part, parts[part]) in steps]
    missing = [one for one in run if "in_" + one not in names.of_file(parts[one])]
    bench.equal("%s: parts without their name" % what, [], missing)
    off = [name for name in names.names if name.startswith("off_in_")]
    bench.equal("%s: names of what was called while off" % what, [], off)


@case(CASES)
def lives_of_sub_interpreters(bench):
    """Sub-interpreters are made and ended in any order, by any thread, and switch profiling."""
    program = embedding_program(bench, "lives.c")
    parts = {
        part: bench.write("part_%s.py" % part, (text + PART).replace("PART", part))
        for part, text in (("A", ""), ("B", TOGGLED), ("C", ""), ("Y", ""), ("Z", TOGGLED))
    }
    made = ["sub:A", "run:A:" + parts["A"], "sub:B", "sub:C", "run:C:" + parts["C"]]
    made += ["run:B:" + parts["B"], "run:A:" + parts["A"]]
    for number, order in enumerate(itertools.permutations("ABC")):
        ended = ["end:" + part for part in order]
        what = "ended as " + "".join(order)
        look_at_parts(bench, what, program, made + ended, parts)
        if number % 2:
            by_threads = made + ["thread"] + ended[:2] + ["join"] + ended[2:]
            look_at_parts(bench, what + ", by another thread", program, by_threads, parts)
            continue
        mixed = ["thread"] + made + ended[:1] + ["join", "sub:D", "run:D:" + parts["A"]]
        mixed += ended[1:] + ["thread", "run:D:" + parts["C"], "end:D", "join"]
        look_at_parts(bench, what + ", made by another thread", program, mixed, parts)
    storm = ["storm:" + parts["A"], "storm:" + parts["C"]]
    look_at_parts(bench, "eighty by eight threads", program, storm, parts)


KEPT = """
import sys
def called(n): return sum([n, 1])
def generate():
    try:
        while True: yield called(1)
    finally:
        yielded = [one for one in (1, 2)]
def closure():
    held = [called]
    def inner(n=3): return n if n < 2 else inner(n - 1) + inner(n - 2)
    return inner
called(1)
closure()()
started = generate()
next(started)
code = compile("def inside(): return [n for n in (1, 2)]\\nresult = inside()", "kept.py", "exec")
exec(code, {})
kept = %s
"""
KINDS = ("code", "closure()", "started.__next__", "started")


@case(CASES)
def lives_outlived(bench):
    """Code objects, functions and generators that are used and freed in another interpreter, or
    after theirs has ended."""
    program = embedding_program(bench, "lives.c")
    for kind in KINDS:
        path = bench.write("kept.py", KEPT % kind)
        kept = ["init", "sub:A", "sub:B", "keep:A:" + path]
        used = [] if kind == "started" else ["use:B", "use:A", "use:main"]
        after = used and ["use:main", "use:B"]
        off = bench.write("off.py", FIRST["off"].join(["import sys\n", "\n"]))
        toggled = ["run:main:" + off]
        for what, steps in (
            ("freed by the main one", kept + used + ["end:A"] + after + ["drop:main", "end:B"]),
            ("freed by another", kept + used + ["end:A"] + after + ["drop:B", "end:B"]),
            ("freed when all are gone", kept + used + ["end:A", "end:B", "drop:main"]),
            ("freed while off", kept + used + toggled + ["end:A"] + after + ["drop:B", "end:B"]),
        ):
            done, expected = run_lives(bench, program, steps + ["final"] + ["init", "final"])
            bench.equal("%s, %s: status, output" % (kind, what), expected.seen, done.seen)


RUNS_OF_DAEMONS = 20
DAEMONS = """
import sys, _thread, time
def nap(n): time.sleep(0.0001); return n
class Work:
    def __call__(self):
        for number in self.forever(): sorted([2, 1], key=nap)
    def forever(self):
        number = 0
        while True:
            exec("def new_%d(): return 1\\nnew_%d()" % (number % 500, number % 500), {})
            yield number
            number += 1
for _ in range(6): _thread.start_new_thread(Work(), ())
time.sleep(0.05)
sys.stdout.write("daemons\\n")
"""


def run_daemons(bench, program, steps, support):
    """Up to 3.10 a thread reads its own state before it has the lock (Modules/_threadmodule.c, t_bootstrap),
    and its interpreter's after it has released it (Python/ceval_gil.h, drop_gil); Py_FinalizeEx may have
    freed both. musl's free() unmaps them, and so a third of the runs end with SIGSEGV, with or without
    libpyperf. Such runs are repeated."""
    for _ in range(RUNS_OF_DAEMONS):
        done, expected = run_lives(bench, program, steps, support)
        killed = [one for one in (done, expected) if one.status == -signal.SIGSEGV]
        if not killed or not bench.interpreter.musl or bench.version >= (3, 11):
            break
        who = " and ".join(sorted("with libpyperf" if one is done else "alone" for one in killed))
        bench.skip("threads of 3.9", "SIGSEGV %s: run once more" % who)
    return done, expected


@case(CASES)
def lives_with_daemons(bench):
    """Threads that run Python code when their interpreter ends, and end before the next one starts.
    Up to 3.8 they wait for the lock, get it in the next interpreter and crash: there only the last
    interpreter has them."""
    program = embedding_program(bench, "lives.c")
    path = bench.write("daemons.py", DAEMONS)
    off = bench.write("daemons_off.py", FIRST["off"].join(["import os, sys\nif os.environ[%r] != os.devnull: " % STATES, DAEMONS]))
    life = ["init", "run:main:" + path, "final", "wait"]
    life_off = ["init", "run:main:" + off, "final", "wait"]
    rows = [("on", "1", life * 4), ("off", None, life * 2)]
    rows += [("switched off in the first and third", "1", (life_off + life) * 2)]
    if bench.version < (3, 9):
        rows = [("on", "1", ["init", "final"] * 2 + life[:3])]
        rows += [("off", None, ["init", "final"] * 2 + life[:3])]
        rows += [("switched off", "1", ["init", "final"] * 2 + life_off[:3])]
    for what, support, steps in rows:
        done, expected = run_daemons(bench, program, steps, support)
        bench.equal("%s: status, output" % what, expected.seen, done.seen)


TOOL = """
import os, sys
if os.environ["PYPERF_TEST_LIVES"] != os.devnull: FIRST
sys.argv = ["", "main"]
exec(open(%r).read(), {})
"""


@case(CASES)
def lives_with_another_tool(bench):
    """A user of co_extra in each interpreter: its values are its own, and only they are passed to
    its free()."""
    program = embedding_program(bench, "lives.c")
    text = TOOL % bench.program("co_extra.py")
    firsts = dict(FIRST, **{"as it is": "pass"})
    files = {
        how: bench.write("tool_%d.py" % number, text.replace("FIRST", first))
        for number, (how, first) in enumerate(firsts.items())
    }
    orders = [("as it is",) * 3, ("on", "off", "as it is"), ("off", "jit", "off")]
    for support, order in itertools.product(("1", None), orders):
        runs = [["init", "run:main:" + files[how], "final"] for how in order]
        done, expected = run_lives(bench, program, sum(runs, []), support)
        what = "PYTHONPERFSUPPORT=%s, %s" % (support or "", ", ".join(order))
        bench.equal("%s: status, output" % what, expected.seen, done.seen)


HOT = """
import time
def hot():
    for i in range(3000): pass
def in_life_NUMBER(end):
    while time.process_time() < end: hot()
def main(): in_life_NUMBER(time.process_time() + 0.4)
main()
"""


@case(CASES, needs=("perf",))
def lives_in_stacks(bench):
    """Stacks are complete in each of three interpreters; the second is off."""
    program = embedding_program(bench, "lives.c")
    steps, paths = [], []
    for number, variable in enumerate(("1", "", "1")):
        text = HOT.replace("NUMBER", str(number))
        paths.append(bench.write("hot_%d.py" % number, text))
        steps += ["PYTHONPERFSUPPORT=" + variable, "init", "run:main:" + paths[-1], "final"]
    done, data = perf.record(bench, [program] + steps, PYTHONHOME=home_of(bench))
    bench.equal("status", 0, done.status)
    samples = perf.script(bench, data)
    bench.pids.update(one.pid for one in samples)
    for number in (0, 2):
        names = ("hot", "in_life_%d" % number, "main", "<module>")
        chain = ["%s:%s" % (name, paths[number]) for name in names]
        hot = [one.python for one in samples if one.python and one.python[0] == chain[0]]
        good = sum(stack == chain for stack in hot)
        got = "complete " + perf.share(good, len(hot))
        enough = len(hot) >= 100 and good >= 0.99 * len(hot)
        bench.that("stacks of life %d" % number, "99 % of 100 or more", enough, got)
    off = [one for one in samples if any(name.endswith(paths[1]) for name in one.python)]
    bench.equal("samples with a name of the life that is off", 0, len(off))
