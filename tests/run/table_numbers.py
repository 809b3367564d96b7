"""To which function a sample's time is counted."""

import json

from canned import CUT, EVALUATOR, PAGE_FAULT, START, header, py, sample, table
from looks import case

CASES = []


def functions(seen):
    """(own, total, samples) of each, by (name, file)."""
    return {
        (one["name"], one["file"]): (one["own"], one["total"], one["samples"])
        for one in seen.event["functions"]
    }


def names(symbol_and_object):
    seen = table(sample([symbol_and_object] + START), "--json=-")
    return [(one["name"], one["file"]) for one in seen.event["functions"]]


@case(CASES)
def own_and_total(look):
    below = [EVALUATOR, py("main")] + START
    text = sample([PAGE_FAULT, "memcpy (/usr/lib/libc.so.6)", EVALUATOR, py("inner")] + below)
    text += sample([py("inner"), EVALUATOR, py("inner"), EVALUATOR, py("inner")] + below)
    text += sample([EVALUATOR, py("main")] + START, period=3000000)
    text += sample(["_dl_start (/lib64/ld-linux-x86-64.so.2)"], period=1000000)
    text += sample(["work (/usr/bin/other)"] + START, comm="other", pid=8, period=4000000)
    seen = table(text, "--json=-")
    inner, main = ("inner", "/srv/app.py"), ("main", "/srv/app.py")
    expected = {main: (3000000, 5000000, 1), inner: (2000000, 2000000, 2)}
    look.equal("own, total, samples", expected, functions(seen))
    look.equal("order", ["main", "inner"], [one["name"] for one in seen.event["functions"]])
    shares = [(one["own_share"], one["total_share"]) for one in seen.event["functions"]]
    look.equal("shares of all, others included", [(0.3, 0.5), (0.2, 0.2)], shares)
    without = {"own": 5000000, "own_share": 0.5, "samples": 2}
    look.equal("without Python", without, seen.event["without_python"])
    counts = [seen.event[key] for key in ("event", "samples", "seconds", "processes")]
    look.equal("event", ["cpu-clock:ppp", 5, 0.01, 2], counts)
    look.equal("keys", ["advice", "cpu_seconds", "elapsed_seconds", "events", "profile"], sorted(json.loads(seen.out)))


@case(CASES)
def names_as_perf_prints_them(look):
    image = " (/tmp/a (b)/pyperf-7-CE1wJv.so)"
    for name, file in (
        ("C.f.<locals>.<lambda>", "/srv/a.py"),
        ("<module>", "a.py"),
        ("f", "/srv/a b (c)/d.py"),
        ("f", "<string>"),
        ("f.<locals>.<genexpr>", "<string:1>"),
        ("<module>", "<frozen importlib._bootstrap>"),
        ("__init__", "<attrs generated init shop:Order>"),
        ("od;d na(me) x", "/srv/x\\n:y.py"),
        ("f\\x3a", "C:\\srv\\x.py"),
        ("f", "/a:/b.py"),
        ("f", "a:b.py"),
        ("f", ":/b<c>:.py"),
        ("f", "file:///srv/a.py"),
        ("f\u00fc", "/srv/\u4f60.py"),
        # IPython's name for a cell's code.
        ("<cell line: 1>.<locals>.f", "/tmp/ipykernel_1/2.py"),
        ("<cell line: 1>", "<ipython-input-1:2>"),
        # Not made by CPython: names without brackets have no colon.
        ("a<b", "/srv/<c>:d.py"),
        ("", "/srv/a.py"),
    ):
        symbol = "py::%s:%s" % (name, file)
        look.equal(symbol, [(name, file)], names(symbol + image))
    look.equal("cut off", [("f", "")], names("py::f" + image))
    deleted = names("py::f:/srv/a.py (/tmp/pyperf-7-CE1wJv.so (deleted))")
    look.equal("a deleted image", [("f", "/srv/a.py")], deleted)
    look.equal("not a Python function", [], names("copy::f:/srv/a.py" + image))


@case(CASES)
def names_of_processes(look):
    comms = ("a 1/2 b: (x)", "x 1/2 3.4: 5 e:", "", "fade", "(sd-pam)", "kworker/0:1", "two\nlines")
    for comm in comms:
        seen = table(sample([py("f")] + START, comm=comm, pid=9), "--json=-")
        expected = {("f", "/srv/app.py"): (1000000, 1000000, 1)}
        look.equal(repr(comm), expected, functions(seen))
    seen = table(sample([py("f")] + START, pid=-1), "--json=-")
    look.equal("a pid that is not known", 1, seen.event["samples"])


