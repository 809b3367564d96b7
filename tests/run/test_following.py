#!/usr/bin/env python3
"""What pyperf-run --live reads of files that grow (following.py, following_perf.py), and its tables (live_table.py).
One line for each check; the exit status is 1 if any failed. Neither perf nor a sampler is needed."""

import os
import struct
import sys

sys.dont_write_bytecode = True

import looks
import perf_recorded
import sampled
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import columns
import following
import following_perf
import live_table
import totals
import view

CASES = []


class Growing:
    """A folder with the files of processes, as far as these have written them."""

    def __init__(self, look, name="growing"):
        self.folder, self.list = look.path(name), look.path("folders")
        os.mkdir(self.folder)
        with open(self.list, "w") as out:
            out.write(self.folder + "\n")

    def write(self, made, length=None, ahead=0, name="pyperf-7-abcdef.samples"):
        """Up to that length; so many bytes more are in use, and what is behind is reserved."""
        length = len(made.data) if length is None else length
        whole = bytearray(made.bytes(1 << 16)[:length])
        if len(whole) >= sampled.HEADER:
            struct.pack_into("<Q", whole, 8, min(length + ahead, len(made.data)))
        with open(os.path.join(self.folder, name), "wb") as out:
            out.write(whole + b"\0" * (len(made.data) + (1 << 16) - len(whole)))

    def follow(self, watched=False):
        return following.Recording(self.list, watched)


def counted(found):
    """{innermost function: samples}"""
    seen = {}
    for one in found:
        name = one.own and one.own[0]
        seen[name] = seen.get(name, 0) + one.count
    return seen


def ends(made):
    """Where records end."""
    at = sampled.HEADER
    while at < len(made.data):
        yield at
        at += struct.unpack_from("<I", made.data, at)[0] >> 8 << 3
    yield at


@case(CASES)
def each_sample_once(look):
    """However the file grows: what is not written yet is seen later, and each sample once."""
    made = sampled.simple(flags=0)
    for step, ahead in ((1, 0), (1, 16), (5, 40), (1000, 0)):
        growing = Growing(look, "%d-%d" % (step, ahead))
        recording, sums = growing.follow(), {}
        for length in list(ends(made))[::step] + [len(made.data)]:
            growing.write(made, length, ahead)
            for name, count in counted(recording.look()).items():
                sums[name] = sums.get(name, 0) + count
        what = "%d records at once, %d bytes more" % (step, ahead)
        look.equal(what, {"work": 100, "main": 20}, sums)
        look.equal("%s: then" % what, [], recording.look())


@case(CASES)
def files_that_come_and_go(look):
    """A complete one is not read again, one that was removed is forgotten, and a later one has its own tables."""
    growing = Growing(look)
    recording = growing.follow()
    look.equal("none", [], recording.look())
    growing.write(sampled.Profile(), 0)
    look.equal("no header", [], recording.look())
    growing.write(sampled.simple())
    look.equal("complete", {"work": 100, "main": 20}, counted(recording.look()))
    look.equal("complete: kept", [None], list(recording.followed.values()))
    other = sampled.Profile(pid=9, flags=0)
    other.sample(other.python(0, other.code("late")), weight=4)
    growing.write(other, name="pyperf-9-abcdef.samples")
    os.unlink(os.path.join(growing.folder, "pyperf-7-abcdef.samples"))
    look.equal("the next", {"late": 4}, counted(recording.look()))
    look.equal("files", ["pyperf-9-abcdef.samples"], [os.path.basename(path) for path in recording.followed])
    os.mkfifo(os.path.join(growing.folder, "pyperf-1-abcdef.samples"))
    os.symlink("/dev/zero", os.path.join(growing.folder, "pyperf-2-abcdef.samples"))
    look.equal("a FIFO, a link", [], recording.look())


@case(CASES)
def record_that_is_never_finished(look):
    """Of a thread that was killed: it is waited for, and then the samples behind it are read."""
    made = sampled.simple(flags=0)
    made.data += struct.pack("<II", sampled.UNFINISHED | 2 << 8, 5) + b"\1" * 8 + b"\0" * 16
    made.sample(made.python(0, made.code("late")))
    growing = Growing(look)
    growing.write(made)
    recording = growing.follow()
    got = [counted(recording.look()) for _ in range(following.LOOKS + 2)]
    look.equal("looks", [{"work": 100, "main": 20}] + [{}] * following.LOOKS + [{"late": 1}], got)


class Shown:
    """Tables of samples that come one after the other."""

    def __init__(self, look, by=None, watched=False, python_only=False):
        self.growing = Growing(look)
        self.recording = self.growing.follow(watched)
        self.view = view.View(python_only, by=by)
        self.whole = totals.Totals(self.recording, "x", self.view)

    def look(self, made):
        self.growing.write(made)
        found = totals.Totals(self.recording, "x", self.view)
        for one in self.recording.look():
            found.add(one)
            self.whole.add(one)
        self.interval = live_table.Interval(2.0, found)

    def lines(self, width=100, top=0, sort="own", height=None):
        style = columns.Style(width, top, False, sort)
        return [" ".join(one.split()) for one in live_table.lines("x", self.whole, self.interval, style, height)]


def later(made):
    """A second interval."""
    made.sample(made.python(0, made.code("late", line=3)), thread=8, weight=50)
    made.sample(made.python(0, made.code("main", line=20)), weight=150)
    return made


