#!/usr/bin/env python3
"""scripts/run/running.py: which calls are named, by made-up stacks and lists. One line for each check; the exit status
is 1 if any failed."""

import os
import sys

sys.dont_write_bytecode = True

import looks
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import model
import running

CASES = []
BEGIN, OFFSET, PYTHON = 0x55C000001000, 0x1000, "/usr/bin/python3.9"
CALLS = "/tmp/pyperf-7-AbCdEf.calls"
# One thread has an evaluator for each call; the other one has inlined two.
LISTS = {7: "= py::a:/x.py\n= py::b:/x.py\n", 8: "= py::a:/x.py\n= py::b:/x.py\n+ py::c:/x.py\n"}


def content(*snapshots):
    """Of a process that calls itself 7; snapshots: {thread: its calls}."""
    text = "libpyperf\0\0\0process 7\nevaluator %x %x %x %s\n" % (BEGIN, BEGIN + 0x100, OFFSET, PYTHON)
    for number, threads in enumerate(snapshots):
        text += "snapshot %d\n" % number
        text += "".join("thread %d\n%s" % pair for pair in sorted(threads.items())) + "done\n"
    return text.encode()


def frame(symbol, holder, address=0):
    function = tuple(symbol[4:].split(":")) if symbol.startswith(model.PYTHON) else None
    made = model.Frame(function, symbol, holder)
    made.address = address
    return made


def stack(text, address=OFFSET):
    """From the outermost inwards: "_" is an evaluator, another word a trampoline and what it calls."""
    frames = [frame("_start", PYTHON)]
    for word in text.split():
        if word != "_":
            frames.append(frame("py::%s:/x.py" % word, "/tmp/pyperf-7-CE1wJv.so"))
        frames += [frame("_PyEval_EvalFrameDefault", PYTHON, address + 9), frame("call", PYTHON, 0x9000)]
    return frames[::-1]


def sample(text, pid=7, tid=7, address=OFFSET, whole=True):
    made = model.Sample("python", pid, tid, 10.0, 1, "cpu-clock")
    made.frames = stack(text, address)
    if not whole:
        made.frames = made.frames[:-1] + [frame("malloc", "/usr/lib/libc.so.6")] * 3
    return made


def mapped(number, pid=7, path=CALLS):
    return model.Mapping(pid, "0x%x" % (number * running.PAGE), path)


def fork(pid, tid, parent=7, parent_tid=7, time="10.0"):
    return model.Task(time, "FORK", pid, tid, parent, parent_tid)


def named(records, text=content(LISTS)):
    """For each sample its functions, from the outermost inwards."""
    files = {CALLS: text}
    numbers = {(70, 80): 8}
    found = running.Running(lambda _, path: files.get(path), lambda *thread: numbers.get(thread)).named(iter(records))
    samples = [one for one in found if isinstance(one, model.Sample)]
    return [" ".join(each.function[0] for each in reversed(one.frames) if each.function) for one in samples]


@case(CASES)
def outermost(look):
    for text, expected in (
        ("_", "a"),
        ("_ _", "a b"),
        ("_ _ d", "a b d"),
        ("_ d", "a d"),
        ("d _", "d"),
        ("_ _ d _ e", "a b d e"),
        ("_ _ _", "a b"),
    ):
        look.equal(text, [expected], named([mapped(0), sample(text)]))
        look.equal("%s, by addresses" % text, [expected], named([mapped(0), sample(text, address=BEGIN)]))
    look.equal("of no evaluator", [""], named([mapped(0), sample("_", address=BEGIN + 0x100)]))
    look.equal("another file at that offset", [""], named([mapped(0), with_other_file()]))


def with_other_file():
    made = sample("_")
    for one in made.frames:
        one.object = "/usr/bin/python3.8"
    return made


@case(CASES)
def times(look):
    """Nothing before they were switched on; afterwards only what ends in a trampoline, which a call has kept."""
    records = [sample("_ _"), mapped(0), sample("_ _"), mapped(running.END), sample("_ _"), sample("_ _ d")]
    look.equal("on, off", ["", "a b", "", "a b d"], named(records, content(LISTS, LISTS)))
    records = [mapped(0), model.Task("10.0", "exec", 7, 7), sample("_ _")]
    look.equal("exec", [""], named(records))
    look.equal("no file", [""], named([mapped(0), sample("_")], None))
    look.equal("a file that is cut off", [""], named([mapped(0), sample("_")], content(LISTS)[:-3]))
    look.equal("an empty one", [""], named([mapped(0), sample("_")], b""))
    whole = content(LISTS)
    wrong = (b"process x\n", b"evaluator 1\n", b"evaluator 1 2 z /x\n", b"thread\n", b"+ a\n= b\n", b"done\n", b"\xff")
    for damaged in wrong:
        named([mapped(0), sample("_")], damaged)
        named([mapped(0), sample("_")], whole + damaged)
    for size in range(len(whole)):
        named([mapped(0), sample("_")], whole[:size])
    look.that("damaged ones", "no error", True, "none")


