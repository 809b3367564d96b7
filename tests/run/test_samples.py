#!/usr/bin/env python3
"""scripts/run/samples.py: profiles of the sampler, whole and damaged, and the table of them. One line for each check;
the exit status is 1 if any failed. Neither perf nor a sampler is needed."""

import ctypes
import os
import random
import resource
import struct
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import sampled
from canned import Canned
from looks import case, main
from test_elf import mapped

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import samples
import stacks

CASES = []
SUMMARY = "120 samples of cpu-clock, taken inside the program at 200 Hz, 0.6 s, 1 process, 100.0 % of stacks complete"


def table(data, *options, **more):
    """What table.py makes of the file, and whether it has asked perf."""
    with Canned() as canned:
        canned.write("perf.data", data)
        seen = canned.run(*options, **more)
        seen.asked = os.path.exists(canned.path("commands"))
    return seen


def recording(look, data, by_line=False):
    with open(look.path("x.samples"), "wb") as out:
        out.write(data)
    return samples.Recording(out.name, by_line)


@case(CASES)
def table_of_a_profile(look):
    seen = table(sampled.simple().bytes(), "--width", "200")
    look.equal("status, stderr, perf", (0, "", False), (seen.status, seen.err, seen.asked))
    look.equal("times", "2.0 s elapsed, 1.0 s of CPU time, waited 1.0 s (50 %)", seen.lines[0])
    look.equal("summary", SUMMARY, seen.lines[1])
    rows = [" ".join(line.split()) for line in seen.lines[4:6]]
    look.equal("rows", ["0.50 83.3 83.3 100 work /srv/app.py:7", "0.10 16.7 100.0 20 main /srv/app.py:20"], rows)
    seen = table(sampled.simple().bytes(), "--width", "200", "--lines")
    rows = [" ".join(line.split()) for line in seen.lines[4:7]]
    expected = ["0.35 58.3 58.3 70 work /srv/app.py:8", "0.15 25.0 25.0 30 work /srv/app.py:7"]
    look.equal("lines", expected + ["0.10 16.7 100.0 20 main /srv/app.py:20"], rows)


@case(CASES)
def json_and_folded_stacks(look):
    seen = table(sampled.simple().bytes(), "--json", "-", "--lines")
    shown = seen.event
    got = [(one["name"], one["file"], one["line"], one["own"], one["samples"]) for one in shown["functions"]]
    expected = [("work", 8, 350000000, 70), ("work", 7, 150000000, 30), ("main", 20, 100000000, 20)]
    look.equal("functions", [one[:1] + ("/srv/app.py",) + one[1:] for one in expected], got)
    look.equal("complete, unit", (1.0, "ns"), (shown["complete"], shown["unit"]))
    plain = table(sampled.simple().bytes(), "--json", "-").event
    look.equal("without --lines", [False] * 2, ["line" in one for one in plain["functions"]])
    for options, places in (([], {"": 100}), (["--lines"], {":7": 30, ":8": 70})):
        top = ":20" if options else ""
        begin = "python3;[python3.9];py::main:/srv/app.py%s;[python3.9]" % top
        expected = ["%s 20" % begin]
        for line, count in places.items():
            expected.append("%s;py::work:/srv/app.py%s;[python3.9] %d" % (begin, line, count))
        with Canned() as canned:
            canned.write("perf.data", sampled.simple().bytes())
            canned.run("--collapsed", canned.path("folded"), *options)
            look.equal("folded %s" % " ".join(options), sorted(expected), sorted(canned.read("folded").splitlines()))


