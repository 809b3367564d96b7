"""PYPERF_TOGGLE_SIGNAL: profiling is switched by a signal, without other effects on the program."""

import json
import os
import shutil
import signal

import harness
import perf
from harness import NATIVE, OTHERS, case
from maps import Map
from outcome import compile_program, configuration, embedding_program, first_real_time, shared_library

CASES = []
LINE = "libpyperf: PYPERF_TOGGLE_SIGNAL is not used: %s\n"
NO_NAME = LINE % "it must name USR1, USR2, or one of RTMIN to RTMAX, as in RTMIN+3"
BUILTIN = "<built-in function toggle_stack_trampoline>"
# Signals with another purpose, and words that name no signal.
REFUSED = ("INT", "SIGTERM", "HUP", "KILL", "9", "SEGV", "CHLD", "PIPE", "ALRM", "PROF", "0", "65")
NO_NAMES = ("33", "-12", "012", "USR3", "RTMIN+31", "RTMIN-1", "SIG", "SIG12", "USR2 ", "no\nname")


def toggled(bench, name="USR2", **more):
    more.setdefault("support", None)
    return bench.environment(PYPERF_TOGGLE_SIGNAL=name, **more)


def run_part(bench, part, name="USR2", number=signal.SIGUSR2, **more):
    """The output of a part of programs/toggle_signal.py, and its end."""
    program, environment = bench.program("toggle_signal.py"), toggled(bench, name, **more)
    done = bench.run([bench.python, program, part, str(int(number))], environment)
    bench.equal("%s, %s: status, stderr" % (part, name), (0, ""), (done.status, done.err))
    return done, json.loads(done.out or "null")


def names_inside(bench, pid):
    """Names of enclosed functions; none without a map."""
    if not os.path.exists(bench.map_path(pid)):
        return "no map"
    names = Map(bench.map_path(pid)).of_file(bench.program("toggle_signal.py"))
    return sorted(name.split(".")[-1] for name in names if "<locals>" in name)