@case(CASES)
def shares_and_times(look):
    """Shares are of the interval, which is the order, too; times of all."""
    shown, made = Shown(look), sampled.simple(flags=0)
    shown.look(made)
    look.equal("--top 1", ["83.3 83.3 0.50 0.50 work /srv/app.py:7"], shown.lines(top=1)[6:])
    look.equal("--sort total", ["16.7 100.0 0.10 0.60 main /srv/app.py:20"], shown.lines(top=1, sort="total")[6:])
    shown.look(later(made))
    expected = ["own % total % own s total s function file", "75.0 75.0 0.85 1.35 main /srv/app.py:20"]
    expected += ["25.0 25.0 0.25 0.25 late /srv/app.py:3", "0.0 0.0 0.50 0.50 work /srv/app.py:7"]
    lines = shown.lines()
    look.equal("table", expected, lines[5:])
    look.equal("interval", "The last 2.0 s, in %: 200 samples of 2 threads, 50 % of a CPU", lines[3])
    said = "320 samples of cpu-clock, taken inside the program at 200 Hz, 1.6 s, 1 process, 100.0 % of stacks"
    look.equal("heading", ["x", said, "complete"], lines[:3])
    shown.look(made)
    look.equal("nothing new", ["0.0 0.0 0.85 1.35 main /srv/app.py:20"], shown.lines(top=1)[6:])


@case(CASES)
def height(look):
    """As many rows as there is room for."""
    shown, made = Shown(look), sampled.simple(flags=0)
    look.equal("before a sample", "No samples so far.", (shown.look(sampled.Profile(flags=0)), shown.lines())[1][-1])
    for number in range(50):
        made.sample(made.python(0, made.code("f%d" % number)))
    shown.look(made)
    for lines in (8, 24, 40, 100):
        look.equal("%d lines" % lines, min(lines, 58), len(shown.lines(height=lines)))
    look.equal("0 lines", 0, len(shown.lines(height=0)))


@case(CASES)
def threads_apart(look):
    """--by thread: the busiest of the interval first; all have some rows."""
    shown, made = Shown(look, by="thread"), sampled.simple(flags=0)
    made.thread(8, "worker")
    made.sample(made.python(0, made.code("read")), thread=8)
    shown.look(made)
    made.sample(made.python(0, made.code("late", line=3)), thread=8, weight=50)
    shown.look(made)
    heads = [line for line in shown.lines() if "% of all" in line]
    expected = ["worker (process 7, thread 8): 51 samples, 0.3 s, 29.8 % of all"]
    look.equal("threads", expected + ["python3 (process 7, thread 7): 120 samples, 0.6 s, 70.2 % of all"], heads)
    lines = shown.lines(height=16)
    rows = [line.split()[-2] for line in lines if "/srv/app.py" in line]
    look.equal("16 lines", (["late", "read", "work", "main"], 14), (rows, len(lines)))


@case(CASES)
def threads_that_wait(look):
    """Of elapsed time, what was on a CPU."""
    shown, made = Shown(look, watched=True), sampled.Profile(flags=2)
    frame = made.python(0, made.code("work"))
    for flags, weight in ((16, 40), (4 | 8, 60), (4, 100)):
        made.sample(frame, weight=weight, flags=flags)
    shown.look(made)
    expected = ["own % total % own s CPU s GIL s total s function file"]
    expected += ["100.0 100.0 1.00 0.20 0.30 1.00 work /srv/app.py:1"]
    look.equal("table", expected, shown.lines()[-2:])
    look.that("interval", "10 % of a CPU", "200 samples of 1 thread, 10 % of a CPU" in " ".join(shown.lines()), "")


@case(CASES)
def what_perf_is_given(look):
    """Of the file that it writes, the new samples, and all other records."""
    made = perf_recorded.Recording()
    made.comm(7, 1)
    made.sample(2)
    made.record(perf_recorded.FINISHED_ROUND, b"")
    path, scratch = look.path("perf.data"), look.path("scratch")
    growing = following_perf.Recording(path, scratch, None)
    look.equal("no file", [], growing.new_samples())
    first = made.bytes()
    for length in (50, 110):
        with open(path, "wb") as out:
            out.write(first[:length])
        look.equal("%d bytes" % length, [], growing.new_samples())
    with open(path, "wb") as out:
        out.write(first)
    kinds = [perf_recorded.COMM, perf_recorded.SAMPLE]
    samples = growing.new_samples()
    look.equal("first", kinds, [kind_of(one) for one in growing.others + samples])
    made.sample(3)
    made.fork(8, 7, 2)
    with open(path, "wb") as out:
        out.write(made.bytes() + b"\x09\0\0\0\0\0\xff")
    samples = growing.new_samples()
    look.equal("then: the time of each", [3], [struct.unpack_from("<Q", one, 24)[0] for one in samples])
    look.equal("others", [perf_recorded.COMM, perf_recorded.FORK], [kind_of(one) for one in growing.others])
    fields = struct.unpack_from("<8sQQQQQQQQ4Q", growing.head_of(growing.others + samples))
    look.equal("size, features", (sum(map(len, growing.others + samples)), [0] * 6), (fields[6], list(fields[7:])))


def kind_of(record):
    return struct.unpack_from("<I", record)[0]


if __name__ == "__main__":
    sys.exit(main("following", CASES))
