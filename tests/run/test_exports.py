#!/usr/bin/env python3
"""Files that pyperf-run makes of a profile for other tools (pprof, speedscope), and its view of a source file. One line
for each check; the exit status is 1 if any failed. No perf is needed."""

import json
import os
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import sampled
from canned import EVALUATOR, START, Canned, header, py, sample
from looks import case, main
from pprof_file import Decoded

CASES = []
SOURCE = "\n".join("line %d" % number for number in range(1, 31)) + "\n"


def made(look):
    """Of main, which calls work in two lines, with the source of both; machine code is of a file that is not here."""
    folder = look.path("srv")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "app.py"), "w") as out:
        out.write(SOURCE)
    profile = sampled.Profile()
    profile.mapping(0x1000, 0x9000, "/opt/bin/python3.9")
    main_code = profile.code("main", out.name, 20)
    work = profile.code("work", out.name, 7, b"\x04\x01")
    top = profile.native(profile.python(profile.native(0, 0x1500), main_code), 0x1700)
    profile.sample(top, weight=20)
    for instruction, count in ((0, 30), (6, 50)):
        profile.sample(profile.native(profile.python(top, work, instruction), 0x1700), weight=count)
    return profile.bytes(), out.name


def run(data, *options, **more):
    with Canned() as canned:
        canned.write("perf.data", data)
        return canned.run(*options, **more)


def decoded(path):
    with open(path, "rb") as file:
        return Decoded(file.read())


@case(CASES)
def pprof(look):
    data, file = made(look)
    c = ("[unknown]", "/opt/bin/python3.9", 0)
    top = (c, ("main", file, 20), c)
    expected = {
        top: [20, 100000000],
        (c, ("work", file, 7)) + top: [30, 150000000],
        (c, ("work", file, 8)) + top: [50, 250000000],
    }
    found = {one.series: one.path for one in interpreters.find()[0]}
    for series in ((3, 11), (2, 7), (3, 6)):
        if series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        seen = run(data, "--pprof", look.path("x.pb.gz"), python=found[series])
        look.equal("%d.%d: status, stderr" % series, (0, ""), (seen.status, seen.err))
        got = decoded(look.path("x.pb.gz"))
        look.equal("%d.%d: stacks" % series, expected, got.stacks)
    look.equal("types", [("samples", "count"), ("cpu", "nanoseconds")], got.types)
    look.equal("period, labels", (5000000, {"thread", "pid", "tid"}), (got.period, got.labels))
    look.equal("when it began, duration", (10 ** 10, 2 * 10 ** 9), (got.time, got.duration))
    text = sample([EVALUATOR, py("f")] + START, event="page-faults", period=3) + sample([py("g")], event="cpu-clock")
    with Canned(text, header(events=("page-faults", "cpu-clock"))) as canned:
        os.utime(canned.data, (2000, 2000))
        canned.run("--pprof", canned.path("y.pb.gz"), "--lasted", "10 17.5")
        got = decoded(canned.path("y.pb.gz"))
    look.equal("of perf: when it began, duration", (19925 * 10 ** 8, 75 * 10 ** 8), (got.time, got.duration))
    look.equal("of perf: types", [("samples", "count"), ("page-faults", "count")], got.types)
    stacks = [[name for name, _, _ in stack] for stack in got.stacks]
    expected = ["_PyEval_EvalFrameDefault", "f"] + [one.split(" ")[0] for one in START]
    look.equal("of perf: stacks of the first event", [expected], stacks)


@case(CASES)
def pprof_sums(look):
    """Samples of the same stack and thread are one, and elapsed time has a type of its own."""
    made = sampled.Profile(flags=sampled.WHOLE | 2)
    work = made.python(0, made.code("work", line=7))
    for thread, flags in ((7, 0), (7, 0), (7, 16), (8, 0)):
        made.sample(work, thread, flags=flags)
    run(made.bytes(), "--pprof", look.path("x.pb.gz"))
    got = decoded(look.path("x.pb.gz"))
    look.equal("samples, of two threads", 2, got.samples)
    look.equal("type", ("wall", "nanoseconds"), got.types[1])
    with Canned(2 * sample([EVALUATOR, py("f")] + START), header()) as canned:
        canned.run("--pprof", canned.path("y.pb.gz"))
        got = decoded(canned.path("y.pb.gz"))
    look.equal("of perf: samples, values", (1, [[2, 2000000]]), (got.samples, list(got.stacks.values())))


