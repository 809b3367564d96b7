#!/usr/bin/env python3
"""pyperf-run --report FOLDER --send: what processes write there is sent when it is complete, and once. One line for
each check; the exit status is 1 if any failed. No perf is needed."""

import fcntl
import glob
import json
import mmap
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too
from looks import build_folder, case, main

import interpreters
import sampled
from sends import Look, environment, send, sum_of, write
from store import Store

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import sample_file

CASES = []
ROUNDS = """
import os, sys
while not os.path.exists(sys.argv[1]):
    sum(range(99999))
"""
SECOND = 10 ** 9


def profile(pid, began, samples=1, flags=sampled.WHOLE):
    """Of a process, in nanoseconds since 1970."""
    made = sampled.Profile(pid=pid, began=began, ended=began + SECOND if flags else 0, flags=flags)
    code = made.code("work")
    for number in range(samples):
        made.sample(made.python(0, code, number), time=began + number)
    return made.bytes()


def filled(look):
    """Two complete files, one of a process that was killed, and one of a process that still writes it."""
    now = int(time.time()) * SECOND
    for name, data in (
        ("pyperf-7-AAAAAA", profile(7, now - 60 * SECOND, 2)),
        ("pyperf-7-BBBBBB", profile(7, now - 30 * SECOND, 4)),
        ("pyperf-8-CCCCCC", profile(8, now - 3600 * SECOND, 8, 0)),
        ("pyperf-9-DDDDDD", profile(9, now - 10 * SECOND, 16, 0)),
    ):
        write(look, "d/%s.samples" % name, data)
    return look.path("d")


def sums(store):
    return [sum_of(one) for one in store.received]