def can_be_sent(number):
    """An emulator may have the last ones for itself."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        os.kill(os.getpid(), number)
        return True
    except OSError:
        return False
    finally:
        signal.signal(number, before)


@case(CASES)
def toggle_signal_stages(bench):
    """On, off, on: only functions that are called while it is on get names."""
    for name, number in (
        ("USR2", signal.SIGUSR2),
        ("SIGUSR1", signal.SIGUSR1),
        ("12", 12),
        ("SIGRTMIN+3", first_real_time(bench) + 3),
        ("rtmax-1", signal.SIGRTMAX - 1),
    ):
        if not can_be_sent(number):
            bench.skip(name, "a process cannot send it here")
            continue
        done, seen = run_part(bench, "stages", name, number)
        bench.equal("%s: active" % name, [False, True, False, True], seen)
        expected = ["inside_first", "inside_third"]
        bench.equal("%s: names" % name, expected, names_inside(bench, done.pid))
    done, seen = run_part(bench, "stages", support="1")
    bench.equal("on from the start: active", [True, False, True, False], seen)


@case(CASES)
def toggle_signal_dormant(bench):
    """Nothing is switched, no file is left, and the evaluator has the bytes of its file."""
    done = bench.run_python(bench.program("entry.py"), environment=toggled(bench))
    entry = json.loads(done.out)
    bench.equal("entry as in the file", entry["file"], entry["memory"])
    done = bench.run_python("-c", "def called(): pass\ncalled()", environment=toggled(bench))
    bench.equal("status, output", (0, "", ""), done.seen)
    bench.equal("left in /tmp", [], bench.left(done.pid))


@case(CASES)
def toggle_signal_from_outside(bench):
    command = [bench.python, bench.program("toggle_signal.py"), "outside", "12"]
    process = bench.start(command, toggled(bench))
    lines = [process.stdout.readline()]
    for _ in range(3):
        process.send_signal(signal.SIGUSR2)
        lines.append(process.stdout.readline())
    lines.append(process.stdout.readline())
    bench.equal("says", ["ready\n", "True\n", "False\n", "True\n", '"end"\n'], lines)
    bench.equal("status, output", (0, "", ""), harness.finish(process).seen)


@case(CASES, needs=("perf",))
def toggle_signal_stacks(bench):
    """Names only while it is on. By USR1, because programs that perf record starts ignore USR2."""
    program = bench.program("toggle_signal.py")
    command = [bench.python, program, "phases", "10"]
    done, data = perf.record(bench, command, support=None, PYPERF_TOGGLE_SIGNAL="USR1")
    bench.equal("status, stdout", (0, "true\n"), (done.status, done.out))
    samples = perf.script(bench, data)
    bench.pids.update(one.pid for one in samples)
    for phase in ("on_at_first", "on_again"):
        chain = ["%s:%s" % (name, program) for name in ("spin", phase)]
        inside = [one for one in samples if chain[1] in one.python]
        good = sum(one.python == chain for one in inside)
        enough = len(inside) >= 100 and good >= 0.99 * len(inside)
        what = "%s: spin in it" % phase
        bench.that(what, "99 % of 100 or more", enough, perf.share(good, len(inside)))
    named = {name.split(":")[0] for one in samples for name in one.python}
    bench.equal("while off", set(), named & {"off_at_first", "off_again"})


@case(CASES)
def toggle_signal_storm(bench):
    for name, number in (("USR2", signal.SIGUSR2), ("RTMIN+3", first_real_time(bench) + 3)):
        for support in (None, "1"):
            _, answer = run_part(bench, "storm", name, number, support=support)
            expected = {"right": True, "calls": True, "switched": True}
            bench.equal("%s, support %s" % (name, support), expected, answer)


@case(CASES)
def toggle_signal_of_the_program(bench):
    """A handler of the program replaces ours, and ours works again when the program restores it."""
    _, answer = run_part(bench, "own_handler")
    bench.equal("calls, active; restored; taken and ignored", [3, False, True, 4, True], answer)


@case(CASES)
def toggle_signal_ignored(bench):
    """Ignored at the start, as by nohup."""
    code = "import os, signal; os.kill(os.getpid(), 12); print(signal.getsignal(12) == 1)"
    command = ["sh", "-c", "trap '' USR2; exec \"$@\"", "sh", bench.python, "-c", code]
    done = bench.run(command, toggled(bench))
    line = LINE % "the program was started with signal 12 ignored"
    bench.equal("status, output", (0, "True\n", line), done.seen)


@case(CASES)
def toggle_signal_while_blocked(bench):
    """Calls are not cut short: whether it lasted, its result, and whether it switched before its
    end."""
    _, answer = run_part(bench, "blocking")
    results = {"sleep": None, "read": "all of it", "recv": "all of it", "join": None}
    results.update(lock=False, loop=None)
    for call in sorted(results):
        bench.equal(call, [True, results[call], [True]], answer[call])


@case(CASES)
def toggle_signal_in_c(bench):
    _, answer = run_part(bench, "in_c")
    expected = [True, False, True, True]
    bench.equal("meanwhile: in C, active; then: active, result right", expected, answer)


@case(CASES)
def toggle_signal_in_vain(bench):
    """A switch that fails says why, and the next one may succeed."""
    program, start = bench.program("toggle_signal.py"), "libpyperf: not profiling: out of memory: "
    done = bench.run([bench.python, program, "limited", "12"], toggled(bench))
    got = (done.status, done.out, done.err[: len(start)], done.err.count("\n"))
    bench.equal("status, active, lines", (0, "[false, true]\n", start, 1), got)


@case(CASES)
def toggle_signal_forked(bench):
    done, answer = run_part(bench, "forked")
    bench.equal("child", [False, True, False, True], answer["child"])
    bench.equal("parent", [False, True], answer["parent"])
    bench.pids.add(answer["pid"])
    bench.equal("names of the child", ["in_child"], names_inside(bench, answer["pid"]))
    bench.equal("names of the parent", ["in_parent"], names_inside(bench, done.pid))


def handlers(bench, environment):
    command = [bench.python, bench.program("toggle_signal.py"), "handlers", "12"]
    done = bench.run(command, environment)
    return json.loads(done.out), done.err


@case(CASES)
def toggle_signal_seen(bench):
    """A program sees only the one handler, and only if it was requested."""
    plain = handlers(bench, bench.environment(preload=False, support=None))
    bench.equal("not asked for", plain, handlers(bench, bench.environment(support=None)))
    bench.equal("empty", plain, handlers(bench, toggled(bench, "")))
    refused = (plain[0], NO_NAME)
    for name in REFUSED + NO_NAMES:
        bench.equal("%r: says why" % name, refused, handlers(bench, toggled(bench, name)))
    answer, said = handlers(bench, toggled(bench))
    pairs = zip(plain[0]["names"], answer["names"])
    bench.equal("says", "", said)
    bench.equal("others", [BUILTIN], [after for before, after in pairs if before != after])


LIFE = """
import os, signal, sys
def called(): return sys.is_stack_trampoline_active()
states = [called()]
for _ in range(3):
    os.kill(os.getpid(), signal.SIGUSR2)
    states.append(called())
