"""Interpreters that are made and ended, over and over, in one process: programs/lives.c.

Each life is decided anew, by its own switches, and what one leaves behind means nothing to the
next. Whatever is printed is compared with a run without libpyperf."""

import itertools
import os

import jitdump_parser
import perf
from harness import case
from maps import Map, look_at_form
from outcome import JITDUMP, MAP, OFF, configuration, embedding_program, switch_environment

CASES = []
STATES = "PYPERF_TEST_LIVES"
# A file for each life; FIRST stands for the call of a sys function.
LIFE = """
import sys
FIRST
def in_life_NUMBER(): return 1
class Class_NUMBER:
    def method(self): return [inner() for inner in [lambda: in_life_NUMBER()]]
Class_NUMBER().method()
import os
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

# Since which version; PYTHONPERFSUPPORT at first; how each life is made, what it calls first, and
# what it comes to.
LIVES = (
    ((3, 6), "1", [("init", MAP)] * 10),
    ((3, 6), None, [("init", OFF)] * 3),
    ((3, 6), "1", [("init", MAP), (UNSET, OFF), (SET, MAP)]),
    ((3, 6), None, [("init", OFF), (SET, MAP), (UNSET, OFF)]),
    ((3, 6), "1", [("init off", OFF), ("init", MAP), ("init off", OFF), ("init", MAP)]),
    ((3, 6), None, [("init on", MAP), ("init", OFF), ("init", OFF), ("init on", MAP)]),
    ((3, 6), None, [("init", OFF), ("init jit", JITDUMP), ("init on", MAP), ("init", OFF)]),
    ((3, 6), "1", [("init jit", JITDUMP), ("init", MAP), ("init off", OFF), ("init jit", JITDUMP)]),
    ((3, 8), "1", [("isolated", OFF), ("configured", MAP), ("isolated on", MAP), ("isolated", OFF)]),
    ((3, 8), None, [("xperf", MAP), ("init", OFF), ("xjit", JITDUMP), ("isolated", OFF)]),
    ((3, 8), None, [("init", OFF), ("xperf", MAP), ("xperf off", OFF), ("xjit", JITDUMP)]),
)


def run_lives(bench, program, steps, support="1"):
    """With libpyperf, and what is to be seen without."""
    (home,) = configuration(bench, "prefix")
    more = {"PYTHONHOME": home, STATES: os.path.join(bench.folder, "states")}
    plain = switch_environment(bench, support, preload=False, **more)
    expected = bench.run([program] + steps, dict(plain, **{STATES: os.devnull}))
    return bench.run([program] + steps, switch_environment(bench, support, **more)), expected


def names_of_life(bench, pid, path):
    """By file. Not the module: it is running when it switches."""
    names = {}
    if os.path.exists(bench.map_path(pid)):
        names[MAP] = Map(bench.map_path(pid)).of_file(path)
    if os.path.exists(bench.dump_path(pid)):
        loads = jitdump_parser.load(bench.dump_path(pid)).loads
        own = [one.name for one in loads if one.name.endswith(":" + path)]
        names[JITDUMP] = [name[len("py::") : -len(path) - 1] for name in own]
    names = {file: sorted(set(found) - {"<module>"}) for file, found in names.items()}
    return {file: found for file, found in names.items() if found}


def expected_names(number, state):
    names = ["Class_%d", "Class_%d.method", "in_life_%d"]
    names += ["Class_%d.method.<locals>.<lambda>", "Class_%d.method.<locals>.<listcomp>"]
    return {} if state == OFF else {state: sorted(name % number for name in names)}


def look_at_lives(bench, program, support, lives):
    steps, paths = [], []
    for number, (how, _) in enumerate(lives):
        *words, last = how.split()
        text = LIFE.replace("FIRST", FIRST.get(last, "")).replace("NUMBER", str(number))
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
        bench.equal("%s: names of life %d" % (what, number), expected_names(number, state), names)


@case(CASES)
def lives_decided(bench):
    """By the environment, the configuration and the sys functions of each."""
    program = embedding_program(bench, "lives.c")
    for since, support, lives in LIVES:
        if bench.version >= since:
            look_at_lives(bench, program, support, lives)