@case(CASES)
def once_each(look):
    folder = filled(look)
    with Store() as store, Store() as other:
        with open(os.path.join(folder, "pyperf-8-CCCCCC.samples"), "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            look.equal("status, stderr", (0, []), send(look, "d", store.url("parca")))
            look.equal("complete ones, and none that is mapped", [2, 4], sums(store))
            mapped.close()
        look.equal("again", (0, []), send(look, "d", store.url("parca")))
        look.equal("with that of a process that has ended", [2, 4, 8], sums(store))
        write(look, "d/pyperf-9-DDDDDD.samples", profile(9, int(time.time()) * SECOND, 16))
        os.unlink(os.path.join(folder, "pyperf-7-AAAAAA.samples"))
        send(look, "d", store.url("parca"))
        look.equal("a later one", [2, 4, 8, 16], sums(store))
        send(look, "d", other.url("pyroscope"))
        look.equal("another store: those that are there", [4, 8, 16], sorted(sums(other)))
        with open(os.path.join(folder, "sent.json")) as file:
            noted = json.load(file)
        names = [sorted(one.split()[0][:8] for one in files) for _, files in sorted(noted.items())]
        look.equal("what is noted of them", [["pyperf-7", "pyperf-8", "pyperf-9"]] * 2, names)
        look.equal("wrong", [], store.wrong + other.wrong)


@case(CASES)
def a_store_that_fails(look):
    """What it did not get is sent by the next one; what it refuses is not."""
    filled(look)
    with Store() as store:
        store.answers += [(200, {}), (503, "later")]
        status, lines = send(look, "d", store.url("pyroscope"))
        look.equal("down: status, lines, requests", (1, 1, 2), (status, len(lines), len(store.headers)))
        later = "d stays: pyperf-run --report d --send %s --service shop" % store.url("pyroscope")
        look.that("down: line", later, "HTTP 503: later; " in lines[0] and lines[0].endswith(later), lines)
        store.answers.append((400, "too old"))
        status, lines = send(look, "d", store.url("pyroscope"))
        look.that("refuses", "status 1, a line", (status, len(lines)) == (1, 1), lines)
        look.that("refuses: line", "not sent again", "is not sent again: HTTP 400: too old" in lines[0], lines)
        look.equal("the last one is sent", [4], sums(store))
        look.equal("then: status, stderr", (0, []), send(look, "d", store.url("pyroscope")))
        look.equal("then: requests", 4, len(store.headers))
        look.equal("wrong", [], store.wrong)


@case(CASES)
def of_pyperf_run(look):
    """What pyperf-run has packed is complete, whatever its processes say: several of them in one request."""
    with Store() as store:
        now = int(time.time()) * SECOND
        parts = [profile(pid, now, count, 0) for pid, count in ((7, 3), (8, 5))]
        write(look, "d/1.samples", b"".join(map(sample_file.packed, parts)))
        write(look, "d/2.samples", b"".join(parts))
        old = [one.path for one in interpreters.find()[0] if one.series == (2, 7)]
        more = dict(PYPERF_PYTHON=old[0]) if old else {}  # its names of files are bytes
        look.equal("status, stderr", (0, []), send(look, "d", store.url("pyroscope"), **more))
        look.equal("again", (0, []), send(look, "d", store.url("pyroscope"), **more))
        got = [[(one.labels["process_pid"], sum_of([one])) for one in request] for request in store.received]
        look.equal("processes, samples", [[("7", 3), ("8", 5)]], got)
        look.equal("wrong", [], store.wrong)


@case(CASES)
def odd_folders(look):
    os.makedirs(look.path("d"))
    with Store() as store:
        look.equal("empty", (0, []), send(look, "d", store.url("parca")))
        filled(look)
        write(look, "d/pyperf-1-EEEEEE.samples", b"PYPERFS1")
        write(look, "d/pyperf-2-FFFFFF.samples", b"")
        held = os.open(look.path("d"), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        status, lines = send(look, "d", store.url("parca"))
        good = status == 1 and "another pyperf-run is sending" in lines[0]
        look.that("another sender: status 1", "a line", good, lines)
        os.close(held)
        write(look, "d/sent.json", b"{")
        status, lines = send(look, "d", store.url("parca"))
        look.that("a damaged list: status 1", "a line", status == 1 and "sent.json is damaged" in lines[0], lines)
        os.unlink(look.path("d", "sent.json"))
        if os.geteuid() == 0:
            look.skip("root may write everywhere")
        else:
            os.chmod(look.path("d"), 0o555)
            status, lines = send(look, "d", store.url("parca"))
            os.chmod(look.path("d"), 0o755)
            look.that("not writable: status 1", "a line", status == 1 and "cannot be noted" in lines[0], lines)
        look.equal("requests", 0, len(store.headers))
        look.equal("files that have not begun", (0, []), send(look, "d", store.url("parca")))
        look.equal("the others", 3, len(store.received))


@case(CASES)
def while_it_runs(look):
    """A process that begins a file each second: each sample arrives once."""
    os.makedirs(look.path("d"))
    more = dict(PYPERF_SAMPLER="99:every=1:keep=99", PYPERF_DIR=look.path("d"))
    preload = dict(environment(look, **more), LD_PRELOAD=os.path.join(look.build, "libpyperf.so"))
    child = subprocess.Popen([sys.executable, "-c", ROUNDS, look.path("end")], env=preload)
    with Store() as store:
        while len(glob.glob(look.path("d", "*.samples"))) < 3:
            time.sleep(0.1)
        look.equal("while it runs", (0, []), send(look, "d", store.url("pyroscope")))
        before = len(store.received)
        write(look, "end", b"")
        child.wait()
        look.equal("when it has ended", (0, []), send(look, "d", store.url("pyroscope")))
        got = (before, len(store.received))
        look.that("requests", "one before, and one after", 0 < got[0] < got[1], got)
        files = glob.glob(look.path("d", "*.samples"))
        look.equal("one for each file", len(files), len(store.received))
        words = [os.path.join(looks.ROOT, "scripts", "pyperf-run"), "--report", "d", "--json", "-"]
        shown = subprocess.run(words, env=environment(look), cwd=look.folder, stdout=subprocess.PIPE)
        samples = json.loads(shown.stdout.decode())["events"][0]["samples"]
        look.equal("samples", samples, sum(sums(store)))
        begins = [one.profile.time for got in store.received for one in got]
        look.equal("each at its time", len(files), len(set(begins)))
        look.equal("wrong", [], store.wrong)


if __name__ == "__main__":
    Look.build = build_folder(__doc__)
    sys.exit(main("send folder", CASES, kind=Look))
