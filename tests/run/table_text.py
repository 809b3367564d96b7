"""The format of the table."""

import json
import re

from canned import CUT, EVALUATOR, START, header, py, sample, table, task
from looks import case

CASES = []
COLOUR = re.compile(r"\033\[\d+m")
LONG = "/usr/lib/python3/dist-packages/some_project/some_package/module_%d.py"


def many(count):
    """Functions of all lengths, the first the hottest."""
    text = sample(["work (/usr/bin/x)"] + START, period=700000)
    for number in range(1, count + 1):
        name = py("Class_%d." % number + "method_" * (number % 9), LONG % number)
        text += sample([EVALUATOR, name] + START, period=100000000 // number)
    return text


@case(CASES)
def whole_table(look):
    text = sample([EVALUATOR, py("Orders.total")] + START, period=1500000000) * 3
    text += sample([EVALUATOR, py("main")] + START, period=500000000)
    text += sample(["_start (/opt/bin/python3.9)"], period=250000000, pid=8)
    expected = """\
5 samples of cpu-clock, 5.2 s, 2 processes, 100.0 % of stacks complete

own s  own %  total %  samples  function              file
 4.50   85.7     85.7        3  Orders.total          /srv/app.py
 0.50    9.5      9.5        1  main                  /srv/app.py
 0.25    4.8                 1  (no Python function)
"""
    look.equal("text", expected, table(text).out)
    counted = table(sample([py("f")] + START, event="cycles"), head=header(events=("cycles",)))
    expected = """\
1 sample of cycles, 1 process, 100.0 % of stacks complete

own %  total %  samples  function  file
100.0    100.0        1  f         /srv/app.py
"""
    look.equal("no seconds", expected, counted.out)
    thousands = table(sample([py("f")] + START) * 1234).lines[0]
    look.that("1,234 samples", "with a comma", thousands.startswith("1,234 samples"), thousands)


@case(CASES)
def elapsed(look):
    """Waiting is not CPU time."""
    second = sample([EVALUATOR, py("f")] + START, period=1000000000)
    run = task("exec", 10) + second + task("exit", 14.02)
    other = sample([EVALUATOR, py("f")] + START, tid=8, period=0)
    two = task("exec", 10) + task("fork", 10.1, tid=8) + second + other + task("exit", 14.02)
    unknown = task("exec", 0) + second
    late = second + sample([EVALUATOR, py("f")] + START, period=1000000000, time=13.5)
    for what, text, options, line in (
        ("one thread", run, (), "4.0 s elapsed, 1.0 s of CPU time, waited 3.0 s (75 %)"),
        ("used", run, ("--used", "0m1.4s 0m0.11s"), "4.0 s elapsed, 1.5 s of CPU time, waited 2.5 s (62 %)"),
        ("unused", run, ("--used", "0m0.000000s 0m0.000000s"), "4.0 s elapsed, 1.0 s of CPU time, waited 3.0 s (75 %)"),
        ("lasted", run, ("--lasted", "10.25 16.5"), "6.2 s elapsed, 1.0 s of CPU time, waited 5.2 s (84 %)"),
        ("two threads", two, (), "4.0 s elapsed, 1.0 s of CPU time, waited at least 3.0 s (75 %)"),
        ("busy", task("exec", 10) + second * 5 + task("exit", 14), (), "4.0 s elapsed, 5.0 s of CPU time"),
        ("samples alone", late, (), "3.0 s elapsed, 2.0 s of CPU time, waited 1.0 s (33 %)"),
        ("one sample alone", unknown, (), "1 sample of cpu-clock, 1.0 s, 1 process, 100.0 % of stacks complete"),
    ):
        look.equal(what, line, table(text, *options).lines[0])
        look.equal("%s: functions" % what, 1, sum("/srv/app.py" in one for one in table(text).lines))
    counted = run.replace("cpu-clock:ppp", "cycles")
    head = header(events=("cycles",))
    look.equal("cycles", "4.0 s elapsed", table(counted, head=head).lines[0])
    line = "4.0 s elapsed, 2.0 s of CPU time, waited 2.0 s (50 %)"
    look.equal("cycles, used", line, table(counted, "--used", "0m1,5s 0m0,5s", head=head).lines[0])
    told = json.loads(table(run, "--used", "1m0.5s 0m1.0s", "--json=-").out)
    look.equal("JSON", (4.02, 61.5), (told["elapsed_seconds"], told["cpu_seconds"]))


@case(CASES)
def rows(look):
    for top, expected in ((1, 1), (5, 5), (20, 20), (0, 40)):
        lines = table(many(40), "--top", str(top)).lines
        got = sum("Class_" in line for line in lines)
        rest = [line for line in lines if line.startswith("and ")]
        look.equal("--top %d" % top, (expected, expected < 40), (got, bool(rest)))
        look.equal("--top %d: without" % top, 1, sum("(no Python" in line for line in lines))
    rest = table(many(4), "--top", "3").lines[-1]
    look.that("the rest", "1 more function", rest.startswith("and 1 more function, "), rest)


@case(CASES)
def widths(look):
    text = many(30) + sample([EVALUATOR, py("f"), CUT]) * 9
    for width in (60, 80, 100, 200):
        shown = table(text, "--width", str(width), head=header(8192))
        longest = max(len(line) for line in shown.lines)
        look.that("%d" % width, "%d or less" % width, longest <= width, str(longest))
        rows = [line for line in shown.lines if "Class_" in line]
        starts = {line.rindex(" ") for line in rows}
        look.equal("%d: files begin in" % width, "1 column", "%d column" % len(starts))
    narrow = [line for line in table(text, "--width", "60").lines if "Class_" in line]
    ends = {line[-3:] == ".py" and "  ..." in line for line in narrow}
    look.equal("paths lose their beginning", {True}, ends)
    cut_names = [line for line in narrow if re.search(r"Class_[\w.]*\.\.\.  ", line)]
    look.that("names lose their end", "some", bool(cut_names), str(len(cut_names)))
    wide = table(text, "--width", "200")
    look.that("200: nothing is lost", "no ...", "..." not in wide.out, wide.lines[2])


@case(CASES)
def colours(look):
    text = sample([py("hot")] + START) * 8 + sample([py("warm")] + START)
    text = text * 2 + sample([py("cool")] + START, period=100000)
    plain, coloured = table(text), table(text, "--colour")
    look.equal("none unasked", [], COLOUR.findall(plain.out))
    look.equal("the same text", plain.out, COLOUR.sub("", coloured.out))
    dim = "\033[2m"
    for name, code in (("hot", "\033[31m"), ("warm", "\033[33m"), ("cool", dim)):
        line = next(line for line in coloured.lines if " %s " % name in line)
        look.equal(name, code, COLOUR.search(line).group())
    look.that("heading", "bold", coloured.lines[2].startswith("\033[1m"), repr(coloured.lines[2]))


@case(CASES)
def control_characters(look):
    shown = table(sample([py("f\033[2J", "/srv/\x07.py")] + START))
    look.that("in names", "none", not re.search("[\033\007]", shown.out), repr(shown.out))
