"""The sampler in the process: whole stacks, right lines, no effect on the program."""

import collections
import json
import os
import signal
import time

import harness
import interpreters
import perf
import sampler
from harness import case

CASES = []
PROGRAM = "sampled.py"


def share_at_least(bench, what, least, good, whole):
    """Of few samples all but two: a sample may be of the moment in which something begins."""
    enough = whole > 0 and good >= min(least * whole, max(whole - 2, 1))
    bench.that(what, "%.1f %% or more, or all but 2" % (100 * least), enough, perf.share(good, whole))


def check_whole(bench, recording, what=""):
    """Every sample has all Python functions, or, without one, all of the machine code, of which musl has none."""
    found = [one for one in recording.records() if not bench.interpreter.musl or sampler.names(one)]
    share_at_least(bench, what + "whole", 0.99, sampler.total(one for one in found if one.whole), sampler.total(found))


def bare(symbol):
    """A function without the names around it, and its file."""
    name, _, file = symbol.partition(":")
    return name.split(".")[-1] + ":" + file


@case(CASES)
def sampler_stacks(bench):
    """Each way to call a function: every frame, in order, down to <module>. To 3.10 names are qualified by the
    sources, which are not there for code that the program has compiled."""
    done, recording = sampler.run(bench, [bench.python, bench.program("stacks.py"), "0.08"])
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    answer = json.loads(done.out)
    paths = {tuple(map(bare, chain)): name for name, chain in answer["paths"].items()}
    exact = {tuple(chain) for chain in answer["paths"].values()}
    hot = [one for one in recording.records() if answer["hot"] in one.python]
    good, bad = collections.Counter(), collections.Counter()
    for one in hot:
        chain = tuple(map(bare, one.python))
        (good if chain in paths else bad)[chain] += one.count
    bench.that("samples in hot()", "150 or more", sampler.total(hot) >= 150, str(sampler.total(hot)))
    what = "" if not bad else "; %d times %s" % bad.most_common(1)[0][::-1]
    complete = sum(good.values())
    bench.that(
        "every frame down to <module>", "99.9 % or more", complete >= 0.999 * sampler.total(hot),
        perf.share(complete, sampler.total(hot)) + what,
    )
    qualified = sampler.total(one for one in hot if tuple(one.python) in exact)
    share_at_least(bench, "qualified names", 0.999 if bench.version >= (3, 11) else 0.8, qualified, sampler.total(hot))
    missing = sorted(set(paths.values()) - {paths[chain] for chain in good} - set(answer["left_out"]))
    bench.equal("paths without a sample", [], missing)
    check_whole(bench, recording)


SMALL_CALLS = """
import os

def leaf(number):
    return number + 1

def mid(number):
    return leaf(number) + leaf(number)

def each(count):
    for number in range(count):
        yield leaf(number)

def main():
    end = sum(os.times()[:2]) + 1
    while sum(os.times()[:2]) < end:
        for number in range(200):
            mid(number)
        for number in each(20):
            mid(number)
        sorted(range(20), key=leaf)

main()
"""


@case(CASES)
def sampler_small_calls(bench):
    """Calls and returns take most of the time: whatever an evaluator is at, its functions are seen, down to <module>."""
    path = bench.write("small_calls.py", SMALL_CALLS)
    done, recording = sampler.run(bench, [bench.python, "-S", path], "999")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    entered = {name + ":" + path for name in ("leaf", "mid", "each", "main")}
    found = list(recording.records())
    inside = [one for one in found if any("EvalFrame" in frame.symbol for frame in one.frames)]
    # Debian's 3.14 and 3.15 have no symbol of it: there the start, in C, is among these.
    inside, part = (inside, 0.005) if sampler.total(inside) >= 100 else (found, 0.05)
    nameless = [one for one in inside if not one.python]
    cut = [one for one in inside if entered & set(one.python) and one.python[-1:] != ["<module>:" + path]]
    bench.equal("whole ones without <module>", [], [one.python for one in cut if one.whole])
    count = sampler.total(inside)
    bench.that("samples in an evaluator", "100 or more", count >= 100, str(count))
    # 3.12 unlinks a generator that yields before its caller is the current frame (Python/bytecodes.c, YIELD_VALUE).
    part = 2 * part if bench.interpreter.series == (3, 12) else part
    for what, ones in (("without a function", nameless), ("without <module>", cut)):
        missing = sampler.total(ones)
        bench.that(what, "%.1f %% at most, or 2" % (100 * part), missing <= max(2, part * count), perf.share(missing, count))


@case(CASES)
def sampler_lines(bench):
    answer, _ = sampler.part(bench, "lines")
    recording = sampler.profile(bench, by_line=True)
    right, all_of, where = collections.Counter(), collections.Counter(), collections.Counter()
    for one in recording.records():
        for frame in one.frames:
            name = frame.function[0] if frame.function else None
            if name in answer and frame.function[1].endswith(PROGRAM) and "simple" in "".join(sampler.names(one)):
                all_of[name] += one.count
                right[name] += one.count * (frame.function[2] in answer[name])
                where[name, frame.function[2]] += one.count
    bench.equal("functions seen", ["lines", "simple"], sorted(all_of))
    for name in all_of:
        what = "%s: lines %s, got %s" % (name, answer[name], sorted(where))
        share_at_least(bench, what, 0.99, right[name], all_of[name])


