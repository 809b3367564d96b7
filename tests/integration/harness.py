"""What a case works with: its interpreter, the library, a folder, and ways to run programs.

A case is a function of one argument, a Bench, marked with @case. It reports with bench.equal and
bench.that; each is one line of output. Files of its programs in /tmp are removed when the case
ends, by their pids.
"""

import glob
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import interpreters
import musl
import python_2

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
TIMEOUT = 120


def wait_for(what, seconds=30):
    """Until it is true, or for so long; returns what it is then."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


class Tally:
    def __init__(self, label, failing="FAIL"):
        self.label, self.failing = label, failing
        self.passed = self.failed = self.skipped = 0

    def report(self, case, expected, good, got):
        self.add(int(bool(good)), int(not good), 0)
        if good and len(got) > 200:
            got = got[:200] + "..."
        verdict = "ok  " if good else self.failing
        line = "%s %s, %s, expected %s, got %s" % (verdict, self.label, case, expected, got)
        # One line, which scripts/check counts.
        print("\\n".join(line.splitlines()), flush=True)

    def skip(self, text):
        self.add(0, 0, 1)
        print("skip %s" % text, flush=True)

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def closing(self):
        return "%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped)


class Done:
    """A program that has ended."""

    def __init__(self, pid, status, out, err):
        self.pid, self.status, self.out, self.err = pid, status, out, err

    @property
    def seen(self):
        """Status, stdout and stderr."""
        return (self.status, self.out, self.err)


class Skip(Exception):
    """Raised by a case that cannot run on this machine or interpreter."""


class Bench:
    def __init__(self, name, interpreter, build, tally):
        self.name, self.interpreter, self.tally = name, interpreter, tally
        self.python = interpreter.path if interpreter else None
        self.perf = "perf"
        self.version = interpreter.series if interpreter else None
        self.build = build
        self.library = os.path.join(build, "libpyperf.so")
        # Not below TMPDIR: perf's build-id cache and the maps are not either.
        self.folder = tempfile.mkdtemp(prefix="pyperf-test-", dir="/tmp")
        self.home = os.path.join(self.folder, "home")
        self.images = os.path.join(self.folder, "images")
        os.mkdir(self.home)
        os.mkdir(self.images)
        self.pids = set()
        self.processes = []

    # results

    def equal(self, what, expected, got):
        self.that(what, repr(expected), expected == got, repr(got))

    def that(self, what, expected, good, got):
        self.tally.report("%s: %s" % (self.name, what), expected, good, got)

    def skip(self, what, why):
        self.tally.skip("%s, %s: %s: %s" % (self.tally.label, self.name, what, why))

    # running programs

    def program(self, name):
        if self.version != interpreters.PYTHON_2 or not name.endswith(".py"):
            return os.path.join(PROGRAMS, name)
        with open(os.path.join(PROGRAMS, name), encoding="utf-8") as program:
            os.makedirs(os.path.join(self.folder, "programs"), exist_ok=True)
            return self.write(os.path.join("programs", name), program.read())

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        if self.version == interpreters.PYTHON_2 and name.endswith(".py"):
            text = python_2.translated(text)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def environment(self, preload=True, support="1", images=True, **more):
        """support: the value of PYTHONPERFSUPPORT, None for unset. images: kept in the case's own
        folder rather than in /tmp. Any other name is a variable; None takes it away."""
        result = interpreters.plain_environment()
        result.update(HOME=self.home, LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
        if preload:
            result["LD_PRELOAD"] = self.library
        if support is not None:
            result["PYTHONPERFSUPPORT"] = support
        if images:
            result["PYPERF_DIR"] = self.images
        result.update(more)
        return {name: value for name, value in result.items() if value is not None}

    def start(self, command, environment=None, **more):
        """A process whose pid has no files of an earlier process."""
        more.setdefault("stdin", subprocess.DEVNULL)
        environment = self.environment() if environment is None else environment
        if self.python in command:
            command, environment = self.asked(command, environment)
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.folder,
            preexec_fn=remove_own_files,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
            **more
        )
        self.pids.add(process.pid)
        self.processes.append(process)
        return process

    def asked(self, command, environment):
        """The same with the options of this version, which may have no -X."""
        if self.version == interpreters.PYTHON_2:
            return python_2.asked_for(command, environment)
        return command, environment

    def run(self, command, environment=None, timeout=TIMEOUT, **more):
        return finish(self.start(command, environment, **more), timeout)

    def run_python(self, *arguments, **more):
        return self.run([self.python] + list(arguments), **more)

    def plain(self, *arguments, **more):
        """The same without libpyperf: the expected outcome."""
        more["environment"] = self.environment(preload=False, support=None, images=False)
        return self.run_python(*arguments, **more)

    # files of a process

    def map_path(self, pid):
        return "/tmp/perf-%d.map" % pid

    def dump_path(self, pid):
        return "/tmp/jit-%d.dump" % pid

    def image_paths(self, pid, folder="/tmp"):
        return sorted(glob.glob("%s/pyperf-%d-*.so" % (glob.escape(folder), pid)))

    def left(self, pid):
        """All files that a process may leave."""
        files = self.image_paths(pid) + self.image_paths(pid, self.images)
        files += glob.glob(self.dump_path(pid)) + glob.glob("/tmp/jitted-%d-*.so" % pid)
        return files + glob.glob(self.map_path(pid))

    def close(self):
        for process in self.processes:
            if process.poll() is None:  # the tests are ended by a signal
                end_group(process)
        for path in glob.glob(os.path.join(glob.escape(self.images), "pyperf-*.so")):
            self.pids.add(int(os.path.basename(path).split("-")[1]))
        for pid in self.pids:
            for path in self.left(pid):
                remove(path)
        shutil.rmtree(self.folder, ignore_errors=True)


def finish(process, timeout=TIMEOUT):
    """Waits for its end; kills its process group after the timeout, and fails the case."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise RuntimeError("no end after %d s: %s" % (timeout, process.args))
    return Done(process.pid, process.returncode, out, err)


