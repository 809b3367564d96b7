#!/usr/bin/env python3
"""pyperf-run --live: the terminal's screen, tables in a pipe, signals, attached processes, and what is left. One line
for each check; the exit status is 1 if any failed. No perf is needed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import perf_recorded
import sampled
from canned import EVALUATOR, START, Canned, py, sample
from fake_attach import Attaching
from looks import build_folder, case, main

from harness import wait_for

CASES = []
RUN = os.path.join(looks.ROOT, "scripts", "pyperf-run")
ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l\x1b[?7l", b"\x1b[?7h\x1b[?25h\x1b[?1049l"
TIMEOUT = 60
AT_END = "own s  own %"  # titles of the last table
BUSY = """
import signal, sys, time
def work(end):
    while time.time() < end:
        sum(range(99))
print("begun", flush=True)
if "catch" in sys.argv:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
work(time.time() + float(sys.argv[1]))
print("done", "" if sys.stdin.isatty() else sys.stdin.read(), flush=True)
sys.exit(3)
"""


class Sub:
    def __init__(self, look, name):
        self.folder = look.path(str(name))
        os.mkdir(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)


def environment(look, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "LC_", "LD_", "COLUMNS"))}
    os.makedirs(look.path("tmp"), exist_ok=True)
    more.update(PYPERF_LIBRARY=os.path.join(BUILD, "libpyperf.so"), TMPDIR=look.path("tmp"), LC_ALL="C.UTF-8")
    return dict(kept, TERM="xterm", **more)


def command(look, *options, arguments=("60",)):
    os.makedirs(look.path("work"), exist_ok=True)
    with open(look.path("busy.py"), "w") as out:
        out.write(BUSY)
    return [RUN, "--live"] + list(options) + ["--", sys.executable, out.name] + list(arguments)


def left(look):
    """Files of ours, and those in the folder of the run."""
    return sorted(os.listdir(look.path("tmp")) + os.listdir(look.path("work")))


class Terminal:
    """A command on a terminal of that size."""

    def __init__(self, words, folder, variables, size=(30, 100)):
        self.text = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(words[0], words, variables)
        self.resize(*size)

    def resize(self, lines, width):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", lines, width, 0, 0))

    def read(self):
        """False at the end."""
        try:
            part = os.read(self.master, 65536) if select.select([self.master], [], [], TIMEOUT)[0] else b""
        except OSError:  # EIO: the terminal's last process has ended
            part = b""
        self.text += part
        return bool(part)

    def until(self, pattern, after=0):
        while not re.search(pattern, self.text[after:], re.S) and self.read():
            pass
        return bool(re.search(pattern, self.text[after:], re.S))

    def end(self):
        """The status."""
        while self.read():
            pass
        os.close(self.master)
        return os.waitpid(self.pid, 0)[1]

    @property
    def screens(self):
        return [one.split(b"\x1b[J")[0] for one in self.text.split(b"\x1b[H")[1:]]


@case(CASES)
def screen(look):
    """Ctrl-C is the program's. The screen is left before anything else is printed; nothing stays."""
    words = command(look, arguments=["60", "catch"])
    shown = Terminal(words, look.path("work"), environment(look))
    look.equal("a table", True, shown.until(b"work.*busy.py:3.*work.*busy.py:3"))
    before = len(shown.text)
    shown.resize(8, 60)
    look.equal("a smaller one", True, shown.until(b"\x1b\\[J", before))
    os.write(shown.master, b"\x03")
    status = shown.end()
    look.equal("status", 5, os.WEXITSTATUS(status))
    kept, _, behind = shown.text.rpartition(LEAVE)
    look.equal("screens entered, left", (1, 1), (shown.text.count(ENTER), shown.text.count(LEAVE)))
    look.equal("before the screen", b"", shown.text.partition(ENTER)[0])
    good = behind.startswith(b"begun\r\n") and b"own s" in behind and b"work" in behind
    look.that("behind it", "the program's output, the table", good, repr(behind[:300]))
    look.equal("program's output on the screen", False, b"begun" in kept)
    first, last = (len(shown.screens[at].split(b"\n")) for at in (0, -1))
    look.that("lines of the screen", "30 at the most, then 8", first <= 30 and last == 8, "%d, %d" % (first, last))
    look.equal("left", [], left(look))


