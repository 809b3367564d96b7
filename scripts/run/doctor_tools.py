"""Shared by the doctor's parts: findings as lines, a temporary folder, and running programs in
it."""

import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

HERE = os.path.dirname(os.path.realpath(__file__))
IN_CHECKOUT = os.path.exists(os.path.join(HERE, "../../Makefile"))
# Where a file of ours is missing, or of another version.
REPAIR = "run make" if IN_CHECKOUT else "unpack the tarball, or install libpyperf, anew"
WIDTH = 100
SUBJECT = 20  # columns
VERDICTS = {"ok": "32", "warn": "33", "FAIL": "31"}  # with their colours (ECMA-48, SGR)
COMPLAINT = re.compile("rror|not permitted|is limited|denied")
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
OWN_VARIABLES = ("PYTHONPERFSUPPORT", "PYTHON_PERF_JIT_SUPPORT", "PYPERF_DIR", "PYPERF_MAP")


class Findings:
    """Prints each finding at once; below one that is not ok, the next step."""

    def __init__(self, out):
        self.out = out
        self.counts = dict.fromkeys(VERDICTS, 0)
        self.coloured = out.isatty() and "NO_COLOR" not in os.environ
        self.coloured = self.coloured and os.environ.get("TERM", "dumb") != "dumb"

    def ok(self, subject, found):
        self._add("ok", subject, found, ())

    def warn(self, subject, found, *steps):
        self._add("warn", subject, found, steps)

    def fail(self, subject, found, *steps):
        self._add("FAIL", subject, found, steps)

    def _add(self, verdict, subject, found, steps):
        self.counts[verdict] += 1
        start = "%-4s  %-*s " % (verdict, SUBJECT, subject)
        lines = wrapped(found, start, " " * len(start))
        for step in steps:
            lines += wrapped(step, " " * len(start) + "-> ", " " * len(start) + "   ")
        text = "\n".join(lines)
        if self.coloured:
            text = "\033[%sm%s\033[m%s" % (VERDICTS[verdict], verdict, text[len(verdict) :])
        self.out.write(text + "\n")
        self.out.flush()

    def close(self):
        failures, warnings = self.counts["FAIL"], self.counts["warn"]
        text = "everything works here"
        if failures or warnings:
            text = "%d FAIL, %d warn: the lines with -> say what to do" % (failures, warnings)
        self.out.write("\n%s\n" % text)
        return 1 if failures else 0


def wrapped(text, first, others):
    text = " ".join(printable(text).split())
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def printable(text):
    """The output of other programs, without control characters and encoding errors."""
    text = "".join(one if one.isprintable() else " " for one in text)
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Done:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def complaint(self):
        """The most informative line of stderr."""
        lines = [line.strip() for line in self.err.splitlines()]
        lines = [line for line in lines if line not in ("", "Error:")]
        marked = [line for line in lines if COMPLAINT.search(line)]
        return (marked or lines or ["status %d, without a word" % self.status])[0]


@contextlib.contextmanager
def undisturbed():
    """Blocks signals while something is made and recorded for removal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workplace:
    """A private folder, and files that programs leave elsewhere; removes all of them."""

    def __init__(self, parent):
        self.started = time.time()
        self.pids = set()
        self.process = None
        self.folder = tempfile.mkdtemp(prefix="pyperf-doctor-", dir=parent)
        self.images = os.path.join(self.folder, "images")
        os.mkdir(self.images)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return self.path(name)

    def run(self, command, environment=None, timeout=60):
        """Runs in its own session, so that a Ctrl-C only reaches the doctor."""
        with undisturbed() as mask:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=plain_environment() if environment is None else environment,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
            )
            self.pids.add(self.process.pid)
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            return Done(-signal.SIGKILL, "", "no end after %d seconds" % timeout)
        done = Done(self.process.returncode, decoded(out), decoded(err))
        self.process = None
        return done

    def stop(self):
        """perf removes its own temporary files when it is interrupted, not when it is killed."""
        process, self.process = self.process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.communicate(timeout=2)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass

    def close(self):
        self.stop()
        for path in glob.glob(os.path.join(glob.escape(self.images), "pyperf-*-*.so")):
            self.pids.add(int(os.path.basename(path).split("-")[1]))
        for pid in self.pids:
            for path in ("/tmp/perf-%d.map" % pid, "/tmp/jit-%d.dump" % pid):
                self.remove_own(path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_own(self, path):
        try:
            status = os.lstat(path)
            if status.st_uid == os.geteuid() and status.st_mtime >= self.started - 1:
                os.unlink(path)
        except OSError:
            pass


def decoded(text):
    return text.decode("utf-8", "backslashreplace")


def plain_environment():
    """The caller's environment, without switches for profiling and without debuginfod servers."""
    result = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    result.update(LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1", DEBUGINFOD_URLS="")
    return result


def profiled_environment(library, images):
    result = plain_environment()
    before = os.environ.get("LD_PRELOAD", "")
    result["LD_PRELOAD"] = (before + ":" if before else "") + library
    result.update(PYTHONPERFSUPPORT="1", PYPERF_DIR=images)
    return result


def first_line(path):
    """The number in a file of /proc; None if it cannot be read."""
    try:
        with open(path) as source:
            return source.readline().strip()
    except OSError:
        return None


def number_in(path):
    text = first_line(path)
    try:
        return int(text)
    except (TypeError, ValueError):
        return None
