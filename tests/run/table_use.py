"""table.py as a command: files, failures, signals, pipes, memory."""

import fcntl
import os
import pty
import signal
import struct
import tempfile
import termios
import time

from canned import CUT, EVALUATOR, PAGE_FAULT, START, Canned, header, py, sample, table
from looks import case

CASES = []
TEXT = sample([EVALUATOR, py("f")] + START)
ENDLESS = "while :; do cat $CANNED/text || exit; done\n"
SILENT = "cat $CANNED/text; exec sleep 60\n"


@case(CASES)
def what_perf_is_asked_for(look):
    with Canned(TEXT) as canned:
        canned.run()
        asked = canned.read("commands").splitlines()
        expected = [
            "C report --header-only -i %s" % canned.data,
            "C script -h",
            "C script -i %s --show-task-events --show-mmap-events --no-inline --max-stack 4096"
            " --fields comm,pid,tid,time,period,event,ip,sym,dso" % canned.data,
        ]
    look.equal("commands", expected, asked)


@case(CASES)
def folded_stacks(look):
    text = sample([PAGE_FAULT, EVALUATOR, py("b;c")] + START, comm="a;b", pid=8)
    text += sample(["[unknown] (/opt/lib/x.so)", py("f"), CUT]) * 2
    with Canned(text) as canned:
        canned.write("folded", "old")
        seen = canned.run("--collapsed", canned.path("folded"))
        got = canned.read("folded")
        left = [name for name in os.listdir(canned.folder) if name.startswith(".")]
    start = ";_start;__libc_start_main@@GLIBC_2.34"
    expected = "a:b%s;py::b:c:/srv/app.py;_PyEval_EvalFrameDefault;exc_page_fault_[k] 1\n" % start
    expected += "python3;[unknown];py::f:/srv/app.py;[x.so] 2\n"
    look.equal("file", expected, got)
    look.equal("status, stderr, left", (0, "", []), (seen.status, seen.err, left))


@case(CASES)
def folded_stacks_of_two_events(look):
    text = sample([py("f")] + START, event="page-faults") + sample([py("g")], event="cpu-clock")
    with Canned(text, header(events=("cpu-clock", "page-faults"))) as canned:
        seen = canned.run("--collapsed", canned.path("folded"))
        look.equal("of the first", "python3;py::g:/srv/app.py 1\n", canned.read("folded"))
    said = "has the stacks of cpu-clock, and not those of page-faults"
    look.that("said", said, said in seen.err, repr(seen.err))


@case(CASES)
def files(look):
    with Canned(TEXT) as canned:
        shown = canned.run().out
        canned.run("--out", canned.path("table"))
        look.equal("--out FILE", shown, canned.read("table"))
        os.symlink("table", canned.path("link"))
        canned.run("--json", canned.path("link"))
        look.equal("through a link", "{", canned.read("table")[0])
        with open(canned.write("log", "before\n"), "ab") as log:
            canned.run("--out", "/dev/stderr", stderr=log)
        look.equal("/dev/stderr is a file", "before\n" + shown, canned.read("log"))
        for option in ("--out", "--collapsed", "--json"):
            seen = canned.run(option, canned.path("none/file"))
            good = seen.status == 1 and seen.err.count("\n") == 1 and "none" in seen.err
            look.that("%s in no folder" % option, "status 1, a line", good, repr(seen.err))


@case(CASES)
def failures(look):
    for what, more, part in (
        ("not perf data", {"errors": "incompatible file format (rerun with -v)"}, "not a profile"),
        ("another's", {"errors": "File x not owned by current user or root"}, "another user"),
        ("other", {"errors": "one\nlast words\n"}, "status 255: last words"),
        ("silent", {}, "status 255"),
    ):
        look_at_failure(look, what, table("", status=255, **more), part)
    look_at_failure(look, "no samples", table(""), "has no samples")
    with Canned(TEXT) as canned:
        empty = canned.run(search=canned.write("empty", "") and canned.path(""))
        look_at_failure(look, "no perf", empty, " install ")
        canned.write("perf.data", "")
        look_at_failure(look, "empty", canned.run(), "is empty")
        os.unlink(canned.data)
        look_at_failure(look, "no file", canned.run(), "no such file")
    cut = table(TEXT, errors="failed to process type: 0", status=234)
    look.equal("cut: the table", table(TEXT).out, cut.out)
    look.that("cut: status", "1, and why", cut.status == 1 and "type: 0" in cut.err, repr(cut.err))
    look.equal("perf's warnings", "", table(TEXT, errors="Warning: 3 lost").err)