@case(CASES)
def sampler_threads(bench):
    """Short threads have their share: 2,560 of 7,360 units of work."""
    for how in ("250", "250:threads"):
        sampler.remove(bench)
        _, recording = sampler.part(bench, "threads", how)
        working = [one for one in recording.records() if "threads.<locals>.work" in sampler.names(one)]
        brief = sampler.total(one for one in working if "threads.<locals>.brief" in sampler.names(one))
        whole = sampler.total(working)
        bench.that(how + ": of short threads", "from 22 to 48 %", 0.22 < brief / max(whole, 1) < 0.48, perf.share(brief, whole))
        check_whole(bench, recording, how + ": ")


@case(CASES)
def sampler_thread_names(bench):
    """Threads have the process's name without a record of each."""
    _, recording = sampler.part(bench, "named_threads")
    process, = recording.processes
    own = process.name
    found = collections.Counter(one.comm for one in recording.records() if "burn" in sampler.names(one))
    bench.equal("names", {own, "with a name"}, set(found))
    bench.equal("records of a name", ["with a name"], list(process.threads.values()))
    check_whole(bench, recording)


@case(CASES)
def sampler_children(bench):
    """Each child that uses the CPU has a file of its own, in which its functions are."""
    answer, recording = sampler.part(bench, "children")
    bench.equal("statuses", [0, 3 << 8, 0, 0], answer["statuses"])
    seen = collections.Counter(one.pid for one in recording.records() for _ in range(one.count))
    for kind, pid in answer["pids"]:
        if kind == "idle":  # but for what a fork takes
            continue
        bench.that("samples of the child that %s" % kind, "30 or more", seen[pid] >= 30, str(seen[pid]))
        burning = [sampler.names(one) for one in sampler.of_process(recording, pid) if "burn" in sampler.names(one)]
        bench.equal("%s: outermost functions" % kind, {("child", "children", "<module>")}, {tuple(one[-3:]) for one in burning})
    others = [pid for pid in seen if pid not in [pid for _, pid in answer["pids"]] and seen[pid] >= 30]
    bench.equal("the parent, and a child of a child", 2, len(others))
    check_whole(bench, recording)


@case(CASES)
def sampler_raw_fork(bench):
    """A child that was made without fork handlers leaves its parent's file as it is."""
    for how in sampler.possible(bench, ("250", "250:threads", "250:wall")):
        sampler.remove(bench)
        answer, recording = sampler.part(bench, "forked_by_itself", how)
        bench.equal(how + ": the child's status", 0, answer)
        after = sampler.total(one for one in recording.records() if "after_the_fork" in sampler.names(one))
        bench.that(how + ": samples of the parent after it", "20 or more", after >= 20, str(after))
        bench.equal(how + ": what is missing", [], recording.notes)


@case(CASES)
def sampler_exec(bench):
    """What comes after an exec has neither a timer nor a handler."""
    command = [bench.python, bench.program(PROGRAM), "replaced"]
    done, recording = sampler.run(bench, command)
    bench.that("handler, timers", "the default, none", done.out.split("\n")[0] in ("0", "Handlers.SIG_DFL") and "ID:" not in done.out, repr(done.seen))
    bench.that("samples before", "10 or more", sampler.total(recording.records()) >= 10, str(sampler.total(recording.records())))


@case(CASES)
def sampler_switches(bench):
    """By the sys functions: off, there is no timer, no handler, and nothing mapped."""
    off = [0, 0, 0]
    for how in sampler.possible(bench, (None, "100:threads:later", "100:wall:later")):
        sampler.remove(bench)
        (threads, answer), recording = sampler.part(bench, "switched", how)
        on = [threads if ":threads" in (how or "") else 1, 1, 1]
        bench.equal("%s: states" % how, [off, [True, on], [False, off], [True, on], [False, off]], answer)
        seen = {name for one in recording.records() for name in sampler.names(one)}
        expected = ["on_while_this"]
        bench.equal("%s: functions" % how, expected, sorted(seen & {"on_while_this", "off_while_this"}))


@case(CASES)
def sampler_toggle(bench):
    """By the toggle signal: from the start, or later."""
    if bench.version == interpreters.PYTHON_2:
        raise harness.Skip("Python 2 has no toggle signal")
    for how, active in (("250", [False, True, False]), ("250:later", [True, False, True])):
        sampler.remove(bench)
        answer, recording = sampler.part(bench, "toggled", how, PYPERF_TOGGLE_SIGNAL="USR2")
        bench.equal("%s: active" % how, active, answer)
        seen = {name for one in recording.records() for name in sampler.names(one)}
        bench.equal("%s: functions" % how, ["on_while_this"], sorted(seen & {"on_while_this", "off_while_this"}))