@case(CASES)
def ended_by_others(look):
    """SIGTERM; SIGKILL of the viewer, and of pyperf-run: the terminal is as it was."""
    for number, whom in ((signal.SIGTERM, "run"), (signal.SIGKILL, "viewer"), (signal.SIGKILL, "run")):
        here = Sub(look, "%s-%d" % (whom, number))
        shown = Terminal(command(here, arguments=["4"]), here.path("work"), environment(here))
        shown.until(b"work.*busy.py:3")
        os.kill(shown.pid if whom == "run" else viewer_of(shown.pid), number)
        status = shown.end()
        what = "%s of the %s" % (signal.Signals(number).name, whom)
        behind = shown.text.rpartition(LEAVE)[2]
        look.equal("%s: the screen is left" % what, (1, 1), (shown.text.count(ENTER), shown.text.count(LEAVE)))
        if (number, whom) != (signal.SIGKILL, "run"):
            expected = signal.SIGTERM if number == signal.SIGTERM else 3 << 8
            got = status, b"own s" in behind, left(here)
            look.equal("%s: status, a table, left" % what, (expected, True, []), got)


def viewer_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        children = file.read().split()
    for one in children:
        with open("/proc/%s/cmdline" % one) as file:
            if "live.py" in file.read():
                return int(one)


def run(look, words, **more):
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=look.path("work"),
        env=environment(look, **more), timeout=TIMEOUT, universal_newlines=True,
    )
    return done.returncode, done.stdout, done.stderr


@case(CASES)
def into_a_pipe(look):
    """Each interval a table, on stderr; the last one is that of a profile, which -o keeps."""
    status, out, err = run(look, command(look, "--top", "3", arguments=["3.5"]))
    look.equal("status, stdout", (3, "begun\ndone \n"), (status, out))
    good = err.count("The last ") in (1, 2, 3, 4) and err.count(AT_END) == 1
    look.that("tables", "1 to 4, one at the end", good, err)
    look.that("control characters", "none", not re.search(r"[\x00-\x09\x0b-\x1f]", err), repr(err))
    look.equal("left", [], left(look))
    status, out, err = run(look, command(look, "--every", "2", "-o", "x.samples", "--json", "x.json", arguments=["3.8"]))
    look.equal("-o: status, tables", (3, 1, 1), (status, err.count("The last "), err.count(AT_END)))
    look.equal("-o: left", ["x.json", "x.samples"], left(look))
    status, out, err = run(look, command(look, "-q", "--python-only", "--by", "thread", arguments=["4"]))
    good = "% of all" in err and AT_END not in err and "left out" in err
    look.that("-q: status, no last table", "3, none", status == 3 and good, err)


@case(CASES)
def refused(look):
    words = command(look)
    for options, said in (
        (["--report", "x"], "--report is not for it"),
        (["--diff", "x", "y"], "--diff is not for it"),
        (["--doctor"], "--doctor is not for it"),
        (["--attach", "1"], "--attach is not for it"),
        (["--callers", "f"], "--live shows the table: --callers"),
        (["--source", "x.py"], "--live shows the table: --source"),
        (["--send", "parca+http://h", "--service", "s"], "name one with -o"),
        (["--every", "0"], "--every 0: an interval takes a second at least"),
        (["--every", "x"], "--every x: not a number"),
        (["--sampler=perf", "--lines"], "--lines: perf knows no lines"),
    ):
        status, out, err = run(look, [RUN, "--live"] + options + ([] if "--d" in options[0] else words[2:]))
        got = status, out, err.count("\n"), said in err
        look.equal("%s: status, stdout, lines, says" % options[0], (2, "", 1, True), got)
    status, _, err = run(look, [RUN, "--every", "2", "--", "true"])
    look.equal("--every alone", (2, "pyperf-run: --every 2: is for --live\n"), (status, err))
    for options, expected in (([], 2), (["x-1"], 127), (["--", "12"], 127)):
        look.equal("--live %s: status" % " ".join(options), expected, run(look, [RUN, "--live"] + options)[0])


def read_to(file, text):
    """What is in it up to the line with that text."""
    seen = ""
    for line in iter(file.readline, ""):
        seen += line
        if text in line:
            break
    return seen


