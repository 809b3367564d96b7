#!/usr/bin/env python3
"""pyperf-run --perf-data: programs that the sampler has recorded, as each perf of this machine reads them. One line for
each check; the exit status is 1 if any failed. The kernel's perf events are not needed."""

import collections
import json
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import perf  # of tests/integration: finds scripts/run
import sampled
from canned import TABLE
from looks import build_folder, case, main

import perf_script
import samples

RUN = os.path.join(looks.ROOT, "scripts", "pyperf-run")
CASES = []
PROGRAM = """import os, threading, time
clock = getattr(time, "process_time", None) or time.clock
def busy(seconds):
    end = clock() + seconds
    while clock() < end:
        sum(range(200))
        len(str(clock()))
class First:
    def work(self):
        busy(0.2)
        busy(0.1)
def outer():
    def work():
        busy(0.1)
    return work
def deep(count):
    if count:
        return deep(count - 1)
    outer()()
thread = threading.Thread(target=busy, args=(0.2,))
thread.start()
thread.join()
First().work()
deep(20)
if os.fork():
    os.wait()
else:
    busy(0.2)
"""
ROW = re.compile(r"\s+(\d+\.\d+)%\s+\d+\.\d+%\s+\[\.\] (py::.*?)\s{2,}(\S.*?)\s*$")
LEAST = 0.02  # share of a row that is looked at


def environment(look, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "LC_", "LD_", "PERF"))}
    os.makedirs(look.path("tmp"), exist_ok=True)
    # perf keeps copies of files in HOME, and debuginfod would be asked for them.
    more.update(PYPERF_LIBRARY=os.path.join(BUILD, "libpyperf.so"), TMPDIR=look.path("tmp"), HOME=look.path("tmp"))
    kept.pop("DEBUGINFOD_URLS", None)
    return dict(kept, LC_ALL="C.UTF-8", **more)


def run(look, *words):
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=look.folder,
        env=environment(look), timeout=300,
    )
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode()


def perfs():
    """(version, path) of each perf that runs here."""
    found = []
    for path in ["perf"] * bool(shutil.which("perf")) + interpreters.fetched("perf"):
        done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            found.append((done.stdout.decode().split()[-1], path))
    return found


def chosen(series):
    """An interpreter without debug information, which perf would read for each line of C."""
    found = [one for one in interpreters.find()[0] if one.series == series and not one.debug and not one.musl]
    found.sort(key=lambda one: os.path.join("", ".pyenv", "") in one.path)
    return found[0] if found else None


def lines_of(look, profile):
    """{(symbol, file:line): percent} of the sampler's profile, by our own table."""
    out = run(look, RUN, "--report", profile, "--lines", "--json", "-")[1]
    found = {}
    for one in json.loads(out)["events"][0]["functions"]:
        place = "%s:%d" % (os.path.basename(one["file"]), one["line"])
        found["py::%s:%s" % (one["name"], one["file"]), place] = 100 * one["total_share"]
    return found


def looks_right_in_report(look, label, path, profile):
    status, out, err = run(look, path, "report", "-i", "x.data", "--stdio", "-s", "sym,srcline", "-g", "none")
    look.equal("%s report: status" % label, 0, status)
    got = collections.Counter()
    for row in filter(None, map(ROW.match, out.splitlines())):
        got[row.group(2), row.group(3)] += float(row.group(1))
    expected = {key: share for key, share in lines_of(look, profile).items() if share > 100 * LEAST}
    wrong = {key: (share, got.get(key)) for key, share in expected.items() if abs(share - got.get(key, -1)) > 0.1}
    rows = "%s report: functions, lines and shares" % label
    look.that(rows, "of %d rows" % len(expected), not wrong, repr(wrong)[:600])
    lines = {place for name, place in expected if "program.py" in name}
    needed = {"program.py:%d" % line for line in (6, 10, 11, 14, 18, 19, 23)}
    look.that("%s report: lines of the program" % label, sorted(needed), needed <= lines, sorted(lines))