@case(CASES)
def sampler_and_trampolines(bench):
    """With both on, the trampolines of a stack and its Python frames are the same functions in the same order."""
    done, recording = sampler.run(bench, [bench.python, bench.program("stacks.py"), "0.05"], support="1")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    same, whole, hot = 0, 0, json.loads(done.out)["hot"]
    for one in recording.records():
        by_code = [bare(frame.symbol[4:]) for frame in one.frames if not frame.function and frame.symbol.startswith("py::")]
        by_frames = [bare(frame.symbol[4:]) for frame in one.frames if frame.function]
        if hot not in one.python or not by_code:
            continue  # from 3.11 on, functions that run when profiling begins go on without trampolines
        whole += one.count
        # What ran before the first trampoline was made has none.
        same += one.count * (by_code == by_frames[: len(by_code)])
    share_at_least(bench, "the same", 0.99, same, whole)


@case(CASES)
def sampler_killed(bench):
    """At any moment: what was sampled can be read."""
    for number in range(2):
        sampler.remove(bench)
        process = bench.start([bench.python, bench.program(PROGRAM), "endless"], sampler.environment(bench))
        process.stdout.readline()
        time.sleep(0.4 + 0.3 * number)
        process.send_signal(signal.SIGKILL)
        harness.finish(process)
        recording = sampler.profile(bench)
        found = list(recording.records())
        bench.that("samples", "10 or more", sampler.total(found) >= 10, str(sampler.total(found)))
        bench.equal("what is missing", [], recording.notes)


@case(CASES)
def sampler_interrupts_nothing(bench):
    """System calls that wait in C, where nobody repeats them, while another thread is sampled."""
    for how in sampler.possible(bench, ("250", "250:threads", "250:wall")):
        answer, _ = sampler.part(bench, "calls", how)
        bench.equal("%s: interrupted" % how, {name: 0 for name in answer}, answer)


@case(CASES)
def sampler_and_own_handler(bench):
    """A program that takes the signal for itself has it; what it puts back is its own."""
    answer, _ = sampler.part(bench, "own_handler")
    bench.equal("called", True, answer)
    done, _ = sampler.run(bench, ["sh", "-c", "trap '' URG; exec \"$@\"", "sh", bench.python, "-c", "print(1)"])
    line = "libpyperf: not sampling: the program has a handler for SIGURG, or ignores it\n"
    bench.equal("ignored from the start", (0, "1\n", line), done.seen)


@case(CASES)
def sampler_of_isolated(bench):
    """python -I and -E ignore variables of Python, not ours."""
    option = "-E" if bench.version < (3, 4) else "-I"
    code = "import time\nend = time.time() + 0.4\nwhile time.time() < end: pass"
    done, recording = sampler.run(bench, [bench.python, option, "-c", code])
    bench.equal("status, output", (0, "", ""), done.seen)
    bench.that("samples", "20 or more", recording and sampler.total(recording.records()) >= 20, "none" if not recording else str(sampler.total(recording.records())))


@case(CASES)
def sampler_deep(bench):
    """900 calls, and few bytes for each sample."""
    _, recording = sampler.part(bench, "deep")
    deep = [one for one in recording.records() if len(sampler.names(one)) > 900]
    share_at_least(bench, "of the thread", 0.99, sampler.total(one for one in deep if one.whole and sampler.names(one)[-1].endswith("_bootstrap")), sampler.total(deep))
    bench.that("samples", "50 or more", sampler.total(deep) >= 50, str(sampler.total(deep)))


@case(CASES)
def sampler_wrong_values(bench):
    """One line, and the program runs."""
    wrong = "libpyperf: PYPERF_SAMPLER is not used: it must be a number of samples a second, 1 to 10000, " \
        "and behind it, if wanted, :later, :threads, :wall, :every=SECONDS, :keep=FILES\n"
    for value in ("fast", "-1", "10001", "99:now", "19:every=0", "19:keep=10"):
        done, recording = sampler.run(bench, [bench.python, "-c", "print(1)"], value)
        bench.equal(value, (0, "1\n", wrong, None), done.seen + (recording,))
    for value in ("0",):
        done, recording = sampler.run(bench, [bench.python, "-c", "print(1)"], value)
        bench.equal(repr(value), (0, "1\n", "", None), done.seen + (recording,))
    done, _ = sampler.run(bench, [bench.python, "-c", "print(1)"], PYPERF_DIR="/nowhere")
    line = "libpyperf: not sampling: no file of samples can be made: /nowhere: No such file or directory\n"
    bench.equal("no such folder", (0, "1\n", line), done.seen)


@case(CASES)
def sampler_without_room(bench):
    """Samples that do not fit are counted; the program runs."""
    code = "import time\nend = time.time() + 0.4\nwhile time.time() < end: pass\nprint(1)"
    for what, limit in (("file size", "ulimit -f 100"), ("memory", "ulimit -v 60000")):
        sampler.remove(bench)
        command = ["sh", "-c", limit + "; exec \"$@\"", "sh", bench.python, "-c", code]
        plain = bench.run(command, bench.environment(preload=False, support=None))
        done, _ = sampler.run(bench, command)
        bench.equal(what + ": status, stdout", (plain.status, plain.out), (done.status, done.out))