@case(CASES)
def several_processes(look):
    """One file of several parts, or a folder of files."""
    parts = [sampled.simple(pid=pid).bytes() for pid in (7, 8, 9)]
    seen = table(b"".join(parts))
    look.that("one file", "3 processes", "360 samples" in seen.out, seen.out)
    seen = table(sampled.simple().bytes(1 << 20), "--width", "200")
    look.that("reserved space", "1 process", SUMMARY in seen.out, seen.out)
    with Canned() as canned:
        os.mkdir(canned.path("folder"))
        for number, part in enumerate(parts):
            canned.write("folder/pyperf-%d-abcdef.samples" % number, part)
        canned.data = canned.path("folder")
        seen = canned.run("--width", "200")
        look.that("a folder", "3 processes", ", 3 processes, " in seen.out, seen.out + seen.err)
    threads = sampled.Profile(used=0, flags=0)
    for thread, name in ((7, "main"), (8, "worker")):
        threads.thread(thread, name)
        threads.sample(threads.python(0, threads.code("f")), thread)
    got = [(one.comm, one.tid, one.count) for one in recording(look, threads.bytes()).records()]
    look.equal("threads", [("main", 7, 1), ("worker", 8, 1)], sorted(got))
    look.equal("CPU time of one that was killed", [0.01], recording(look, threads.bytes()).used)


