"""Attaches to running programs by pyperf-run, and looks from outside at what that has changed in them."""

import ctypes
import glob
import json
import os
import signal
import subprocess
import sys

import harness
import sampler
from harness import Skip

ROOT = os.path.dirname(os.path.dirname(harness.HERE))
RUN = os.path.join(ROOT, "scripts", "pyperf-run")


class Program:
    """programs/attached.py as a process, which no library was preloaded into."""

    def __init__(self, bench, part="", prefix=(), seen_at=None, options=()):
        """prefix: the command that starts it; seen_at: where that puts the case's folder; options: the interpreter's.
        """
        if os.uname().machine != "x86_64":
            raise Skip("there is no pyperf-attach for this CPU")
        self.bench, self.stop = bench, os.path.join(bench.folder, "stop%d" % len(bench.processes))
        with open(bench.program("attached.py"), encoding="utf-8") as text:
            paths = [bench.write("attached.py", text.read()), self.stop]
        if seen_at:
            paths = [path.replace(bench.folder, seen_at, 1) for path in paths]
        plain = bench.environment(preload=False, support=None, images=False)
        words = [bench.python, "-W", "ignore"] + list(options) + paths + [part] * bool(part)
        self.process = bench.start(list(prefix) + words, plain)
        if self.process.stdout.readline() != "ready\n":
            raise Skip("the program cannot be run so: %s" % harness.kill(self.process).err.strip())
        self.pid = self.process.pid
        while not is_python(self.pid):
            self.pid = children_of(self.pid)[0]
        bench.pids.add(self.pid)

    def looks(self):
        """What must be as before: the signals that it catches, descriptors, whether the text is that of its file."""
        caught = status_of(self.pid)["SigCgt"]
        descriptors = sorted(os.listdir("/proc/%d/fd" % self.pid))
        return {"caught": caught, "descriptors": descriptors, "changed text": changed_text(self.pid)}

    def end(self):
        """Its last line, and what was on its stderr."""
        open(self.stop, "w").close()
        done = harness.finish(self.process)
        return done.status, json.loads(done.out.splitlines()[-1] if done.out.strip() else "null"), done.err


def status_of(pid):
    with open("/proc/%d/status" % pid) as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(one) for one in file.read().split()]


def is_python(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return file.read().split(b"\0")[1] == b"-W"


def changed_text(pid, only=None):
    """How many bytes of mapped code are not those of their files. only: the path of the one that is looked at."""
    changed = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            span, access, offset, _, inode = line.split()[:5]
            named = line.split(None, 5)[-1].strip()
            path = "/proc/%d/root%s" % (pid, named)
            if "x" not in access or inode == "0" or only not in (None, named) or not os.path.exists(path):
                continue
            start, end = (int(one, 16) for one in span.split("-"))
            memory.seek(start)
            there = memory.read(end - start)
            with open(path, "rb") as file:
                file.seek(int(offset, 16))
                own = file.read(end - start)
            changed += sum(a != b for a, b in zip(there, own)) if there[: len(own)] != own else 0
    return changed


def mapped_libraries(pid):
    """The paths of libpyperf.so in it."""
    with open("/proc/%d/maps" % pid) as maps:
        fields = [line.rstrip("\n").split(None, 5) for line in maps]
    return {one[5] for one in fields if len(one) == 6 and "libpyperf" in os.path.basename(one[5])}


def environment(bench, **more):
    """Of pyperf-run: its own Python is not the one that is looked at."""
    library = os.path.join(bench.build, "libpyperf.so")
    kept = bench.environment(preload=False, support=None, images=False)
    kept.update(PYPERF_LIBRARY=library, PYPERF_PYTHON=sys.executable, PATH=os.environ["PATH"])
    kept.update(TMPDIR=bench.folder)  # where one that is killed leaves its own
    return dict(kept, **more)


def start(bench, *words, prefix=(), **more):
    """prefix: the command that starts pyperf-run."""
    return subprocess.Popen(
        tuple(prefix) + (RUN,) + words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        cwd=bench.folder,
        env=environment(bench, **more),
        start_new_session=True,
    )


def run(bench, *words, **more):
    """Status and stderr."""
    child = start(bench, *words, **more)
    try:
        _, err = child.communicate(timeout=harness.TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise RuntimeError("pyperf-run %s did not end" % " ".join(words))
    return child.returncode, err


def recording(bench, name="p.samples"):
    return sampler.reader.Recording(os.path.join(bench.folder, name))


def folders(own_pid, root=""):
    patterns = ["%s%s/pyperf-%d-*" % (root, place, own_pid) for place in ("/tmp", "/var/tmp", "/dev/shm", "/run")]
    return [path for pattern in patterns for path in glob.glob(pattern) if os.path.isdir(path)]


def is_sampled(own_pid):
    """Whether there is a file of samples."""
    return any(name.endswith(".samples") for path in folders(own_pid) for name in os.listdir(path))


class Tracer:
    """A process that traces another one's main thread, and lets it go on whenever it stops for a signal."""

    CONTINUE, SEIZE = 7, 0x4206  # linux/ptrace.h

    def __init__(self, pid):
        self.traced = pid

    def __enter__(self):
        ours, its = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.trace(its)
        if os.read(ours, 9) != b"0":
            raise Skip("no process can be traced here")
        os.close(ours)
        os.close(its)

    def trace(self, its):
        try:
            ptrace = ctypes.CDLL(None).ptrace
            os.write(its, b"%d" % ptrace(self.SEIZE, self.traced, None, None))
            while True:
                status = os.waitpid(self.traced, 0)[1]
                # Above the signal is the number of an event.
                ptrace(self.CONTINUE, self.traced, None, ctypes.c_void_p(status >> 8 if status >> 16 == 0 else 0))
        finally:
            os._exit(1)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def images(own_pid):
    """The files with the names of trampolines."""
    names = [name for path in folders(own_pid) for name in os.listdir(path)]
    return [name for name in names if name.startswith("pyperf-") and name.endswith(".so")]


def look(bench, pid):
    """What pyperf-attach says of it."""
    words = [os.path.join(bench.build, "pyperf-attach"), "look", str(pid)]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode() or "{}")