def kill(process, number=signal.SIGKILL):
    process.send_signal(number)
    return finish(process)


def end_group(process):
    """SIGTERM first: test_pyperf_run.py has a folder of its own."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def remove_own_files():
    for pattern in ("perf-%d.map", "jit-%d.dump", "pyperf-%d-*.so"):
        for path in glob.glob(os.path.join("/tmp", pattern % os.getpid())):
            remove(path)


def end(number, _):
    sys.exit(128 + number)


def clean_up_when_ended(handler=end):
    """Signals that end the tests raise, so that folders are removed. Also where nohup has left them ignored, which
    programs of the cases would inherit."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


# cases

# NATIVE: supported ones with perf support of their own, which ours replaces.
SUPPORTED, NATIVE, OTHERS, LIBRARY = "supported", "native", "others", "library"
PYTHON_2 = "2.7"

# What cases need and a machine may lack, and the variable that permits this.
NOT_NEEDED = (
    ("perf", "PYPERF_NO_PERF"),
    ("gdb", "PYPERF_NO_GDB"),
    ("waits", "PYPERF_NO_WAITS"),  # threads that wait are sampled
    ("servers", "PYPERF_NO_SERVERS"),
    ("browser", "PYPERF_NO_BROWSER"),
)


class Case:
    def __init__(self, function, name, kind, needs):
        self.function, self.name, self.kind, self.needs = function, name, kind, needs

    def applies_to(self, interpreter):
        if interpreter is None:
            return self.kind == LIBRARY
        if self.kind == PYTHON_2:
            return interpreter.series == interpreters.PYTHON_2
        if self.kind == NATIVE:
            return interpreter.supported and interpreter.native
        return self.kind == (SUPPORTED if interpreter.supported else OTHERS)

    def missing(self):
        """Why the case is skipped; None if it is not."""
        return ruled_out(self.needs)


def ruled_out(needs):
    """The variable by which the user has permitted to lack one of them."""
    for need, variable in NOT_NEEDED:
        if need in needs and os.environ.get(variable, "0") not in ("", "0"):
            return "%s is set" % variable
    return None


def case(cases, kind=SUPPORTED, needs=()):
    """Adds the function to a module's list under its own name, with dashes."""

    def mark(function):
        cases.append(Case(function, function.__name__.replace("_", "-"), kind, needs))
        return function

    return mark


def cases_in(pattern):
    """The cases of the modules whose files match."""
    names = sorted(os.path.basename(path)[: -len(".py")] for path in glob.glob(pattern))
    return [one for name in names for one in importlib.import_module(name).CASES]


# How many cases of this process are run again when they fail. Many cases count samples or wait for others, and
# scripts/check runs thousands of them on machines that do other work as well: there a few may miss once, with lines
# that begin with "miss", and then count as they do the second time.
second_tries = int(os.environ.get("PYPERF_SECOND_TRIES") or 0)


def run_case(one, interpreter, build, tally):
    global second_tries
    if one.missing():
        tally.skip("%s, %s: %s" % (tally.label, one.name, one.missing()))
        return
    if second_tries:
        first = Tally(tally.label, "miss")
        run_once(one, interpreter, build, first)
        if not first.failed:
            tally.add(first.passed, 0, first.skipped)
            return
        second_tries -= 1
        print("miss %s, %s: it is run again" % (tally.label, one.name), flush=True)
    run_once(one, interpreter, build, tally)


def run_once(one, interpreter, build, tally):
    bench = Bench(one.name, interpreter, build, tally)
    try:
        if bench.version == interpreters.PYTHON_2 and python_2.left_out(one.name):
            raise Skip(python_2.left_out(one.name))
        if interpreter is not None and interpreter.musl and one.name in musl.LEFT_OUT:
            raise Skip(musl.LEFT_OUT[one.name])
        one.function(bench)
    except Skip as why:
        tally.skip("%s, %s: %s" % (tally.label, one.name, why))
    except RuntimeError as why:  # raised by a case
        bench.that("runs", "to its end", False, str(why))
    except Exception:  # any error, so that the next case is run
        where = traceback.format_exc().strip().split("\n")
        bench.that("runs", "to its end", False, re.sub(r"\s+", " ", " | ".join(where[-5:])))
    finally:
        bench.close()