print(states, flush=True)
"""
STATES = "[False, True, False, True]\n"


@case(CASES)
def toggle_signal_lives(bench):
    """Each of a program's interpreters has its own handler."""
    program, script = embedding_program(bench, "lives.c"), bench.write("life.py", LIFE)
    steps = ["init", "run:main:" + script, "final"] * 3
    environment = toggled(bench, PYTHONHOME=configuration(bench, "prefix")[0])
    done = bench.run([program] + steps, environment)
    bench.equal("status, output", (0, STATES * 3, ""), done.seen)


@case(CASES)
def toggle_signal_late(bench):
    """A libpython that is loaded by dlopen."""
    library, program = shared_library(bench), compile_program(bench, "late.c", "late", ["-ldl"])
    script = bench.write("life.py", LIFE)
    environment = toggled(bench, PYTHONHOME=configuration(bench, "prefix")[0])
    done = bench.run([program, "local", library, script], environment)
    got = (done.status, STATES in done.out, done.err)
    bench.equal("status, switched, stderr", (0, True, ""), got)


@case(CASES)
def toggle_signal_embedded(bench):
    """Where it cannot be installed safely: one line, and the program is unchanged."""
    program, script = embedding_program(bench, "embed.c"), bench.write("life.py", LIFE)
    environment = toggled(bench, PYTHONHOME=configuration(bench, "prefix")[0])
    done = bench.run([program, "handler", script], environment)
    expected = "the program's handler\n" * 3 + "[False, False, False, False]\n"
    line = LINE % "the program has a handler for signal 12"
    bench.equal("a handler in C: status, output", (0, expected, line), done.seen)
    done = bench.run([program, "no-signals", script], environment)
    line = LINE % "this interpreter was started without signals, and signal 12 ends it"
    bench.equal("without signals: status, output", (-signal.SIGUSR2, "", line), done.seen)


@case(CASES)
def toggle_signal_refused(bench):
    """Without libpyperf-plan.so it cannot be switched; one line says what the signal will do."""
    shutil.copy(bench.library, os.path.join(bench.folder, "libpyperf.so"))
    environment = toggled(bench, LD_PRELOAD=os.path.join(bench.folder, "libpyperf.so"))
    done = bench.run_python("-c", "print(1)", environment=environment)
    start = (
        "libpyperf: not profiling, and the signal of PYPERF_TOGGLE_SIGNAL ends the program: cannot"
    )
    got = (done.status, done.out, done.err[: len(start)], done.err.count("\n"))
    bench.equal("status, output, lines", (0, "1\n", start, 1), got)


def look_at_refusal(bench, why, **more):
    """One line, and the program runs unchanged."""
    code = "import signal; print(signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL)"
    done = bench.run_python("-c", code, environment=toggled(bench, **more))
    got = (done.status, done.out, why in done.err, done.err.count("\n"))
    bench.equal("status, output, says why, lines", (0, "True\n", True, 1), got)


@case(CASES, OTHERS)
def toggle_signal_elsewhere(bench):
    unknown = "this version of Python is not known"
    look_at_refusal(bench, "free-threaded" if bench.interpreter.free_threaded else unknown)


@case(CASES, NATIVE)
def toggle_signal_left_alone(bench):
    look_at_refusal(bench, "own perf support is left alone", PYPERF_NATIVE="1")