@case(CASES)
def inlined(look):
    """Of calls that share the innermost C frame those are certain that the next snapshot has, too."""
    unknown = "[not known]"
    for what, later, text, expected in (
        ("no later snapshot", [], "_ _", "a b " + unknown),
        ("no later snapshot", [], "_ _ d", "a b d"),
        ("not the innermost", [], "_", "a"),
        ("all there still", [LISTS], "_ _", "a b c"),
        ("one has ended", [{8: "= py::a:/x.py\n= py::b:/x.py\n"}], "_ _", "a b " + unknown),
        ("one has ended", [{8: "= py::a:/x.py\n= py::b:/x.py\n"}], "_ _ d", "a b d"),
        ("all have ended", [{8: "= py::a:/x.py\n"}], "_ _", "a b " + unknown),
        ("others are there", [{8: "= py::a:/x.py\n= py::e:/x.py\n"}], "_ _", "a b " + unknown),
        ("the thread has ended", [{}], "_ _", "a b " + unknown),
    ):
        got = named([mapped(0), sample(text, tid=8)], content(LISTS, *later))
        look.equal("%s: %s" % (what, text), [expected], got)
    text = content(LISTS, LISTS, {8: "= py::a:/x.py\n= py::b:/x.py\n"})
    records = [mapped(0), sample("_ _", tid=8), mapped(1), sample("_ _", tid=8)]
    look.equal("snapshots", ["a b c", "a b " + unknown], named(records, text))
    records = [mapped(0), mapped(running.END), sample("_ _ d", tid=8)]
    look.equal("off, all there still", ["a b c d"], named(records, content(LISTS, LISTS)))
    records = [mapped(0), mapped(running.END), sample("_ _ d", tid=8)]
    look.equal("off, and no snapshot of that", ["a b d"], named(records))
    records = [mapped(running.END), sample("_ _ d", tid=8)]
    look.equal("off", ["a b d"], named([mapped(0)] + records, text))


@case(CASES)
def not_certain(look):
    """Unnamed rather than wrong."""
    look.equal("a stack that is cut", [""], named([mapped(0), sample("_ _", whole=False)]))
    look.equal("a thread without a list", [""], named([mapped(0), sample("_ _", tid=9)]))
    for name in ("/usr/lib/python3/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so", "/opt/greenlet.so"):
        records = [mapped(0), mapped(0, path=name), sample("_ _")]
        look.equal(name, [""], named(records))
        look.equal("%s first" % name, [""], named([records[1], records[0], records[2]]))


@case(CASES)
def processes(look):
    """A child has the list of the thread that has forked it, and that alone; another process none."""
    records = [mapped(0), fork(9, 9), sample("_ _ d", 9, 9), sample("_ _", 9, 10)]
    records += [fork(11, 11, 9, 9), sample("_", 11, 11)]
    look.equal("children", ["a b d", "", "a"], named(records))
    records = [mapped(0), fork(9, 9, 7, 8), sample("_ _ d", 9, 9)]
    look.equal("of a thread", ["a b d"], named(records, content(LISTS, LISTS)))
    look.equal("before it", [""], named([fork(9, 9), mapped(0), sample("_", 9, 9)]))
    look.equal("a thread is no child", ["a"], named([mapped(0), fork(7, 12), sample("_")]))
    records = [mapped(0), fork(9, 9), mapped(running.END, 9), sample("_", 9, 9), sample("_")]
    look.equal("switched off", ["", "a"], named(records))
    # In a namespace of its own it has another number; its first thread is known by that.
    records = [mapped(0, 70), sample("_ _", 70, 70), sample("_ _ d", 70, 80), sample("_", 70, 71)]
    look.equal("another number", ["a b", "a b d", ""], named(records))


if __name__ == "__main__":
    sys.exit(main("running", CASES))
