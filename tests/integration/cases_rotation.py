"""The sampler's files that follow each other, PYPERF_SAMPLER=...:every=1:keep=N: each complete by itself, the last ones
kept, and nothing counted twice or lost between them."""

import collections
import glob
import json
import os

import sampler
from harness import case

CASES = []
HZ = 500


def run(bench, part, words, hz=HZ, said=""):
    """The answer of a part of programs/continuous.py, and its profile. said: how its only line on stderr begins."""
    sampler.remove(bench)
    command = [bench.python, bench.program("continuous.py"), part]
    done, recording = sampler.run(bench, command, "%d:%s" % (hz, words))
    seen = (done.status, done.err[: len(said)], done.err.count("\n"))
    bench.equal("%s, %s: status, stderr, lines" % (part, words), (0, said, int(bool(said))), seen)
    return json.loads(done.out or "null"), recording


def files(recording, pid=None):
    """Of one process or all, by their time."""
    found = [one for one in recording.processes if pid in (None, one.part.header.pid)]
    return sorted(found, key=lambda one: (one.part.header.pid, one.part.header.began))


def sampled(one):
    """Seconds of CPU time that the samples of a file stand for."""
    return sum(one.seen.values()) * one.part.header.period / 1e9


def check_file(bench, what, one, part=0.03):
    """Complete by itself: its end, its CPU time, its own mappings, code and threads."""
    header, whole = one.part.header, list(one.samples("cpu-clock", False))
    bench.equal(what + ": whole, lost, damaged", (1, 0, 0), (header.flags, header.lost, one.part.damaged + one.orphans))
    bench.that(what + ": seconds of its samples", "%.3f" % (header.used / 1e9), is_near(sampled(one), header.used / 1e9, part), "%.3f" % sampled(one))
    outside = [time for time in times(one) if not header.began <= time <= header.ended]
    bench.equal(what + ": times of samples outside of it", [], outside)
    # From 3.14 on, threads have names of their own, but for the first one, and for those sampled before they had it.
    others = {sample.tid for sample in whole} - {header.pid} if bench.interpreter.series >= (3, 14) else set()
    found = len(others & set(one.threads))
    bench.that(what + ": threads with their name", "most of %d" % len(others), found >= 0.5 * len(others), str(found))
    names = {sample.comm for sample in whole if sample.tid not in others}
    bench.equal(what + ": name of the others", {one.name}, names | {one.name})
    unknown = sum(sample.count for sample in whole if any(frame.symbol == frame.object for frame in sample.frames))
    bench.that(what + ": frames of no known file", "1 % of samples at the most", unknown <= 0.01 * len(whole) + 1, str(unknown))
    if not bench.interpreter.musl:
        good = sum(sample.count for sample in whole if sample.whole)
        all_of = sum(sample.count for sample in whole)
        bench.that(what + ": whole stacks", "99 %, or all but 2", good >= min(0.99 * all_of, all_of - 2), "%d of %d" % (good, all_of))


def times(one):
    """Of all its samples."""
    reader = sampler.reader.sample_file
    found = [at for at, kind, _ in one.part.records() if kind == reader.SAMPLE]
    return [reader.SAMPLE_BODY.unpack_from(one.part.data, at)[-1] for at in found]


def is_near(seconds, expected, part=0.03):
    """The kernel looks at timers at its ticks, and what is missed while a file is replaced goes to the next."""
    return abs(seconds - expected) <= part * expected + 0.03


def check_row(bench, what, found, longest=3, part=0.03):
    """One after the other, without a gap."""
    for number, one in enumerate(found):
        check_file(bench, "%s %d" % (what, number), one, part)
    for one, other in zip(found, found[1:]):
        gap = (other.part.header.began - one.part.header.ended) / 1e9
        bench.that(what + ": seconds between two", "0 to 1", 0 <= gap < 1, "%.4f" % gap)
        lasted = (one.part.header.ended - one.part.header.began) / 1e9
        bench.that(what + ": its seconds", "1 to %s" % longest, 1 <= lasted < longest, "%.3f" % lasted)


def check_alone(bench):
    """Each file is a profile."""
    for path in glob.glob(os.path.join(bench.images, "*.samples")):
        found = list(sampler.reader.Recording(path).records())
        bench.that("a file alone: samples", "some", found, str(len(found)))


