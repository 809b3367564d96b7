#!/usr/bin/env python3
"""pyperf-run --sampler=inside: the program under it, its profile, what is refused, and when it takes perf's place. One
line for each check; the exit status is 1 if any failed. No perf is needed."""

import glob
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too
from looks import build_folder, case, main

RUN = os.path.join(looks.ROOT, "scripts", "pyperf-run")
CASES = []
BUSY = """
import os, sys, time
def first(end):
    while time.process_time() < end:
        pass
def second(end):
    while time.process_time() < end:
        sum(range(99))
first(0.3)
second(0.6)
print(sys.stdin.read())
sys.exit(3)
"""
# Says what it has inherited, then waits for a signal.
WAITING = """
import json, os, signal, sys, time
with open("/proc/self/status") as status:
    ignored = next(line.split()[1] for line in status if line.startswith("SigIgn"))
if "catch" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
seen = {"ignored": int(ignored, 16), "files": sorted(int(one) for one in os.listdir("/proc/self/fd"))}
seen.update(variables=sorted(os.environ), terminal=os.isatty(0))
try:
    print(json.dumps(seen), flush=True)
    while True:
        sum(range(99))
except KeyboardInterrupt:
    sys.exit(9)
"""
PARANOID = """#!/bin/sh
case "$1 $2" in
version*) echo "perf version 6.1" ;;
"record -h") ;;
record*) echo "perf_event_paranoid setting is 4" >&2; exit 255 ;;
esac
"""
TOO_OLD = '#!/bin/sh\ncase $1 in --default-signal*) exit 125 ;; esac\nexec /usr/bin/env "$@"\n'


def environment(look, path=None, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "LC_", "LD_"))}
    more.update(PYPERF_LIBRARY=os.path.join(BUILD, "libpyperf.so"), TMPDIR=look.path("tmp"), LC_ALL="C.UTF-8")
    os.makedirs(look.path("tmp"), exist_ok=True)
    return dict(kept, PATH=(path + ":" if path else "") + os.environ["PATH"], **more)


def start(look, *words, path=None, program=BUSY, arguments=(), **more):
    with open(look.path("program.py"), "w") as out:
        out.write(program)
    more.setdefault("stdin", subprocess.DEVNULL)
    command = [RUN] + list(words) + ["--", sys.executable, out.name] + list(arguments)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=look.folder, env=environment(look, path), **more
    )


def run(look, *words, given=b"", **more):
    child = start(look, *words, stdin=subprocess.PIPE, **more)
    out, err = child.communicate(given, timeout=60)
    return child.returncode, out.decode(), err.decode()