@case(CASES)
def bytes_that_are_no_text(look):
    text = sample([py("f\udce9")] + START).encode("utf-8", "surrogateescape")
    seen = table(text, "--json=-")
    look.equal("name", "f\\xe9", seen.event["functions"][0]["name"])
    look.equal("errors", "", seen.err)


@case(CASES)
def several_events(look):
    text = sample([py("f")] + START, event="page-faults", period=5)
    text += sample([py("g")] + START, event="cpu-clock")
    text += sample([py("g")] + START, event="cycles:uppp", period=300)
    head = header(events=("cpu-clock", "cycles:uppp", "instructions", "page-faults"))
    events = json.loads(table(text, "--json=-", head=head).out)["events"]
    got = [(one["event"], one["seconds"], one["functions"][0]["name"]) for one in events]
    expected = [("cpu-clock", 0.001, "g"), ("cycles:uppp", None, "g"), ("page-faults", None, "f")]
    look.equal("in the order of the recording", expected, got)
    shown = [line for line in table(text, head=head).lines if " of " in line]
    look.equal("a table each", 3, len(shown))


@case(CASES)
def without_stacks(look):
    line = "         python3  7/7  10.5:    5025125 cpu-clock:ppp:      7f8531666e45 %s\n"
    text = line % EVALUATOR + line % py("f") + line.replace("python3", "   fade") % EVALUATOR
    seen = table(text, "--json=-", head=header(0, kind="PERIOD"))
    look.equal("samples", 3, seen.event["samples"])
    look.equal("function", {("f", "/srv/app.py"): (5025125, 5025125, 1)}, functions(seen))
    look.equal("complete", None, seen.event["complete"])
    look.that("advice", "recorded without stacks", "without stacks" in seen.advice, seen.advice)


@case(CASES)
def complete_stacks(look):
    python = [EVALUATOR, py("f"), EVALUATOR]
    libc, lost = "(/usr/lib/libc.so.6)", CUT
    for what, frames, expected in (
        ("main thread", python + START, 1.0),
        ("no name for _start", python + START[:1] + ["[unknown] (/opt/bin/python3)"], 1.0),
        ("thread", python + ["start_thread " + libc, "clone3 " + libc], 1.0),
        ("older thread", python + ["start_thread " + libc, "__GI___clone " + libc], 1.0),
        (
            "thread in a stripped libc",
            python + ["pythread_wrapper (/opt/libpython3.9.so)"] + ["[unknown] " + libc] * 2,
            1.0,
        ),
        ("main in a stripped libc", python + ["Py_BytesMain (/usr/bin/python3)", "[unknown] " + libc], 1.0),
        ("nothing below main", python + ["Py_RunMain (/opt/libpython3.9.so)", lost], 1.0),
        ("main of 2.7", python + ["Py_Main (/usr/bin/python2.7)", "[unknown] " + libc, lost], 1.0),
        ("a run within", ["Py_RunMain (/opt/libpython3.9.so)"] + python + [lost], 0.0),
        ("the kernel alone", [PAGE_FAULT], 1.0),
        ("loader", ["_dl_relocate_object (/lib64/ld-linux-x86-64.so.2)"], 1.0),
        ("cut", python + [lost], 0.0),
        ("cut in the kernel's callers", [PAGE_FAULT] + python + [lost], 0.0),
        ("cut in C", ["dgemm (/usr/lib/libblas.so)", lost], 0.0),
        ("broken off in the interpreter", python, 0.0),
        ("start in the middle", ["_start (/opt/x)"] + python + [lost], 0.0),
    ):
        # The first sample shows that the process has an interpreter.
        text = sample(python + START) + sample(frames) * 3
        got = table(text, "--json=-").event["complete"]
        look.equal(what, (1 + 3 * expected) / 4, got)


@case(CASES)
def stacks_of_other_programs(look):
    other = sample(["work (/usr/bin/other)", CUT], comm="other")
    look.equal("alone", None, table(other, "--json=-").event["complete"])
    python = sample([py("f")] + START)
    look.equal("before exec", 1.0, table(other * 9 + python, "--json=-").event["complete"])
    early = sample(["dgemm (/usr/lib/libblas.so)", CUT])
    look.equal("before the first function", 0.5, table(early + python, "--json=-").event["complete"])
