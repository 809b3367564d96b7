"""greenlet, which copies parts of the C stack out and back, and gevent on top of it."""

import ast

import packages
import perf
import recording
from cases_effects import same
from harness import case
from outcome import switch_environment

CASES = []
SUBJECT = "greenlet"
MAP, JITDUMP = ("1", None), (None, "1")


def look_at_output(bench, name):
    """Output is the same with map, jitdump and without libpyperf."""
    program = packages.program(name)
    plain = bench.plain(program)
    bench.equal("%s without: status, stderr" % name, (0, ""), (plain.status, plain.err))
    for what, (support, jit) in (("map", MAP), ("jitdump", JITDUMP)):
        done = bench.run_python(program, environment=switch_environment(bench, support, jit))
        bench.equal("%s, %s: status, output" % (name, what), plain.seen, done.seen)


def chain_of(name):
    """CHAIN of a program that cannot be imported here."""
    with open(packages.program(name)) as file:
        for node in ast.parse(file.read()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CHAIN":
                return ast.literal_eval(node.value)


def look_at_program(bench, name, arguments, at_least):
    """Complete up to the greenlet's function, where its stack begins."""
    program = packages.program(name)
    done, data = perf.record(bench, [bench.python, program] + arguments)
    bench.equal("%s under perf: status" % name, 0, done.status)
    pid = int(done.out.split()[-1])
    bench.pids.add(pid)
    samples = [one for one in perf.script(bench, data) if one.pid == pid]
    chain = chain_of(name)
    recording.look_at_stacks(bench, name, samples, program, chain, lambda _: True, at_least)


@case(CASES, needs=("servers",))
def greenlets(bench):
    packages.require_module("greenlet")
    look_at_output(bench, "greenlets.py")


@case(CASES, needs=("perf", "servers"))
def greenlet_stacks(bench):
    packages.require_module("greenlet")
    look_at_program(bench, "greenlet_stacks.py", [], 300)


SWITCHED = """
import os, sys, greenlet
def work(number):
    def step(turn):
        return max([turn], key=lambda one: greenlet.getcurrent().parent.switch(one) or one)
    return [step(turn) for turn in range(12)]
def switch(backend):
    try: sys.activate_stack_trampoline(backend)
    except ValueError: sys.activate_stack_trampoline("perf") # 3.12 and 3.13 know no other one here
# Without us nothing is switched: 3.14 crashes at its end when its own trampolines were.
if "LD_PRELOAD" not in os.environ: switch = None
crowd = [greenlet.greenlet(work) for _ in range(50)]
for turn in range(13):
    if switch and turn % 3 == 0: sys.deactivate_stack_trampoline()
    elif switch: switch(("perf", "perf_jit")[turn % 3 - 1])
    print([one.switch(*[turn][turn and 1:]) for one in crowd][7:9], crowd[-1].dead)
"""


@case(CASES, needs=("servers",))
def greenlets_while_switching(bench):
    """A greenlet is left in one mode and resumed in another, or off."""
    packages.require_module("greenlet")
    same(bench, "switched on and off", bench.write("switched.py", SWITCHED))


@case(CASES, needs=("servers",))
def gevent_echo(bench):
    packages.require_module("gevent")
    look_at_output(bench, "gevent_echo.py")


@case(CASES, needs=("perf", "servers"))
def gevent_stacks(bench):
    packages.require_module("gevent")
    look_at_program(bench, "gevent_echo.py", ["pid"], 100)