def looks_right_in_script(look, label, path, profile):
    """Each sample is what it was: time, thread, period, and the whole stack of Python functions."""
    words = [path, "script", "-i", "x.data", "--fields", perf_script.FIELDS] + perf_script.WHOLE_STACKS
    status, out, err = run(look, *words)
    look.equal("%s script: status" % label, 0, status)
    got = list(perf_script.parse(out.split("\n")))
    moments = list(samples.Recording(look.path(profile)).moments())
    look.equal("%s script: samples" % label, len(moments), len(got))
    look.equal("%s script: periods" % label, sum(one.period for one in moments), sum(one.period for one in got))
    wrong = []
    for ours, theirs in zip(moments, got):
        pairs = [(ours.pid, theirs.pid), (ours.tid, theirs.tid), (ours.comm, theirs.comm), (ours.python, theirs.python)]
        pairs += [(ours.period, theirs.period), (len(ours.frames), len(theirs.frames))]
        wrong += [pair for pair in pairs + [(True, abs(ours.time - theirs.time) < 1.1e-6)] if pair[0] != pair[1]]
    look.that("%s script: each sample" % label, "the same", not wrong, repr(wrong[:2])[:600])
    python = [one.python for one in got if one.python]
    whole = [one for one in python if re.match(r"<module>:|Thread\._*bootstrap:", one[-1])]
    share = len(whole) / len(python)
    look.that("%s script: down to <module>, or the thread's begin" % label, "95 %", share > 0.95, str(share))
    deepest = max(sum(name.startswith("deep:") for name in one) for one in python)
    look.equal("%s script: calls of deep" % label, 21, deepest)


def recorded(look, series, *options):
    found = chosen(series)
    if found is None:
        look.skip("no Python %d.%d here" % series)
        return False
    with open(look.path("program.py"), "w") as out:
        out.write(PROGRAM)
    words = [RUN, "-q", "-F", "499", "--perf-data", "x.data", "--firefox", "x.json"] + list(options)
    status, out, err = run(look, *(words + ["--", found.path, look.path("program.py")]))
    look.equal("%s: status, output" % found.label, (0, "", ""), (status, out, err))
    return True


def as_perf_reads_it(look, series):
    if not recorded(look, series):
        return
    files = ["program.py", "pyperf.samples", "tmp", "x.data", "x.data.functions.so", "x.json"]
    look.equal("files", files, sorted(os.listdir(look.folder)))
    if not perfs():
        look.skip("no perf here")
    for version, path in perfs():
        label = "%d.%d, perf %s" % (series + (version,))
        looks_right_in_script(look, label, path, "pyperf.samples")
        # perf 5.10 takes a minute for the lines of a report: once is enough.
        if not version.startswith("5.") or series > (3, 0):
            looks_right_in_report(look, label, path, "pyperf.samples")


@case(CASES)
def recorded_by_3_11(look):
    as_perf_reads_it(look, (3, 11))


@case(CASES)
def recorded_by_2_7(look):
    as_perf_reads_it(look, (2, 7))


@case(CASES)
def the_table_of_it(look):
    """The perf.data gives the table that its profile gives."""
    if not shutil.which("perf"):
        look.skip("no perf here")
    elif recorded(look, (3, 11), "--sampler=inside", "-o", "y.samples"):
        shown = []
        for profile in ("y.samples", "x.data"):
            status, out, err = run(look, RUN, "--report", profile, "--json", "-")
            look.equal("%s: status, stderr" % profile, (0, ""), (status, err))
            event = json.loads(out)["events"][0]
            keys = ("name", "file", "own", "total")
            shown.append(([tuple(one[key] for key in keys) for one in event["functions"]], event["processes"]))
        look.equal("functions, processes", shown[0], shown[1])
        run(look, RUN, "--report", "x.data", "--perf-data", "z.data")
        texts = [run(look, "perf", "script", "-i", profile)[:2] for profile in ("x.data", "z.data")]
        look.that("a perf.data of it", "the same stacks", texts[0] == texts[1] and texts[0][1], texts[1][1][:300])


@case(CASES)
def stacks_that_are_too_long(look):
    # Of no process that is there: perf looks for files in the mount namespace of one that is.
    made = sampled.Profile(pid=2 ** 22 - 1)
    trunk, code = 0, made.code("f")
    for _ in range(20000):
        trunk = made.python(trunk, code)
    for number in range(5):
        made.sample(trunk, time=10 ** 10 + number)
    made.sample(0, time=10 ** 10 + 10)  # and none
    with open(look.path("long.samples"), "wb") as out:
        out.write(made.bytes())
    words = [sys.executable, TABLE, "--data", out.name, "--perf-data", look.path("x.data"), "--out", os.devnull]
    look.equal("status, output", (0, "", ""), run(look, *words))
    for version, path in perfs():
        words = [path, "script", "-i", "x.data", "--max-stack", "20000", "-F", "comm,time,ip,sym"]
        status, out, err = run(look, *words)
        counts = (status, out.count("[frames left out]"), out.count("py::f:/srv/app.py"), out.count("python3 "))
        look.equal("perf %s script" % version, (0, 5, 5 * 8183, 6), counts)
        status, out, err = run(look, path, "report", "-i", "x.data", "--stdio", "--max-stack", "20000", "-g", "none")
        look.that("perf %s report" % version, "83 %", status == 0 and "83.33%" in out, (out + err)[-500:])


if __name__ == "__main__":
    BUILD = build_folder(__doc__)
    sys.exit(main("perf_reads", CASES))