def tool(look, name, text):
    """A folder for PATH, with that tool in it."""
    folder = look.path("bin-" + name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w") as out:
        out.write(text)
    os.chmod(out.name, 0o755)
    return folder


def functions(look, *options, profile="pyperf.samples"):
    words = [RUN, "--report", profile, "--json", "-"] + list(options)
    out = subprocess.run(words, cwd=look.folder, env=environment(look), stdout=subprocess.PIPE).stdout
    return json.loads(out.decode())["events"][0]


@case(CASES)
def chosen_for_lines(look):
    """--lines alone chooses the sampler, and says why; -q does not."""
    line = "pyperf-run: --lines: perf knows no lines of Python functions; libpyperf's own sampler is used,"
    for words, said in ((["--lines"], True), (["--lines", "--sampler=inside"], False), (["-q", "--lines"], False)):
        status, _, err = run(look, *words)
        look.equal("%s: status, says why" % " ".join(words), (3, said), (status, err.startswith(line)))


@case(CASES)
def program_and_profile(look):
    status, out, err = run(look, "--sampler=inside", given=b"words")
    look.equal("status, stdout", (3, "words\n"), (status, out))
    look.that("the table", "first, second", re.search(r"first +\S*program.py", err) and "second" in err, err)
    look.equal("files", ["program.py", "pyperf.samples", "tmp"], sorted(os.listdir(look.folder)))
    with open(look.path("pyperf.samples"), "rb") as file:
        look.equal("packed", b"PYPERFS2", file.read(8))
    look.equal("left in TMPDIR", [], os.listdir(look.path("tmp")))
    event = functions(look, "--lines")
    shares = {}
    for one in event["functions"]:
        shares[one["name"]] = shares.get(one["name"], 0) + one["total_share"] * (one["name"] in ("first", "second"))
    good = all(0.1 < shares.get(name, 0) < 0.7 for name in ("first", "second"))
    look.that("shares", "0.1 to 0.7 each", good, repr({name: shares.get(name) for name in ("first", "second")}))
    there = {(one["name"], one["line"]) for one in event["functions"] if one["name"] in ("first", "second")}
    lines = {("first", 4), ("first", 5), ("second", 7), ("second", 8)}
    look.that("lines", "of %r" % sorted(lines), there <= lines and ("second", 8) in there, repr(there))
    status, out, err = run(look, "--sampler", "inside", "-q", "-F", "499", "-o", "x.samples", "--json", "x.json")
    look.equal("-q -o --json", (3, "\n", ""), (status, out, err))
    with open(look.path("x.json")) as file:
        shown = json.load(file)
    look.that("-F 499", "200 samples or more", shown["events"][0]["samples"] > 200, str(shown["events"][0]["samples"]))
    run(look, "--sampler=inside", "-q")
    look.equal("the one before", 1, len(glob.glob(look.path("pyperf.samples.old"))))


@case(CASES)
def children(look):
    """Each process has a part, also a forked one that ends by os._exit."""
    program = BUSY.replace("first(0.3)", "if not os.fork(): first(0.3); os._exit(0)\nos.wait()")
    status, _, _ = run(look, "--sampler=inside", "-q", program=program)
    event = functions(look)
    names = {one["name"] for one in event["functions"]}
    look.equal("status, processes", (3, 2), (status, event["processes"]))
    look.that("functions", "first, second", {"first", "second"} <= names, repr(names))


def inherited(child):
    return json.loads(child.stdout.readline().decode())


@case(CASES)
def signals(look):
    for what, arguments, number, status in (
        ("SIGTERM", [], signal.SIGTERM, -signal.SIGTERM),
        ("SIGTERM that is caught", ["catch"], signal.SIGTERM, 5),
        ("SIGINT", [], signal.SIGINT, 9),
        ("SIGKILL of the program", [], signal.SIGKILL, 128 + signal.SIGKILL),
    ):
        child = start(look, "--sampler=inside", "-q", program=WAITING, arguments=arguments)
        inherited(child)
        if number == signal.SIGKILL:
            subprocess.run(["sh", "-c", 'kill -KILL "$(cat "$0"/tmp/pyperf-run.*/program)"', look.folder], check=True)
        else:
            child.send_signal(number)
        _, err = child.communicate(timeout=60)
        look.equal("%s: status" % what, status, child.returncode)
        look.that("%s: a profile" % what, "WAITING's samples", functions(look)["samples"] > 0, err.decode())
        os.unlink(look.path("pyperf.samples"))


def plain(look, **more):
    """What the program inherits without us."""
    child = subprocess.Popen(
        [sys.executable, look.path("program.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(look),
        **more
    )
    seen = inherited(child)
    child.kill()
    child.communicate()
    return seen


@case(CASES)
def inheritance(look):
    """Ignored signals, descriptors and variables; also where env cannot reset signals."""

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with tempfile.TemporaryFile() as file:
        more = {"pass_fds": [file.fileno()], "preexec_fn": ignore}
        for what, path in (("env", None), ("an env before 8.31", tool(look, "env", TOO_OLD))):
            child = start(look, "--sampler=inside", "-q", program=WAITING, path=path, **more)
            seen = inherited(child)
            child.terminate()
            child.communicate(timeout=60)
            expected = plain(look, **more)
            for name in ("ignored", "files"):
                look.equal("%s: %s" % (what, name), expected[name], seen[name])
            ours = sorted(set(seen["variables"]) - set(expected["variables"]) - {"_", "PWD", "OLDPWD"})
            look.equal("%s: variables" % what, ["LD_PRELOAD", "PYPERF_DIR", "PYPERF_SAMPLER"], ours)


@case(CASES)
def terminal(look):
    """Ctrl-C reaches the program once, and the table comes nevertheless."""
    for path in (None, tool(look, "env", TOO_OLD)):
        with open(look.path("program.py"), "w") as out:
            out.write(WAITING)
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(look.folder)
            words = [RUN, "--sampler=inside", "--", sys.executable, out.name]
            os.execve(RUN, words, environment(look, path))
        text = read_to(master, b"}\r\n")
        os.write(master, b"\x03")
        text += read_to(master, None)
        os.close(master)
        status = os.waitpid(pid, 0)[1]
        what = "env" if path is None else "an env before 8.31"
        look.equal("%s: a terminal" % what, True, b'"terminal": true' in text)
        look.equal("%s: status" % what, 9, os.WEXITSTATUS(status))
        good = b"own %" in text and b"pyperf-run --report pyperf.samples" in text
        look.that("%s: table and hint" % what, "both", good, repr(text[-600:]))


def read_to(master, end):
    text = b""
    while end is None or end not in text:
        try:
            part = os.read(master, 65536)
        except OSError:  # EIO: the terminal's last process has ended
            break
        if not part:
            break
        text += part
    return text


@case(CASES)
def refused_options(look):
    for words, said in (
        (["--stack-size", "8192"], "copies no stacks"),
        (["--call-graph", "fp"], "unwinds all stacks"),
        (["-e", "cycles"], "CPU time, and elapsed time"),
        (["-F", "max"], "name a number"),
        (["-a"], "options of perf record"),
        (["--archive", "x.tar.bz2"], "one file"),
        (["--sampler=other"], "there are perf and inside"),
        (["--sampler=perf", "--lines"], "--lines: perf knows no lines"),
        (["--sampler=perf", "--source", "x.py"], "--source: perf knows no lines"),
        (["--sampler=perf", "--wall"], "--wall: perf knows no time but that on a CPU"),
        (["--sampler=perf", "--gil"], "--gil: perf knows nothing of the GIL"),
    ):
        status, out, err = run(look, "--sampler=inside", *words)
        got = (status, out, err.count("\n"), said in err)
        look.equal("%s: status, stdout, lines, says" % " ".join(words), (2, "", 1, True), got)
    for words, status, said in (
        (["-o", "none/x"], 1, "no such directory"),
        (["-o", "tmp"], 1, "is a directory"),
    ):
        got, _, err = run(look, "--sampler=inside", *words)
        look.equal("%s: status, lines, says" % " ".join(words), (status, 1, True), (got, err.count("\n"), said in err))
    look.equal("files", ["program.py", "tmp"], sorted(os.listdir(look.folder)))


@case(CASES)
def no_samples(look):
    for words, status in ((["true"], 0), (["sh", "-c", "exit 7"], 7), (["/none"], 127), ([look.folder], 126)):
        done = subprocess.run(
            [RUN, "--sampler=inside", "--"] + words, cwd=look.folder, env=environment(look), stderr=subprocess.PIPE
        )
        look.equal("%s: status, lines" % words[0], (status, 1), (done.returncode, done.stderr.count(b"\n")))
    look.equal("files", ["tmp"], sorted(os.listdir(look.folder)))


@case(CASES)
def in_place_of_perf(look):
    """Without perf, or where it is not permitted; never for an option of perf, or where perf is asked for."""
    tools = look.path("tools")
    os.makedirs(tools)
    for folder in os.environ["PATH"].split(":")[::-1] + ["/usr/bin"]:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if not name.startswith("perf") and not os.path.lexists(os.path.join(tools, name)):
                os.symlink(os.path.join(folder, name), os.path.join(tools, name))
    refusing = tool(look, "perf", PARANOID)
    for what, path, said in (("no perf", tools, "not installed"), ("refused", refusing + ":" + tools, "paranoid")):
        child_path = os.environ["PATH"]
        os.environ["PATH"] = path
        try:
            status, _, err = run(look)
            first = err.split("\n")[0]
            good = status == 3 and said in first and "libpyperf's own sampler is used" in first and "second" in err
            look.that(what, "a line, and the table", good, "%d %s" % (status, err[:400]))
            look.equal("%s: files" % what, True, os.path.exists(look.path("pyperf.samples")))
            os.unlink(look.path("pyperf.samples"))
            for words in (["--sampler=perf"], ["-e", "cpu-clock"], ["--stack-size", "8192"]):
                status, _, err = run(look, *words)
                got = (status, err.count("\n"), said in err, "own sampler" in err)
                look.equal("%s, %s: status, lines, says" % (what, words[0]), (1, 1, True, False), got)
        finally:
            os.environ["PATH"] = child_path
    left = [name for name in os.listdir(look.folder) if name.startswith(("perf.data", "pyperf."))]
    look.equal("files", [], left)
    look.equal("left in TMPDIR", [], os.listdir(look.path("tmp")))


@case(CASES)
def reports(look):
    run(look, "--sampler=inside", "-q")
    for words, said in (
        (["--collapsed", "folded"], ""),
        (["--flamegraph", "x.html", "--lines"], ""),
        (["--source", "program.py"], ""),
        (["--pprof", "x.pb.gz", "--speedscope=x.json"], ""),
        (["--firefox", "y.json", "--perf-data=x.data"], ""),
        (["--archive", "x.tar.bz2"], "one file already"),
    ):
        done = subprocess.run(
            [RUN, "--report", "pyperf.samples"] + words, cwd=look.folder, env=environment(look), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        good = (done.returncode == 0 and not done.stderr) if not said else said in done.stderr.decode()
        look.that(words[0], said or "no error", good, done.stderr.decode())
    run(look, "--sampler=inside", "-q", "--flamegraph", "z.html")
    with open(look.path("z.html")) as page:
        told = json.loads(re.search(r'<script id="profile"[^>]*>(.*)</script>', page.read()).group(1))
        look.equal("the command", " ".join([sys.executable, look.path("program.py")]), told["command"])
    with open(look.path("folded")) as folded:
        look.that("folded", "py::second", ";py::second:" in folded.read(), "")
    with open(look.path("x.html")) as page:
        told = json.loads(re.search(r'<script id="profile"[^>]*>(.*)</script>', page.read()).group(1))
        found = [line for _, name, _, line in told["frames"] if name == "second"]
        look.that("the flame graph", "a line of second", 8 in found, "%s" % found)


if __name__ == "__main__":
    BUILD = build_folder(__doc__)
    sys.exit(main("inside", CASES))