@case(CASES)
def attached(look):
    """Tables on stdout; Ctrl-C switches off, as with -p, and nothing stays; the process ends."""
    with Attaching(look) as work:
        process = work.process()
        pid = str(process.pid)
        for words, kept in ((["--live", pid], "3"), (["-o", "x.samples", "--live=" + pid], "1000")):
            what = " ".join(words)
            child = work.start(*words)
            wait_for(lambda: work.state_of(process.pid)["sampling"])
            out = read_to(child.stdout, "The last ")
            child.send_signal(signal.SIGINT)
            more, err = child.communicate(timeout=TIMEOUT)
            out += more
            look.equal("%s: status" % what, -signal.SIGINT, child.returncode)
            look.that("%s: tables" % what, "of the interval, at the end", "The last " in out and AT_END in out, out)
            good = err.startswith("pyperf-run: attached to process") and err.count("\n") == 1
            look.that("%s: stderr" % what, "a line", good, err)
            look.equal("%s: every, keep" % what, "199:every=60:keep=%s" % kept, work.commands("sample")[0][-1])
            look.equal("%s: off" % what, False, work.state_of(process.pid)["sampling"])
        look.equal("left", ["x.samples"], left(look))
        child = work.start("--live", pid)
        child.stdout.readline()
        child.stdout.close()
        look.equal("nobody reads: status", -signal.SIGTERM, child.wait(timeout=TIMEOUT))
        child.stderr.close()
        got = work.state_of(process.pid)["sampling"], left(look)
        look.equal("nobody reads: off, left", (False, ["x.samples"]), got)
        work.write("fake/profile", sampled.Profile().bytes())
        for seconds, said in (("0", "the recording has no samples: "), ("3", "no samples were taken: process " + pid)):
            _, _, err = work.run("--live", pid, "--", "sleep", seconds)
            last = err.splitlines()[-1]
            look.that("no samples, sleep %s" % seconds, "a line", last.startswith("pyperf-run: ") and said in last, err)
        work.write("fake/profile", sampled.simple().bytes())
        child = work.start("-p", pid, "--live", "--", "sh", "-c", "sleep 3; echo out; exit 3")
        out, err = child.communicate(timeout=TIMEOUT)
        look.equal("a command: status, stdout", (3, "out\n"), (child.returncode, out))
        look.that("a command: tables", "on stderr", "The last " in err and AT_END in err, err)
        child = work.start("--live", str(process.pid))
        wait_for(lambda: work.state_of(process.pid)["sampling"])
        process.kill()
        process.wait()
        out, err = child.communicate(timeout=TIMEOUT)
        good = child.returncode == 0 and err.endswith("pyperf-run: process %d has ended\n" % process.pid)
        look.that("it has ended: status, stderr", "0, a line", good and AT_END in out, err)


@case(CASES)
def attached_on_a_terminal(look):
    """What is said while it attaches comes before the screen, and what the command writes behind it."""
    with Attaching(look) as work:
        pid = work.process().pid
        words = [RUN, "--live", "-p", str(pid), "--", "sh", "-c", "echo out; sleep 3"]
        shown = Terminal(words, look.path("work"), dict(work.environment(), TERM="xterm"))
        status = shown.end()
        before, _, rest = shown.text.partition(ENTER)
        good = before.startswith(b"pyperf-run: attached to process") and before.count(b"\n") == 1
        look.that("before the screen", "a line", good, repr(before))
        look.that("title", "the process", b"process %d: sleep 600" % pid in rest, repr(rest[:200]))
        behind = rest.rpartition(LEAVE)[2]
        good = behind.startswith(b"out\r\n") and b"own s" in behind
        look.that("behind it", "output, table", status == 0 and good, repr(behind[:300]))
        dumb = Terminal(words, look.path("work"), dict(work.environment(), TERM="dumb"))
        dumb.end()
        before = dumb.text.partition(AT_END.encode())[0]
        look.that("TERM=dumb", "no screen", b"The last" in before and b"\x1b[?" not in dumb.text, repr(before))


@case(CASES)
def by_perf(look):
    """A process with trampolines is recorded by perf."""
    with Attaching(look) as work, Canned(sample([EVALUATOR, py("f")] + START)) as canned:
        made = perf_recorded.Recording()
        made.comm(7, 1)
        made.sample(2)
        canned.write("perf.data", made.bytes())
        pid = work.process(mode="map", libpyperf="0.1.0").pid
        child = work.start("--live", str(pid), "--every", "1", "--", "sleep", "2.5", env=work.environment(canned))
        out, err = child.communicate(timeout=TIMEOUT)
        look.equal("status, stdout", (0, ""), (child.returncode, out))
        tables = err.count("The last "), err.count("1 sample of cpu-clock"), err.count(AT_END)
        good = tables[0] in (1, 2) and tables[2] == 1 and " f " in err
        look.that("tables", "1 or 2 of the interval, one at the end", good, err)
        asked = [line for line in canned.read("commands").splitlines() if " script -i " in line]
        look.equal("perf script: for the sample, at the end", 2, len(asked))
        look.equal("left", [], left(look))


if __name__ == "__main__":
    BUILD = build_folder(__doc__)
    sys.exit(main("live", CASES))