def look_at_failure(look, what, seen, part):
    good = (seen.status, seen.out, seen.err.count("\n")) == (1, "", 1)
    good = good and seen.err.startswith("pyperf-run: ") and part in seen.err
    look.that(what, "status 1, a line with %r" % part, good, "%d, %r" % (seen.status, seen.err))


@case(CASES)
def interrupted(look):
    for what, script in (("perf is busy", ENDLESS), ("perf is silent", SILENT)):
        with Canned(TEXT) as canned:
            canned.write("script", script)
            child = canned.start()
            pid = int(wait_for(canned, "pid"))
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20)
            look.equal(what, (130, b"", b""), (child.returncode, out, err))
            look.equal("%s: perf is gone" % what, False, os.path.exists("/proc/%d" % pid))


def wait_for(canned, name):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if os.path.exists(canned.path(name)) and canned.read(name).strip():
            return canned.read(name)
        time.sleep(0.05)
    raise RuntimeError("perf was not started")


@case(CASES)
def closed_pipe(look):
    reader, writer = os.pipe()
    os.close(reader)
    with Canned(TEXT) as canned:
        for option in ("--colour", "--json=-"):
            seen = canned.run(option, stdout=writer)
            look.equal(option, (0, ""), (seen.status, seen.err))
    os.close(writer)


@case(CASES)
def progress(look):
    text = "".join(sample([py("f")] + START, time=10 + number / 2) for number in range(20))
    with Canned(text) as canned:
        look.equal("small and quick", "", canned.run("--progress").err)
        with open(canned.data, "r+b") as profile:
            profile.truncate(9 << 20)
        plain = canned.run()
        large = canned.run("--progress")
        look.equal("unasked", "", plain.err)
        good = "\rreading the profile [...." in large.err and large.err.endswith("\r\033[K")
        look.that("large", "a bar, then nothing", good, repr(large.err))
        look.equal("the table", plain.out, large.out)
        os.truncate(canned.data, 8)
        late = sample([py("f")] + START, time=15)
        canned.write("late", late)
        canned.write("script", 'cat "$CANNED/text"; sleep 1.2; cat "$CANNED/late"\n')
        slow = canned.run("--progress").err
        look.that("slow", "half of the bar", "[###############....." in slow, repr(slow))


@case(CASES)
def memory(look):
    """Memory stays the same for a hundred times the samples."""
    stack = ["f_%d (/opt/lib/libx.so)" % number for number in range(100)] + [py("f")] + START
    again = "i=0; while [ $i -lt %d ]; do cat $CANNED/text; i=$((i + 1)); done\n"
    look_at_memory(look, "the same stacks", sample(stack) * 40, again, (1, 100), 40)
    # Generated code: each frame has its own address.
    generated = sample(["%s (/tmp/x.so)" % py("f").split(" (")[0]])
    others = """awk 'BEGIN { getline a; getline b; sub(/^[ \\t]*[0-9a-f]+/, "", b)
        for (i = 0; i < %d; i++) printf "%%s\\n\\t%%16x%%s\\n\\n", a, i, b }' $CANNED/text\n"""
    look_at_memory(look, "other addresses", generated, others, (60000, 240000), 1)


def look_at_memory(look, what, text, script, counts, unit):
    peaks = []
    for count in counts:
        with Canned(text) as canned:
            canned.write("script", script % count)
            with tempfile.TemporaryFile() as out:
                child = canned.start("--collapsed", canned.path("folded"), stdout=out)
                child.stderr.close()
                _, child.returncode, usage = os.wait4(child.pid, 0)
            got = canned.read("folded").rsplit(" ", 1)[1].strip()
            look.equal("%s: samples" % what, str(unit * count), got)
            peaks.append(usage.ru_maxrss)
    good = peaks[1] < peaks[0] + 8192
    look.that("%s: KiB at most" % what, "%d and some" % peaks[0], good, str(peaks[1]))


@case(CASES)
def options(look):
    for words in (["--stack-size", "12"], ["--stack-size", "65536"], ["--top", "-1"], ["--x"]):
        seen = table(TEXT, *words)
        look.equal(" ".join(words), (2, ""), (seen.status, seen.out))
    # The terminal's width is used only if the table goes to a terminal.
    look.equal("--width 100 is the default", table(TEXT).out, table(TEXT, "--width", "100").out)
    terminal = on_terminal(TEXT)
    look.that("a terminal of 50", "50 columns", max(map(len, terminal)) <= 50, repr(terminal))


def on_terminal(text):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    long = sample([py("f" * 30, "/srv/" + "x" * 40)] + START)
    with Canned(text + long) as canned:
        canned.run(stdout=slave)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    return shown.splitlines()