@case(CASES)
def threads_that_wait(look):
    """Times by what threads did, in the table, as JSON, in stacks; of the lock's holders alone. A thread that waits for
    a CPU is where its last sample was."""
    cut, waits, lock, has, cpu = 1, 4, 8, 16, 32
    made = sampled.Profile(flags=3)
    frame = made.python(0, made.code("work"))
    other = made.python(0, made.code("read"))
    for thread, node, weight, flags in (
        (7, frame, 40, has), (7, 0, 20, waits | cpu), (7, frame, 30, waits | lock), (8, other, 100, waits | cut),
        (8, 0, 6, waits | cpu), (9, 0, 4, waits | cpu),
    ):
        made.sample(node, thread, weight, flags)
    seen = table(made.bytes(), "--width", "240")
    said = "200 samples of wall-clock, taken inside the program at 200 Hz, 1.0 s of 3 threads, of which 0.2 s on a CPU,"
    said += " 0.1 s ready, 0.1 s waiting for the GIL, 0.5 s waiting, 1 process, 100.0 % of stacks complete"
    look.equal("summary", said, seen.lines[1].replace("0.15 s", "0.1 s"))
    rows = [" ".join(line.split()) for line in seen.lines[3:7]]
    expected = ["own s CPU s GIL s own % total % samples function file", "0.53 0.00 0.00 53.0 53.0 106 read /srv/app.py:1"]
    expected += ["0.45 0.20 0.15 45.0 45.0 90 work /srv/app.py:1", "0.02 0.00 0.00 2.0 4 (no Python function)"]
    look.equal("rows", expected, rows)
    names = ("own", "own_on_cpu", "own_ready", "own_waiting_for_gil", "own_waiting")
    shown = {one["name"]: [one[name] // 10 ** 6 for name in names] for one in table(made.bytes(), "--json", "-").event["functions"]}
    look.equal("JSON, milliseconds", {"work": [450, 200, 100, 150, 0], "read": [530, 0, 30, 0, 500]}, shown)
    with Canned() as canned:
        canned.write("perf.data", made.bytes())
        canned.run("--collapsed", canned.path("folded"))
        leaves = [line.rpartition(";")[2] for line in canned.read("folded").splitlines()]
    marks = ["[waiting for a CPU] %d" % count for count in (20, 6, 4)] + ["[waiting for the GIL] 30", "[waiting] 100"]
    look.equal("innermost", sorted(marks + ["py::work:/srv/app.py 40"]), sorted(leaves))
    seen = table(made.bytes(), "--gil")
    look.that("the lock's holders", "40 samples", seen.lines[1].startswith("40 samples of wall-clock"), seen.out)


@case(CASES)
def several_files_of_a_process(look):
    """Spans of time, one after the other, in any order: times add up, and each file is a profile by itself. One may
    vanish while the folder is read."""
    second = 10 ** 9
    spans = [sampled.simple(began=one * second, ended=(one + 2) * second, used=second) for one in (12, 10, 14)]
    with Canned() as canned:
        os.mkdir(canned.path("folder"))
        for number, part in enumerate(spans):
            canned.write("folder/pyperf-7-%dbcdef.samples" % number, part.bytes())
        os.symlink("nowhere", canned.path("folder/pyperf-7-vanish.samples"))
        canned.data = canned.path("folder")
        seen = canned.run("--width", "200")
        look.equal("status, stderr", (0, ""), (seen.status, seen.err))
        look.equal("times", "6.0 s elapsed, 3.0 s of CPU time, waited 3.0 s (50 %)", seen.lines[0])
        look.that("summary", "360 samples, 1 process", seen.lines[1].startswith("360 samples") and ", 1 process," in seen.lines[1], seen.lines[1])
        rows = [" ".join(line.split()) for line in seen.lines[4:6]]
        look.equal("rows", ["1.50 83.3 83.3 300 work /srv/app.py:7", "0.30 16.7 100.0 60 main /srv/app.py:20"], rows)
        canned.data = canned.path("folder/pyperf-7-1bcdef.samples")
        seen = canned.run("--width", "200")
        look.equal("one of them", SUMMARY, seen.lines[1])


@case(CASES)
def texts(look):
    """Names of any width, with lone surrogates, of 2.7's bytes; a qualified name wins."""
    made = sampled.Profile()
    codes = [
        made.code("größe", "/srv/ü.py"),
        made.code("имя", "/srv/\u20ac.py", width=(2, 2, 1)),
        made.code("\U0001d400", "/srv/\udcff.py", width=(4, 2, 1)),
        made.code("größe", "/srv/ü.py", width=(0, 0, 0)),
        made.code("f", qualname="A.f"),
    ]
    for code in codes:
        made.sample(made.python(0, code))
    got = {one.frames[0].function for one in recording(look, made.bytes()).records()}
    names = {("größe", "/srv/ü.py"), ("имя", "/srv/\u20ac.py"), ("\U0001d400", "/srv/\udcff.py")}
    names.add(("A.f", "/srv/app.py"))
    look.equal("names", sorted(names), sorted(got))
    seen = table(made.bytes())
    look.equal("the table: status, stderr", (0, ""), (seen.status, seen.err))


@case(CASES)
def qualified_names(look):
    with open(look.path("app.py"), "w") as out:
        out.write("class Order:\n    def total(self):\n        return lambda: 1\n")
    made = sampled.Profile(python=(2, 7))
    for name, line in (("total", 2), ("<lambda>", 3), ("total", 3)):
        made.sample(made.python(0, made.code(name, out.name, line)))
    got = sorted(one.frames[0].function[0] for one in recording(look, made.bytes()).records())
    look.equal("names", ["Order.total", "Order.total.<locals>.<lambda>", "total"], got)


@case(CASES)
def machine_code(look):
    """Names by mapping, at the moment of the sample; a mapping may also come after the frame."""
    made = sampled.Profile()
    known = (ctypes.pythonapi.PyObject_Repr, ctypes.CDLL(None).fputs)
    first, second = (mapped(ctypes.cast(function, ctypes.c_void_p).value) for function in known)
    early = made.native(0, 0x8000000)
    for path, offset in (first, second):
        made.mapping(0x7000000, 0x7001000, path, offset)
        made.sample(made.native(0, 0x7000000))
    made.sample(early)
    made.mapping(0x8000000, 0x8001000, first[0], first[1])
    made.mapping(0x9000000, 0x9001000, first[0], first[1], build_id=b"x" * 20)
    made.mapping(0xA000000, 0xA001000, "[vdso]")
    for address in (0x9000000, 0xA000000, 0xB000000):
        made.sample(made.native(0, address))
    innermost = [one.frames[0] for one in recording(look, made.bytes()).records()]
    found = [(one.symbol.replace("_IO_", ""), one.object) for one in innermost]
    expected = [("PyObject_Repr", first[0]), ("fputs", second[0]), ("PyObject_Repr", first[0])]
    expected += [("[unknown]", first[0]), ("[unknown]", "[vdso]"), ("[unknown]", "[unknown]")]
    look.equal("names", expected, found)
    maps = samples.Mappings()
    for row in ((0, 100, 0, "a", b""), (20, 40, 5, "b", b""), (30, 60, 7, "c", b"")):
        maps.add(row)
    got = [(maps.find(at) or (0,) * 4)[2:4] for at in (19, 20, 35, 59, 60, 99, 100)]
    look.equal("overlaps", [(0, "a"), (5, "b"), (7, "c"), (7, "c"), (60, "a"), (60, "a"), (0, 0)], got)


@case(CASES)
def incomplete_records(look):
    """What a killed process leaves: heads without type, records that were not finished."""
    made = sampled.simple()
    made.data += b"\0" * 32 + struct.pack("<II", sampled.UNFINISHED | 2 << 8, 5) + b"\1" * 8
    made.sample(made.python(0, made.code("late")))
    got = recording(look, made.bytes())
    look.equal("samples behind", 121, sum(one.count for one in got.records()))
    look.equal("notes", [], got.notes)
    made.sample(1000000)
    made.sample(600)
    made.python(10 ** 6, 700)
    got = recording(look, made.bytes())
    look.equal("frames that are none: samples", 121, sum(one.count for one in got.records()))
    said = "4 records are damaged"
    look.that("frames that are none: a note", said, said in got.notes[0], repr(got.notes))
    made.data += struct.pack("<II", sampled.SAMPLE | 200000 << 8, 5)
    made.data += b"\xff" * (sampled.SEGMENT - len(made.data))
    made.sample(made.python(0, made.code("next")))
    got = recording(look, made.bytes())
    look.equal("a segment further on: samples", 122, sum(one.count for one in got.records()))
    seen = table(sampled.simple(lost=1200).bytes())
    look.that("lost", "1,200 samples", "1,200 samples did not fit" in " ".join(seen.out.split()), seen.out)
    for used, said in (("0m0.50s 0m0.11s", False), ("0m1.00s 0m0.20s", True)):
        seen = " ".join(table(sampled.simple().bytes(), "--used", used).out.split())
        good = ("samples are of 0.6 s of 1.2 s of CPU time (50 %): programs without Python" in seen) == said
        look.that("CPU time %s" % used, "told: %s" % said, good, seen)
    cut = sampled.Profile()
    cut.sample(cut.native(0, 1), flags=sampled.CUT)
    cut.sample(cut.python(0, cut.code("f")))
    cut.sample(0, flags=sampled.CUT)
    cut.sample(0)
    look.equal("cut stacks", [False] * 3 + [True], sorted(one.whole for one in recording(look, cut.bytes()).records()))


@case(CASES)
def damaged_files(look):
    """Any bytes give samples, notes or one line, and never another error."""
    good, chance = sampled.simple().bytes(), random.Random(1)
    outcomes = {"read": 0, "refused": 0}
    for number in range(600):
        data = bytearray(good)
        if number % 3:
            for _ in range(chance.choice((1, 3, 30))):
                data[chance.randrange(len(data))] = chance.choice((0, 1, 255, chance.randrange(256)))
        else:
            data = data[: chance.randrange(len(data))]
        try:
            list(recording(look, bytes(data), by_line=True).records())
            outcomes["read"] += 1
        except stacks.Failed:
            outcomes["refused"] += 1
    look.that("600 files", "most are read", outcomes["read"] > 400, repr(outcomes))
    seen = table(good[: len(sampled.simple().data) - 300])
    good = "samples at its end are missing" in " ".join(seen.out.split())
    look.that("cut: a note", "missing", good, seen.out + seen.err)


@case(CASES)
def refusals(look):
    good = sampled.simple().bytes()
    for what, data, said in (
        ("a later version", sampled.simple(version=b"3").bytes(), "libpyperf (format 3, known here is 1)"),
        ("a later part", good + sampled.simple(version=b"3").bytes(), "by a later version"),
        ("the first bytes", good[:100], "not a complete profile"),
        ("no samples", sampled.Profile().bytes(), "has no samples"),
        ("junk behind", good + b"junk" * 2000, "is damaged %d bytes" % len(good)),
    ):
        seen = table(data)
        right = (seen.status, seen.err.count("\n"), seen.asked) == (1, 1, False) and said in seen.err
        look.that(what, "status 1, a line with %r" % said, right, "%d, %r" % (seen.status, seen.err))
    with Canned("") as canned:
        seen = canned.run("--lines")
        good = seen.status == 1 and "--sampler=inside" in seen.err and seen.err.count("\n") == 1
        look.that("lines of perf", "a line", good, repr(seen.err))


@case(CASES)
def other_pythons(look):
    found = {one.series: one for one in interpreters.find()[0]}
    made = sampled.simple()
    made.sample(made.python(0, made.code("größe", "/srv/\u20ac.py", width=(1, 2, 1))))
    for series in ((2, 7), (3, 6)):
        if series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        shown = []
        for more in ({}, {"python": found[series].path}):
            seen = table(made.bytes(), "--lines", "--collapsed", look.path("folded"), **more)
            with open(look.path("folded"), encoding="utf-8") as folded:
                shown.append((seen.status, seen.err, seen.lines, folded.read()))
        look.equal("%d.%d" % series, shown[0], shown[1])


def large(samples_wanted, depth):
    """Samples whose inner quarter of frames is one of a thousand others."""
    made, chance = sampled.Profile(), random.Random(1)
    made.mapping(0x1000, 0x90000000, "/opt/bin/python3.9", 0)
    codes = [made.code("f%d" % number, line=number, table=b"\x02\x01" * 50) for number in range(300)]

    def two_more(frame):
        function = made.python(frame, chance.choice(codes), 2 * chance.randrange(40))
        return made.native(function, 0x2000 + 16 * chance.randrange(99))

    trunk = 0
    for _ in range(depth * 3 // 8):
        trunk = two_more(trunk)
    leaves = []
    for _ in range(samples_wanted // 4):
        leaf = trunk
        for _ in range(depth // 8):
            leaf = two_more(leaf)
        leaves.append(leaf)
    for number in range(samples_wanted):
        made.sample(leaves[number % len(leaves)])
    return made.bytes()


def cpu_seconds(data, *options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = table(data, *options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seen, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@case(CASES)
def speed(look):
    """60,000 samples, 15,000 stacks of 40 frames."""
    seen, used = cpu_seconds(large(60000, 40), "--lines")
    look.that("seconds of CPU", "6 at the most", seen.status == 0 and "60,000 samples" in seen.out and used < 6, "%.1f" % used)


@case(CASES)
def speed_of_views(look):
    """The same, as it may be looked at. 2 seconds where nothing else runs."""
    data = large(60000, 40)
    for options in (["--sort", "total"], ["--by", "thread"], ["--callers", "f1"], ["--python-only"], ["--only", "/srv"]):
        seen, used = cpu_seconds(data, *options)
        good = seen.status == 0 and "60,000 samples" in seen.out and used < 6
        look.that("%s: seconds of CPU" % " ".join(options), "6 at the most", good, "%.1f" % used)


@case(CASES)
def speed_of_deep_stacks(look):
    """2,000 stacks of 3,000 frames, in recursion: what they have in common is looked at once."""
    made = sampled.Profile()
    codes = [made.code("f%d" % number) for number in range(30)]
    trunk = 0
    for number in range(3000):
        trunk = made.python(trunk, codes[number % 10])
    for number in range(2000):
        made.sample(made.python(trunk, codes[number % 30], number))
    seen, used = cpu_seconds(made.bytes(), "--top", "0")
    totals = [line.split()[2] for line in seen.lines if "/srv/app.py" in line]
    look.equal("functions, those on all stacks", (30, 10), (len(totals), totals.count("100.0")))
    look.that("seconds of CPU", "3 at the most", used < 3, "%.1f" % used)


if __name__ == "__main__":
    sys.exit(main("samples", CASES))
