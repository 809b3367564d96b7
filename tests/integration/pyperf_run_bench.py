"""What the cases of test_pyperf_run.py share."""

import glob
import os
import shutil
import subprocess
import tempfile

import harness
import perf
from pyperf_run_programs import HANDLER

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RUN = os.path.join(ROOT, "scripts", "pyperf-run")
BUILD = os.path.realpath(os.environ.get("PYPERF_BUILD", os.path.join(ROOT, "build")))


class Bench:
    def __init__(self, interpreter):
        self.interpreter = interpreter
        self.tally = harness.Tally(interpreter)
        self.folder = tempfile.mkdtemp(prefix="test-pyperf-run-")
        self.temporary = os.path.join(self.folder, "tmp")
        self.home = os.path.join(self.folder, "home")
        self.work = os.path.join(self.folder, "work")
        for path in (self.temporary, self.home, self.work):
            os.mkdir(path)
        self.environment = dict(
            os.environ,
            HOME=self.home,
            TMPDIR=self.temporary,
            PYPERF_LIBRARY=os.path.join(BUILD, "libpyperf.so"),
        )

    def check(self, case, expected, got):
        self.tally.report(case, repr(expected), expected == got, repr(got))

    def command(self, *arguments):
        """Quiet, so that stderr has only the program's output."""
        return [RUN, "-q", "--", self.interpreter] + list(arguments)

    def clear_work(self):
        shutil.rmtree(self.work)
        os.mkdir(self.work)

    def samples(self, *options):
        words = ["perf", "script"] + perf.FIELDS + list(options)
        with_unwind_data = sorted(glob.glob(os.path.join(self.work, "perf.data.images", "*.debug", "files")))
        if with_unwind_data:  # unwind.sh
            words += ["--symfs", with_unwind_data[-1], "--kallsyms", "/proc/kallsyms"]
        return perf.samples(self.run(words).stdout)

    def run(self, command, **more):
        more.setdefault("env", self.environment)
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            cwd=self.work,
            timeout=120,
            **more
        )

    def start(self, *arguments):
        """Starts a program in its own session, and returns it and its pid when it is ready."""
        handle, data = tempfile.mkstemp(dir=self.folder)
        os.close(handle)
        process = subprocess.Popen(
            [RUN, "-q", "-o", data, "--", self.interpreter, "-c", HANDLER] + list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=self.environment,
            cwd=self.work,
            start_new_session=True,
        )
        return process, int(process.stdout.readline().split()[1])


def names(samples):
    return {name for one in samples for name in one.python}
