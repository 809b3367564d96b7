#!/usr/bin/env python3
"""scripts/run/perf_data.py: what is in the perf.data that is made of a profile of the sampler; test_perf_reads.py has
what perf says of it. One line for each check; the exit status is 1 if any failed. Neither perf nor a sampler is
needed."""

import os
import random
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import perf_file
import sampled
from canned import Canned
from looks import case, main
from perf_file import COMM, FORK, MMAP2, SAMPLE, USER
from test_samples import cpu_seconds, large

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import elf

CASES = []
BEGAN = 10 ** 10  # of the profiles of sampled.py, nanoseconds
LEFT_OUT = "[frames left out]"


def converted(look, data, **more):
    with Canned() as canned:
        canned.write("perf.data", data)
        seen = canned.run("--perf-data", look.path("x.data"), **more)
        look.equal("status, stderr, perf", (0, "", False), (
            seen.status, seen.err, os.path.exists(canned.path("commands"))))
    return perf_file.File(look.path("x.data"))


def names(look, found):
    """What the image has for an address."""
    image = os.path.realpath(look.path("x.data")) + ".functions.so"
    row = next(one for one in found.of(MMAP2) if one.name == image)
    symbols = elf.Symbols(open(image, "rb"), row.build_id)

    def name(address):
        inside = row.start <= address < row.start + row.size
        return symbols.name(address - row.start + row.offset) if inside else address

    return name


