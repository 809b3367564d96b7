"""A fake perf that prints canned output, and runs of table.py and pyperf-run with it."""

import json
import os
import signal
import subprocess
import sys
import tempfile

from looks import ROOT


TABLE = os.path.join(ROOT, "scripts", "run", "table.py")
RUN = os.path.join(ROOT, "scripts", "pyperf-run")
TIMEOUT = 60

FAKE = """#!/bin/sh
echo "$LC_ALL $*" >>"$CANNED/commands"
[ "$1" != --buildid-dir ] || shift 2
case $1 in
record)
    [ "$2" != -h ] || exec cat "$CANNED/options"
    [ ! -s "$CANNED/gives-up" ] || { sed -i 1d "$CANNED/gives-up"; exit 255; }
    while [ "$1" != -- ]; do
        [ "$1" != -o ] || cp "$CANNED/perf.data" "$2" || exit 255
        shift
    done
    shift
    [ ! -e "$CANNED/told" ] || cat "$CANNED/told" >&2
    "$@" ;;
report) cat "$CANNED/header" ;;
buildid-list) cat "$CANNED/ids.${3##*/}" ;;
script)
    [ "$2" != -h ] || exec cat "$CANNED/options"
    echo $$ >"$CANNED/pid"
    cat "$CANNED/errors" >&2
    case $* in
    *"task-events --show-mmap-events"*) . "$CANNED/script" ;;
    *--show-mmap-events*) cat "$CANNED/maps" ;;
    *) . "$CANNED/script" ;;
    esac ;;
esac
"""
EVENT = (
    "# event : name = %s, , id = { 1, 2 }, type = 1, size = 128, sample_type = IP|TID|TIME|%s,"
    " read_format = ID|LOST%s\n"
)
DWARF = "CALLCHAIN|PERIOD|REGS_USER|STACK_USER"
# perf's output below a stack of which too little was copied.
CUT = "ffffffffffffffff [unknown] ([unknown])"
EVALUATOR = "_PyEval_EvalFrameDefault (/opt/lib/libpython3.9.so.1.0)"
START = ["__libc_start_main@@GLIBC_2.34 (/usr/lib/libc.so.6)", "_start (/opt/bin/python3.9)"]
PAGE_FAULT = "ffffffff821f51c6 exc_page_fault ([kernel.kallsyms])"


with open("/proc/self/maps") as maps:
    LIBC = next(line.split()[-1] for line in maps if "/libc.so.6" in line or "/libc-2" in line)


def py(name, file="/srv/app.py"):
    return "py::%s:%s (/tmp/my images/pyperf-7-CE1wJv.so)" % (name, file)


def header(size=65528, events=("cpu-clock:ppp",), kind=DWARF, command="perf record", more=""):
    more += ", sample_stack_user = %d" % size if size else ""
    lines = "# cmdline : /usr/bin/%s -- python3 app.py \n" % command
    lines += "".join(EVENT % (name, kind, more) for name in events)
    return lines + "# time of first sample : 10.000000\n# time of last sample : 20.000000\n"


def sample(frames, comm="python3", pid=7, period=1000000, event="cpu-clock:ppp", time=10.5, tid=None):
    """A sample in the format of perf script; a frame is "[address] symbol (object)"."""
    lines = ["%s  %d/%d  %f:    %d %s: " % (comm, pid, tid or pid, time, period, event)]
    for frame in frames:
        has_address = frame.split(" ")[0].startswith("ffffffff")
        lines.append("\t" + (frame if has_address else "%16x %s" % (0x1469E8, frame)))
    return "\n".join(lines) + "\n\n"


def task(what, time, comm="python3", pid=7, tid=7):
    """A record that perf script --show-task-events prints beside samples."""
    told = {"exec": "COMM exec: %s:%d/%d" % (comm, pid, tid)}
    told["fork"], told["exit"] = "FORK(%d:%d):(7:7)" % (pid, tid), "EXIT(%d:%d):(7:7)" % (pid, tid)
    return "%s  %d/%d  %f: PERF_RECORD_%s\n" % (comm, pid, tid, time, told[what])


class Seen:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.lines = out.splitlines()

    @property
    def event(self):
        return json.loads(self.out)["events"][0]

    @property
    def advice(self):
        return json.loads(self.out)["advice"]


class Canned:
    """A profile and the fake perf that reads it, in their own folder."""

    def __init__(self, text="", head=None, errors="", status=0):
        self.place = tempfile.TemporaryDirectory(prefix="pyperf-test-")
        self.folder = self.place.name
        self.write("header", header() if head is None else head)
        self.write("text", text)
        self.write("errors", errors)
        self.write("maps", "")
        self.write("options", "        --max-stack <n>\n        --no-inline\n        --buildid-all\n")
        self.write("script", 'cat "$CANNED/text"; exit %d\n' % status)
        os.mkdir(self.path("bin"))
        os.chmod(self.write("bin/perf", FAKE), 0o755)
        self.data = self.write("perf.data", "PERFILE2")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.place.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as text:
            return text.read()

    def start(self, *options, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        path = more.pop("search", self.path("bin") + ":" + os.environ["PATH"])
        return subprocess.Popen(
            [more.pop("python", sys.executable), TABLE, "--data", self.data] + list(options),
            stdin=subprocess.DEVNULL,
            env=dict(os.environ, PATH=path, CANNED=self.folder),
            cwd=self.folder,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **more
        )

    def run(self, *options, **more):
        child = self.start(*options, **more)
        out, err = child.communicate(timeout=TIMEOUT)
        return Seen(child.returncode, (out or b"").decode(), (err or b"").decode())

    def pyperf_run(self, *words, pass_fds=(), prefix=(), run=RUN, **more):
        """libc stands for libpyperf.so: preloading it changes nothing."""
        environment = dict(
            os.environ,
            PATH=self.path("bin") + ":" + os.environ["PATH"],
            CANNED=self.folder,
            TMPDIR=self.folder,
            PYPERF_LIBRARY=LIBC,
            LC_ALL="C.UTF-8",
        )
        environment.update(more)
        os.makedirs(self.path("work"), exist_ok=True)
        done = subprocess.run(
            list(prefix) + [run] + list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.path("work"),
            timeout=TIMEOUT,
            pass_fds=pass_fds,
        )
        return Seen(done.returncode, done.stdout.decode(), done.stderr.decode())


def table(text, *options, **more):
    with Canned(text, **more) as canned:
        return canned.run(*options)
