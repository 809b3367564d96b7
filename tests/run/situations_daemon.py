"""A program that daemonises."""

import os
import re
import time

import perf
from harness import case, finish
from recorded import start_run

CASES = []
DAEMON = """
import os, sys, time
def early():
    return sum(i * i for i in range(1000))
def late():
    return sum(i * i for i in range(1000))
def run(work, seconds):
    end = time.time() + seconds
    while time.time() < end:
        work()
def daemonise():
    if os.fork():
        os.waitpid(-1, os.WNOHANG)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
def main():
    run(early, 0.5)
    daemonise()
    with open("pid", "w") as out:
        out.write(str(os.getpid()))
    while not os.path.exists("stop"):
        run(late, 0.1)
main()
"""


def names(bench, data):
    done = bench.run(["perf", "script", "-i", data] + perf.FIELDS)
    return {name.split(":")[0] for one in perf.samples(done.out) for name in one.python}


@case(CASES, needs=("perf",))
def daemon(bench):
    """It is told of, with -q too, with the command that records it, and that command keeps its names."""
    program = bench.write("daemon.py", DAEMON)
    try:
        done = finish(start_run(bench, "-q", "--", bench.python, program))
        with open(os.path.join(bench.folder, "pid")) as file:
            pid = int(file.read())
        command = re.search(r"pyperf-run (-p \d+ --) sleep 60", done.err)
        bench.equal("the command", "-p %d --" % pid, command and command.group(1))
        bench.equal("-q: nothing else", 1, done.err.count("\n"))
        done = finish(start_run(bench, "--report", "perf.data"))
        bench.that("the table", "early", " early " in done.out, done.out[:300])
        for number in range(3):
            done = finish(start_run(bench, "-p", str(pid), "--", "sleep", "1"))
            bench.that("attached, %d: names" % number, "late", " late " in done.err, done.err)
            seconds = re.search(r"^(\d+\.\d) s elapsed", done.err, re.MULTILINE)
            bench.that("attached, %d: elapsed" % number, "1.0 s or more", seconds and float(seconds.group(1)) >= 1, done.err)
    finally:
        bench.write("stop", "")
    wait_for_end(pid)
    done = finish(start_run(bench, "--", "true"))
    bench.that("nothing goes on", "no -p", " -p " not in done.err, done.err)
    bench.equal("names in perf.data.old", True, "late" in names(bench, "perf.data.old"))
    finish(start_run(bench, "-q", "--", "true"))
    left = os.path.exists(os.path.join(bench.folder, "perf.data.images"))
    bench.equal("images of no profile are left", False, left)


def wait_for_end(pid):
    end = time.time() + 10
    while os.path.exists("/proc/%d" % pid) and time.time() < end:
        time.sleep(0.05)
