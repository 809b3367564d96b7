"""Threads that wait, sampled by the watcher: what they do is told apart, and nobody notices."""

import collections
import json
import os
import signal
import subprocess
import time

import harness
import model
import sampler
from harness import case

CASES = []
HOW = "250:wall"
PROGRAM = "waiting.py"
WATCHER = "pyperf-watcher"
TICK = 0.1  # how long a watcher takes to see that its program has ended, on a busy machine


def seconds(recording):
    """{(function that waits or runs, state): seconds}, of functions of the program."""
    found = collections.Counter()
    for one in recording.records():
        file = "/" + PROGRAM
        name = next((frame.function[0] for frame in one.frames if frame.function and frame.function[1].endswith(file)), None)
        found[name, one.state] += one.period / 1e9
    return found


def check_near(bench, what, expected, got, tolerance):
    bench.that(what, "%.2f s, within %.2f" % (expected, tolerance), abs(got - expected) <= tolerance, "%.2f" % got)


def part(bench, name, how=HOW, **more):
    done, recording = sampler.run(bench, [bench.python, bench.program(PROGRAM), name], how, **more)
    bench.equal("%s: status, stderr" % name, (0, ""), (done.status, done.err))
    return json.loads(done.out or "null"), recording


@case(CASES, needs=["waits"])
def waits_states(bench):
    """Each thread's time is that of the function in which it waits, from its begin to its end."""
    took, recording = part(bench, "states")
    found = seconds(recording)
    for name in sorted(took):
        check_near(bench, name + ": waiting", took[name], found[name, model.WAITS], 0.15)
        check_near(bench, name + ": for the interpreter's lock", 0, found[name, model.WAITS_FOR_LOCK], 0.15)
    whole = [one for one in recording.records() if one.state == model.WAITS]
    good = sampler.total(one for one in whole if one.whole)
    bench.that("whole stacks", "99 % or more", good >= 0.99 * sampler.total(whole), "%d of %d" % (good, sampler.total(whole)))
    outermost = {sampler.names(one)[-1].split(".")[-1] for one in whole if "in_sleep" in sampler.names(one)}
    bench.that("outermost function", "that of a thread", outermost <= {"_bootstrap", "__bootstrap"}, repr(outermost))


@case(CASES, needs=["waits"])
def waits_lock(bench):
    """Of two threads that want the interpreter's lock, one waits for it, or for a CPU."""
    took, recording = part(bench, "contended")
    found, wanted = seconds(recording), 0
    for name in sorted(took):
        states = [found[name, state] for state in range(model.STATES)]
        check_near(bench, name, took[name], sum(states), 0.2)
        wanted += states[model.WAITS_FOR_CPU] + states[model.WAITS_FOR_LOCK]
        bench.that(name + ": waiting for anything else", "less than 0.15 s", states[model.WAITS] < 0.15, "%.2f" % states[model.WAITS])
    bench.that("waiting for the lock or a CPU", "0.5 s or more", wanted >= 0.5, "%.2f" % wanted)
    runs = [one for one in recording.records() if one.state == model.RUNS and {"spin", "spin_too"} & set(sampler.names(one))]
    recording.locked = True
    has = [one for one in recording.records() if one.state == model.RUNS and {"spin", "spin_too"} & set(sampler.names(one))]
    # In 2.7 a thread that wants the lock is woken up each time that another one has left it.
    least = 0.2 if bench.version < (3, 0) else 0.8
    bench.that("have the lock", "%.0f %% or more of those that run" % (100 * least), sampler.total(has) >= least * sampler.total(runs), "%d of %d" % (sampler.total(has), sampler.total(runs)))
    waiting = sampler.total(one for one in recording.records() if one.state == model.WAITS_FOR_LOCK)
    bench.equal("have the lock and wait for it", 0, waiting)


@case(CASES, needs=["waits"])
def waits_unseen(bench):
    """The program sees no thread, no descriptor, no child, and no warning more than without."""
    plain = bench.run([bench.python, bench.program(PROGRAM), "unseen"], bench.environment(support=None))
    answer, _ = part(bench, "unseen")
    bench.equal("what it sees", json.loads(plain.out), answer)


@case(CASES, needs=["waits"])
def waits_children(bench):
    (pid, status), recording = part(bench, "children")
    bench.equal("status", 0, status)
    slept = sum(one.period for one in sampler.of_process(recording, pid) if "child_that_waits" in sampler.names(one)) / 1e9
    check_near(bench, "the child's sleep", 1.0, slept, 0.15)


def children_of(pid):
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as file:
                words = file.read().rpartition(")")[2].split()
            with open("/proc/%s/comm" % name) as file:
                if int(words[1]) == pid and file.read().strip() == WATCHER:
                    found.append(int(name))
        except (IOError, OSError):
            continue
    return found


def is_gone(pid):
    """Within a time; a zombie has nothing any more."""
    for _ in range(100):
        try:
            with open("/proc/%d/stat" % pid) as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (IOError, OSError):
            return True
        time.sleep(TICK)
    return False