@case(CASES)
def sampler_rotation(bench):
    """All files of a process together have its CPU time; with few that are kept, the last ones are there."""
    (whole, here), recording = run(bench, "busy", "every=1:keep=100")
    found = files(recording)
    bench.that("files", "3 to 5", 3 <= len(found) <= 5, str(len(found)))
    check_row(bench, "file", found)
    check_alone(bench)
    bench.that("CPU time of all", "%.2f to %.2f" % (here, whole), here - 0.05 <= recording.used[0] <= whole + 0.1, "%.3f" % recording.used[0])
    all_of = sum(map(sampled, found))
    bench.that("seconds of samples", "%.3f" % recording.used[0], is_near(all_of, recording.used[0]), "%.3f" % all_of)
    bench.that("elapsed", "3.6 to 6 s", 3.6 <= recording.lasted < 6, "%.2f" % recording.lasted)
    bench.equal("functions of all but the last", True, all("burn" in {name for one in file.samples("cpu-clock", False) for name in sampler.names(one)} for file in found[:-1]))
    _, recording = run(bench, "busy", "threads:every=1:keep=2")
    found = files(recording)
    bench.equal("keep=2: files", 2, len(found))
    check_row(bench, "keep=2: file", found)


@case(CASES)
def sampler_rotation_of_idle(bench):
    """A file begins with a sample: one that waits makes none. At 20 Hz, because to look at the files is work, too."""
    answer, recording = run(bench, "idle", "every=1", 20)
    bench.equal("files after waiting, after work", [1, 2], answer)
    lasted = [(one.part.header.ended - one.part.header.began) / 1e9 for one in files(recording)]
    bench.that("seconds of each", "more than 3, less than 1", len(lasted) == 2 and lasted[0] > 3 and lasted[1] < 1, str(lasted))


@case(CASES)
def sampler_rotation_of_threads(bench):
    """Long ones and short ones, which are sampled while the file is replaced."""
    # With a timer for each, what threads use before it is armed and after their last signal is in no sample.
    for words, part in (("every=1:keep=100", 0.03), ("threads:every=1:keep=100", 1)):
        whole, recording = run(bench, "threads", words)
        found = files(recording)
        bench.that(words + ": files", "3 to 6", 3 <= len(found) <= 6, str(len(found)))
        check_row(bench, words, found, part=part)
        all_of = sum(map(sampled, found))
        bench.that(words + ": seconds of samples", "%.2f" % whole, (0.95 - part) * whole - 0.1 <= all_of <= 1.03 * whole + 0.03, "%.3f" % all_of)


@case(CASES)
def sampler_rotation_of_children(bench):
    """Each process keeps its own files, and removes none of another."""
    answer, recording = run(bench, "children", "every=1:keep=2")
    bench.equal("statuses", [0, 0, 0], answer["statuses"])
    count = collections.Counter(one.part.header.pid for one in files(recording))
    bench.equal("files of the parent and its children", [2, 2, 2], [count[pid] for pid in [answer["pid"]] + answer["pids"]])
    bench.equal("of a child without fork handlers", 0, count[answer["raw"]])
    others = [pid for pid in count if pid not in [answer["pid"]] + answer["pids"]]
    bench.equal("files of their children", [2, 2], [count[pid] for pid in others])
    for pid in count:
        for number, one in enumerate(files(recording, pid)):
            # A child that ends by os._exit does not complete its last file.
            if number == 0 or pid == answer["pid"]:
                check_file(bench, "of %s, file %d" % ("the parent" if pid == answer["pid"] else "a child", number), one)


@case(CASES)
def sampler_rotation_and_others(bench):
    """A file in the place of one of ours, and a link, are another's."""
    answer, _ = run(bench, "outsiders", "every=1:keep=2")
    bench.equal("what others have put there, files", [["another's", True, True], 2], answer)


@case(CASES)
def sampler_rotation_without_room(bench):
    """While no file can be made, what was there is complete; then sampling goes on."""
    (whole, parts), recording = run(bench, "holes", "every=1:keep=100", said="libpyperf: not sampling: no file of samples")
    found = files(recording)
    for number, one in enumerate(found):
        check_file(bench, "file %d" % number, one)
    missed = sum(part[1] for part in parts)
    all_of = sum(map(sampled, found))
    # A hole begins when the span of the present file is over.
    bench.that("seconds of samples", "from %.2f to %.2f" % (whole - missed, whole), whole - missed - 0.2 <= all_of <= whole - 0.3 * missed, "%.3f" % all_of)
    gaps = [(other.part.header.began - one.part.header.ended) / 1e9 for one, other in zip(found, found[1:])]
    bench.equal("holes", 2, sum(gap > 0.5 for gap in gaps))
    bench.equal("what is left over", [], [name for name in os.listdir(bench.images) if not name.endswith(".samples")])
    check_alone(bench)


@case(CASES)
def sampler_rotation_switched(bench):
    """By the program, on and off again: its files are its last ones, too."""
    answer, recording = run(bench, "switched", "later:every=60:keep=2")
    bench.equal("files", [1, 2, 2, 2], answer)
    for one in files(recording):
        check_file(bench, "file", one)