@case(CASES)
def samples_in_the_order_of_time(look):
    found = converted(look, sampled.two_processes())
    millisecond = sampled.MILLISECOND
    got = [((one.time - BEGAN) // millisecond, one.pid, one.tid, one.period) for one in found.of(SAMPLE)]
    expected = [(20, 7, 7, 5), (40, 7, 8, 5), (50, 7, 8, 10), (90, 7, 7, 5), (100, 9, 9, 5)]
    look.equal("samples", [row[:3] + (row[3] * millisecond,) for row in expected], got)
    times = [one.time for one in found.records]
    look.equal("all records are in the order of time", sorted(times), times)
    good = all(one.ended == (one.pid, one.tid, one.time) for one in found.records if one.kind not in (SAMPLE, FORK))
    look.that("the ids at their ends", "pid, tid, time", good, "")
    name = names(look, found)
    chains = [(one.ip, [name(address) for address in one.chain]) for one in found.of(SAMPLE)]
    stack = (0x1700, [USER, 0x1700, "py::A.größe:/srv/app.py", 0x1501])
    look.equal("stacks: return addresses but for the first", [stack] * 3 + [(0, [USER])], chains[:-1])
    last = found.of(SAMPLE)[-1]
    look.equal("Python alone", (last.chain[1], [USER, "py::f:<string>"]), chains[-1])


@case(CASES)
def processes_threads_and_files(look):
    found = converted(look, sampled.two_processes())
    comms = [(one.name, one.pid, one.tid, one.misc) for one in found.of(COMM)]
    look.equal("names", [("python3", 7, 7, 1 << 13), ("worker", 7, 8, 0), ("other", 9, 9, 1 << 13)], comms)
    look.equal("threads", [(7, 8, 7, 7)], [(one.pid, one.tid, one.parent, one.parent_tid) for one in found.of(FORK)])
    image = os.path.realpath(look.path("x.data")) + ".functions.so"
    rows = found.of(MMAP2)
    look.equal("mappings", [(7, "/opt/bin/python3.11"), (7, image), (9, image)], [(one.pid, one.name) for one in rows])
    look.equal("places", (0x1000, 0x8000, 0, 5, 2, b""), (
        rows[0].start, rows[0].size, rows[0].offset, rows[0].protection, rows[0].flags, rows[0].build_id))
    look.equal("the image's place in the process and in the file", rows[1].start, rows[1].offset)
    look.equal("build ids", {image: rows[1].build_id}, found.build_ids())
    look.equal("20 bytes", 20, len(rows[1].build_id))
    attribute = found.attribute
    look.equal("cpu-clock, period", (1, 0, 5000000), tuple(attribute[one] for one in ("type", "config", "period")))
    words = found.words()
    look.equal("command line", ["pyperf-run", "--report", "--perf-data", look.path("x.data")], words[:2] + words[3:])
    look.equal("nothing behind", len(found.data), found.end)


@case(CASES)
def mappings_that_change(look):
    """One that takes the place of another is as late as what follows it; one that comes after a frame is not."""
    made = sampled.Profile()
    early = made.native(0, 0x9000500)
    for number, path in enumerate(("/lib/a.so", "/lib/b.so (deleted)")):
        made.mapping(0x7000000, 0x7001000, path, 0x1000 * number, b"%d" % number * 20)
        made.sample(made.native(0, 0x7000100), time=BEGAN + 100 + number)
    for start, path in ((0x9000000, "[vdso]"), (0xA000000, "")):
        made.mapping(start, start + 0x1000, path)
    made.sample(early, time=BEGAN + 200)
    found = converted(look, made.bytes())
    rows = [(one.name, one.time - BEGAN, one.offset, one.build_id[:2]) for one in found.of(MMAP2)]
    expected = [("/lib/a.so", 0, 0, b"00"), ("[vdso]", 0, 0, b""), ("//anon", 0, 0, b""), ("/lib/b.so", 101, 0x1000, b"11")]
    look.equal("mappings", expected, rows)
    look.equal("build ids", {"/lib/a.so": b"0" * 20, "/lib/b.so": b"1" * 20}, found.build_ids())
    look.equal("no image without Python functions", False, os.path.exists(look.path("x.data.functions.so")))
    kinds = [one.kind for one in found.records]
    look.equal("kinds", [COMM, MMAP2, MMAP2, MMAP2, SAMPLE, MMAP2, SAMPLE, SAMPLE], kinds)


@case(CASES)
def images_beside_mappings(look):
    """No process has a mapping where the image is."""
    made = sampled.Profile()
    made.sample(made.python(0, made.code("f")))
    for end, start, offset in ((0x401800, 0x402000, 0x402000), (0x900000000, 0x900000000, 0x10000)):
        for begin, until in ((0x8000, 0x11000), (0x11000, 0x400000), (0x400800, end)):
            made.mapping(begin, until, "/opt/bin/python3.9")
        found = converted(look, made.bytes())
        rows = [(one.start, one.offset) for one in found.of(MMAP2) if one.name.endswith(".so")]
        look.equal("its place, in the file", [(start, offset)], rows)
        look.equal("the name", "py::f:/srv/app.py", names(look, found)(found.of(SAMPLE)[0].ip))
        good = os.path.getsize(look.path("x.data.functions.so")) < offset + 10000
        look.that("its size", "small", good, str(os.path.getsize(look.path("x.data.functions.so"))))


@case(CASES)
def the_same_pid(look):
    """One process after another, as exec does it, or at the same time in other namespaces."""
    parts = b""
    for began, ended in ((0, 10), (5, 20), (10, 30)):
        made = sampled.Profile(pid=7, began=BEGAN + began, ended=BEGAN + ended)
        made.thread(8, "other")
        for thread in (7, 8):
            made.sample(made.python(0, made.code("f")), thread, time=BEGAN + ended)
        parts += made.bytes()
    found = converted(look, parts)
    got = sorted((one.time - BEGAN, one.pid, one.tid) for one in found.of(SAMPLE))
    look.equal("pids", [(10, 7, 7), (10, 7, 8), (20, 9, 9), (20, 9, 10), (30, 7, 7), (30, 7, 8)], got)


@case(CASES)
def long_stacks(look):
    """A record has 65,535 bytes at most: the middle is left out, and both ends are there."""
    made = sampled.Profile()
    codes = [made.code("f%d" % number) for number in range(10)]
    trunk, counts = 0, (8183, 8184, 20000)
    for number in range(counts[-1]):
        trunk = made.python(trunk, codes[0 if not number else 1 + number % 9])
        if number + 1 in counts:
            made.sample(made.native(trunk, 0x1700), time=BEGAN + number)
            made.sample(trunk, time=BEGAN + number)
    found = converted(look, made.bytes())
    name = names(look, found)
    look.equal("entries", [8185, 8184, 8185, 8185, 8185, 8185], [len(one.chain) for one in found.of(SAMPLE)])
    for one in found.of(SAMPLE):
        shown = [name(address) for address in one.chain]
        at = shown.index(LEFT_OUT) if LEFT_OUT in shown else None
        expected = None if len(shown) < 8185 else 4092
        look.equal("left out, outermost", (expected, "py::f0:/srv/app.py"), (at, shown[-1]))


@case(CASES)
def names_of_any_kind(look):
    made = sampled.Profile()
    codes = [
        made.code("two\nlines", "/srv/a b (c):d.py"),
        made.code("имя", "/srv/\u20ac.py", width=(2, 2, 1)),
        made.code("f", "/srv/\udcff.py", width=(1, 2, 1)),
        made.code("x" * 5000, ""),
        made.code("f", "/srv/app.py", 10),
        made.code("f", "/srv/app.py", 20),
    ]
    for number, code in enumerate(codes):
        made.sample(made.python(0, code), time=BEGAN + number)
    made.sample(made.python(0, 10 ** 6), time=BEGAN + 100)  # a code object that is not in the file
    found = converted(look, made.bytes())
    name = names(look, found)
    got = [name(one.ip) for one in found.of(SAMPLE)]
    expected = ["py::two\\x0alines:/srv/a b (c):d.py", "py::имя:/srv/€.py", "py::f:/srv/\\udcff.py"]
    expected += ["py::%s:[unknown]" % ("x" * 5000)] + ["py::f:/srv/app.py"] * 2 + ["py::[unknown]:[unknown]"]
    look.equal("names", expected, got)
    starts = {one.ip for one in found.of(SAMPLE)}
    look.equal("each has its address", 7, len(starts))


@case(CASES)
def paths_of_any_kind(look):
    """The name of the image is that of its file, also where that is no text."""
    found = {one.series: one.path for one in interpreters.find()[0]}
    paths = [look.path("größe %s\udcff.data" % number) for number in (1, 2)]
    for path, python in zip(paths, (sys.executable, found.get((2, 7)))):
        with Canned() as canned:
            canned.write("perf.data", sampled.two_processes())
            if python is None:
                continue
            seen = canned.run("--perf-data", path, python=python)
            look.equal("status, stderr", (0, ""), (seen.status, seen.err))
        with open(path, "rb") as file:
            good = os.fsencode(os.path.realpath(path)) + b".functions.so\0" in file.read()
        look.that("the image", "beside it, and named", good and os.path.exists(path + ".functions.so"), "")


@case(CASES)
def other_pythons(look):
    found = {one.series: one.path for one in interpreters.find()[0]}
    first, image = converted(look, sampled.two_processes()).data, look.path("x.data.functions.so")
    with open(image, "rb") as file:
        first_image = file.read()
    for series in ((2, 7), (3, 6)):
        if series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        second = converted(look, sampled.two_processes(), python=found[series]).data
        with open(image, "rb") as file:
            look.that("%d.%d: the image" % series, "the same", file.read() == first_image, "")
        # The name of the profile is another one each time.
        same = len(first) == len(second) and first.split(b"/tmp")[0] == second.split(b"/tmp")[0]
        look.that("%d.%d: the file" % series, "the same", same, "%d, %d bytes" % (len(first), len(second)))


@case(CASES)
def damaged_profiles(look):
    """Any bytes give a file that can be read, or one line."""
    good, chance = sampled.two_processes(), random.Random(2)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(40):
        data = bytearray(good)
        for _ in range(chance.choice((1, 3, 30))):
            data[chance.randrange(len(data) // 16) * 16 + chance.randrange(16)] = chance.choice((0, 1, 255))
        for at in range(chance.choice((0, 200))):
            data[4096 + at] = chance.randrange(256)
        with Canned() as canned:
            canned.write("perf.data", bytes(data))
            seen = canned.run("--perf-data", look.path("x.data"), "--firefox", look.path("x.json"))
        if seen.status == 0:
            perf_file.File(look.path("x.data"))
            outcomes["read"] += 1
        elif seen.err.count("\n") == 1 and "Traceback" not in seen.err:
            outcomes["refused"] += 1
        else:
            look.equal("an error", "", seen.err[-300:])
    look.that("40 files", "most are read", outcomes["read"] > 20, repr(outcomes))


@case(CASES)
def refusals(look):
    with Canned() as canned:
        canned.write("perf.data", sampled.simple().bytes())
        os.mkfifo(look.path("fifo"))
        seen = canned.run("--perf-data", look.path("fifo"))
        look.that("a FIFO", "a line", (seen.status, seen.err.count("\n")) == (1, 1), seen.err)
        for words, status, said in (
            (["--perf-data", "/dev/null", "--report", canned.data], 2, "name a file"),
            (["--perf-data=/none/x", "--", "true"], 1, "/none/x: there is no such directory"),
            (["--firefox=/none/x", "--", "true"], 1, "/none/x: there is no such directory"),
        ):
            seen = canned.pyperf_run(*words)
            good = (seen.status, seen.err.count("\n")) == (status, 1) and said in seen.err
            look.that(words[0], "%d, a line with %r" % (status, said), good, "%d %s" % (seen.status, seen.err))


@case(CASES)
def speed(look):
    """60,000 samples, 15,000 stacks of 40 frames."""
    for option, most in (("--perf-data", 10), ("--firefox", 10)):
        seen, used = cpu_seconds(large(60000, 40), option, look.path("x"))
        good = seen.status == 0 and used < most
        look.that("%s: seconds of CPU" % option, "%d at the most" % most, good, "%.1f %s" % (used, seen.err))
        size = os.path.getsize(look.path("x"))
        look.that("its size", "40 MB at the most", size < 40e6, str(size))


if __name__ == "__main__":
    sys.exit(main("perf_data", CASES))