@case(CASES, needs=["waits"])
def waits_ends(bench):
    """The watcher ends with its program, however that ends; and a program ends though its watcher cannot."""
    for how in ("return", "_exit", "exec", "SIGKILL", "watcher SIGSTOP", "watcher SIGKILL"):
        sampler.remove(bench)
        process = bench.start([bench.python, bench.program(PROGRAM), "endless"], sampler.environment(bench, HOW), stdin=subprocess.PIPE)
        process.stdout.readline()
        watchers = children_of(process.pid)
        bench.equal(how + ": watchers", 1, len(watchers))
        if how.startswith("watcher "):
            os.kill(watchers[0], getattr(signal, how.split()[1]))
        if how == "SIGKILL":
            process.send_signal(signal.SIGKILL)
        else:
            process.stdin.write(how + "\n")
            process.stdin.flush()
        gone = is_gone(watchers[0])
        bench.equal(how + ": the watcher has ended", True, gone)
        if how == "exec":
            process.send_signal(signal.SIGKILL)
        harness.finish(process)
        expected = -signal.SIGKILL if how in ("SIGKILL", "exec") else 0
        bench.equal(how + ": status", expected, process.returncode)
        recording = sampler.profile(bench)
        bench.equal(how + ": what is missing", [], recording.notes)
        bench.that(how + ": samples", "100 or more", sampler.total(recording.records()) >= 100, str(sampler.total(recording.records())))


@case(CASES, needs=["waits"])
def waits_churn(bench):
    """At a high rate, while threads and processes begin and end."""
    _, recording = part(bench, "churn", "2000:wall")
    found = seconds(recording)
    bench.that("seen", "deeper() that waits", found["deeper", model.WAITS] + found["churn.<locals>.deeper", model.WAITS] > 0.02, repr(sorted(map(str, found))))


@case(CASES, needs=["waits"])
def waits_orphans(bench):
    """Who inherits orphans gets none of ours, however a child ends."""
    answer, _ = part(bench, "orphans")
    bench.equal("statuses, and what is left", [3, 4, "ECHILD"], answer)


@case(CASES, needs=["waits"])
def waits_failed_exec(bench):
    _, recording = part(bench, "failed_exec")
    check_near(bench, "sleep after it", 1.0, seconds(recording)["child_that_waits", model.WAITS], 0.15)
    bench.equal("processes that have completed their files", [1], [one.part.header.flags & 1 for one in recording.processes])


@case(CASES, needs=["waits"])
def waits_short(bench):
    """Threads that live for few periods have their share."""
    took, recording = part(bench, "short", "100:wall")
    found = sum(one.period for one in recording.records() if one.state != model.RUNS and "brief" in str(sampler.names(one))) / 1e9
    bench.that("waiting", "50 to 150 %% of %.2f s" % took, 0.5 * took <= found <= 1.5 * took, "%.2f" % found)


@case(CASES, needs=["waits"])
def waits_fewer_rights(bench):
    """A watcher does not keep what its program has given up."""
    answer, recording = part(bench, "fewer_rights")
    bench.equal("watchers", [], answer)
    found = seconds(recording)
    bench.that("spin", "0.2 s or more on a CPU", found["spin", model.RUNS] >= 0.2, "%.2f" % found["spin", model.RUNS])


@case(CASES, needs=["waits"])
def waits_interpreters(bench):
    """The functions that run are those of the interpreter that runs, not of the thread's first one."""
    if bench.version < (3, 8):
        raise harness.Skip("there is no module for sub-interpreters before 3.8")
    _, recording = part(bench, "interpreters")
    found = sum(one.period for one in recording.records() if "within" in sampler.names(one) and one.state == model.RUNS)
    bench.that("of the other interpreter", "0.1 s or more on a CPU", found >= 1e8, "%.2f" % (found / 1e9))


@case(CASES, needs=["waits"])
def waits_other_user(bench):
    """A program that leaves root: the watcher does not stay behind as root. It may not look any more, and what
    runs is still sampled."""
    os.chmod(bench.images, 0o1733)
    answer, recording = part(bench, "other_user")
    bench.equal("user", 65534 if os.getuid() == 0 else os.getuid(), answer)
    found = seconds(recording)
    bench.that("spin", "0.2 s or more on a CPU", found["spin", model.RUNS] >= 0.2, "%.2f" % found["spin", model.RUNS])


@case(CASES, needs=["waits"])
def waits_first_process(bench):
    """A container's first process, whose number, 1, is found in each thread's record in another place, too."""
    if os.getuid() != 0:
        raise harness.Skip("only root makes a namespace of processes")
    command = ["unshare", "--pid", "--fork", "--mount-proc", bench.python, bench.program(PROGRAM), "late"]
    done, recording = sampler.run(bench, command, HOW + ":later")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    took, found = json.loads(done.out), seconds(recording)
    for name in sorted(took):
        check_near(bench, name, took[name] - 0.1, found[name, model.WAITS], 0.15)