@case(CASES)
def speedscope(look):
    data, file = made(look)
    for options in ([], ["--lines"]):
        seen = run(data, "--speedscope", look.path("x.json"), *options)
        look.equal("status, stderr", (0, ""), (seen.status, seen.err))
        with open(look.path("x.json")) as out:
            shown = json.load(out)
        frames = shown["shared"]["frames"]
        profile = shown["profiles"][0]
        good = profile["type"] == "sampled" and profile["unit"] == "nanoseconds" and profile["endValue"] == 500000000
        look.that("the profile", "sampled, 0.5 s", good, repr(profile)[:300])
        names = ["%s:%s" % (one["name"], one.get("line", "")) for one in frames]
        named = [[names[one] for one in stack] for stack in profile["samples"]]
        stacks = dict(zip(map(tuple, named), profile["weights"])) if options else None
        if options:
            c = "[python3.9]:"
            top = (c, "main:20", c)
            expected = {top: 100000000, top + ("work:7", c): 150000000, top + ("work:8", c): 250000000}
            look.equal("stacks by line", expected, stacks)
        else:
            look.equal("frames", {"main", "work", "[python3.9]"}, {one["name"] for one in frames})
            look.equal("each once", 3, len(frames))
    look.equal("schema", "https://www.speedscope.app/file-format-schema.json", shown["$schema"])


@case(CASES)
def columns(look):
    """From 3.11 on, where rows are lines."""
    data = sampled.two_processes()
    places = {(7, 5), (7, 9), (8, 1)}
    seen = run(data, "--pprof", look.path("x.pb.gz"), "--speedscope", look.path("x.json"), "--lines")
    look.equal("status, stderr", (0, ""), (seen.status, seen.err))
    got = decoded(look.path("x.pb.gz")).columns
    expected = {("A.größe",) + one for one in places} | {("f", 1, 0), ("[unknown]", 0, 0)}
    look.equal("pprof: lines and columns, 0 for none", expected, got)
    with open(look.path("x.json")) as out:
        frames = json.load(out)["shared"]["frames"]
    look.equal("speedscope", places, {(one["line"], one["col"]) for one in frames if one["name"] == "A.größe"})
    look.equal("speedscope, 2.7", [False], ["col" in one for one in frames if one["name"] == "f"])
    run(data, "--speedscope", look.path("y.json"))
    with open(look.path("y.json")) as out:
        frames = json.load(out)["shared"]["frames"]
    look.equal("speedscope, by functions", [], [one for one in frames if "col" in one])


@case(CASES)
def source_view(look):
    data, file = made(look)
    for name in (file, "app.py", "srv/app.py"):
        seen = run(data, "--source", name)
        lines = seen.out.split("\n")
        look.equal("%s: status, stderr" % os.path.basename(name), (0, ""), (seen.status, seen.err))
        rows = [" ".join(line.split()) for line in lines[lines.index(file) + 2 :] if "." in line and line != "..."]
        expected = ["30.0 30.0 7 line 7", "50.0 50.0 8 line 8", "20.0 100.0 20 line 20"]
        look.equal("%s: lines with samples" % os.path.basename(name), expected, rows)
    numbers = [int(line.split()[-1]) for line in lines if "line" in line and line.split()[-1].isdigit()]
    look.equal("lines around", list(range(3, 13)) + list(range(16, 25)), numbers)
    look.equal("gaps", 2, lines.count("..."))
    with open(file, "w") as out:
        out.write("line 1\n" * 7)
    seen = run(data, "--source", file)
    look.equal("a file that is shorter now", (0, 5), (seen.status, seen.out.count("line 1")))
    os.unlink(file)
    for name, said in (("none.py", "no sample is in that file; most are in " + file), (file, "the file is not here")):
        seen = run(data, "--source", name)
        look.that(name, said, seen.status == 1 and said in seen.err and seen.err.count("\n") == 1, seen.err)
    with Canned("") as canned:
        seen = canned.run("--source", "x.py")
        look.that("of perf", "a line", seen.status == 1 and "--sampler=inside" in seen.err, seen.err)


if __name__ == "__main__":
    sys.exit(main("exports", CASES))
