"""perf record and perf script, as a user runs them: no perf inject."""

import os
import re
import subprocess

FREQUENCY = "499"
LARGEST = "65528"  # bytes of stack that perf takes with a sample
# A process with its time, then a line a frame, from the innermost outwards.
HEADER = re.compile(r"^\s*(-?\d+)/(-?\d+)\s+(\d+\.\d+):")
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*?) \((.*)\)$")
KERNEL = "[kernel.kallsyms]"
PYTHON = "py::"


class Sample:
    def __init__(self, pid, tid, time):
        self.pid, self.tid, self.time = pid, tid, time
        self.frames = []  # (symbol, object) from the innermost outwards

    @property
    def python(self):
        """Names of the Python functions, without py::, from the innermost outwards."""
        return [symbol[len(PYTHON) :] for symbol, _ in self.frames if symbol.startswith(PYTHON)]

    def above(self):
        """The frames that the innermost Python function has called."""
        for number, (symbol, _) in enumerate(self.frames):
            if symbol.startswith(PYTHON):
                return self.frames[:number]
        return []


def call_graph(bench):
    """A debug build's evaluator has frames of more than a KiB."""
    return "dwarf," + (LARGEST if bench.interpreter.debug else "16384")


def frame_pointers(bench):
    """What pyperf-run finds: yes, no or partly."""
    text = "\nwith open('/proc/self/maps') as maps: print(maps.read())"
    lines = [line.split() for line in bench.plain("-c", text).out.splitlines() if "r-xp" in line]
    files = [words[-1] for words in lines if words[-1].startswith("/")]
    inspect = os.path.join(bench.build, "pyperf-inspect")
    shown = subprocess.check_output([inspect] + files).decode()
    return re.search(r"frame-pointers=(\w+)", shown).group(1)


def record(bench, command, options=(), **environment):
    """Runs the command under perf record; returns what is known of perf and the path of the data.
    The program's own output is on stdout."""
    data = os.path.join(bench.folder, "perf.data")
    words = [bench.perf, "record", "--call-graph", call_graph(bench), "-F", FREQUENCY, "-o", data]
    try:
        done = bench.run(
            words + list(options) + ["--"] + list(command), bench.environment(**environment)
        )
    except FileNotFoundError:
        raise RuntimeError("perf is not installed: apt-get install linux-perf")
    if not os.path.exists(data) or os.path.getsize(data) == 0:
        lines = " ".join(done.err.split())
        raise RuntimeError("perf record recorded nothing, status %d: %s" % (done.status, lines))
    return done, data


def script(bench, data, options=()):
    """All samples, in order of time."""
    words = [bench.perf, "script", "-i", data, "-F", "pid,tid,time,ip,sym,dso"] + list(options)
    shown = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=bench.environment(preload=False, support=None, images=False),
        encoding="utf-8",
        errors="backslashreplace",
        timeout=300,
    ).stdout
    return sorted(parse(shown), key=lambda sample: sample.time)


def parse(shown):
    samples = []
    for line in shown.splitlines():
        header = HEADER.match(line)
        if header:
            samples.append(Sample(int(header[1]), int(header[2]), float(header[3])))
            continue
        frame = FRAME.match(line)
        if frame and samples:
            samples[-1].frames.append((frame[2], frame[3]))
    return samples


def share(part, whole):
    percent = 100.0 * part / whole if whole else 0.0
    return "%d/%d (%.2f %%)" % (part, whole, percent)
