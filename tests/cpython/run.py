#!/usr/bin/env python3
"""CPython's own regression tests under the preload, with profiling on.

    run.py [--build DIR] [--quick] [--jitdump | --sampler] [--jobs N] [--python PATH]... [MODULE]...

A test that passes without the preload must pass with it. Each module of each interpreter that has a
`test` package runs in a process of its own (`python -m test MODULE`). A module that fails is run
without the preload, and if it passes then, up to three times more both ways: it "fails only under
the preload" if it failed each time with it, and passed each time without. Prints a line for each
module that did not pass at once, and then for each interpreter

    python3.8.18 shared, 423 modules: 398 passed, 2 when run again, 20 skipped,
                         3 fail without the preload too, 0 only under it

and their sum, as the other tests do. The exit status is 1 when any module fails only under the preload, and when there is nothing to run.
Without MODULE, all are run that need neither network nor display; --quick takes those of
modules.QUICK, and two interpreters. --sampler samples instead, and storm.c adds signals at 5,000 Hz. Tests in modules.LEFT_OUT are left out. What failing runs
printed is in DIR/cpython.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness
import interpreters

from modules import LEFT_OUT, QUICK

RESOURCES = "all,-network,-urlfetch,-gui,-audio,-largefile,-cpu"
TIME_LIMIT = 300  # seconds a module; the longest takes 200 on an idle machine
RUNS = 3
PASSED, FAILED, SKIPPED, LATE = "passed", "failed", "skipped", "late"
AGAIN = "failed, passed when run again"
WITHOUT_TOO = "fails without the preload too"
ONLY_WITH = "FAILS ONLY UNDER THE PRELOAD"
SKIPPED_MODULE = re.compile(r"^\d+ tests? skipped\b", re.MULTILINE)  # regrtest's summary

# Map, image and dump files of thousands of processes go to the module's own /tmp, if permitted.
OWN_TMP = ["unshare", "--mount", "/bin/sh", "-c"]
OWN_TMP += ["mount -t tmpfs -o mode=1777 tmpfs /tmp && exec \"$@\"", "sh"]


class Suite:
    def __init__(self, interpreter, build, arguments):
        self.interpreter = interpreter
        self.library = os.path.join(build, "libpyperf.so")
        self.logs = os.path.join(build, "cpython", interpreter.label.replace(" ", "-"))
        self.jitdump, self.sampler = arguments.jitdump, arguments.sampler
        permitted = subprocess.call(OWN_TMP + ["true"], stderr=subprocess.DEVNULL) == 0
        if build.startswith("/tmp/"):
            permitted = False  # the library would not be there
        self.own_tmp = OWN_TMP if permitted else []
        self.is_python_2 = interpreter.series == interpreters.PYTHON_2

    def left_out(self, module):
        first, last, tests, _ = LEFT_OUT.get(module, ((9,), (0,), (), ""))
        return tests if first <= self.interpreter.series <= last else ()

    def environment(self, folder, preload):
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            "TMPDIR": folder,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        if preload:
            environment["LD_PRELOAD"] = self.library
            environment["PYPERF_SAMPLER" if self.sampler else "PYTHONPERFSUPPORT"] = "199" if self.sampler else "1"
            if not self.is_python_2:  # where a system call that it interrupts fails
                environment["PYPERF_STORM"] = "1"  # storm.c
            if self.jitdump:
                environment["PYTHON_PERF_JIT_SUPPORT"] = "1"
        return environment

    def is_profiling(self):
        code = "import sys; print(sys.is_stack_trampoline_active())"
        command = [self.interpreter.path, "-c", code]
        shown = subprocess.run(
            command, stdout=subprocess.PIPE, env=self.environment("/var/tmp", True)
        ).stdout
        return shown == b"True\n"

    def list_modules(self):
        words = ["-m", "test", "--list-tests"]
        if self.is_python_2:
            words = ["-c", "import test.regrtest as r; print('\\n'.join(r.findtests()))"]
        listed = subprocess.run(
            [self.interpreter.path] + words,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            universal_newlines=True,
            env=interpreters.plain_environment(),
        )
        return listed.stdout.split() if listed.returncode == 0 else []

    def run(self, module, preload, options):
        """PASSED, FAILED, SKIPPED or LATE, and the output."""
        folder = tempfile.mkdtemp(prefix="pyperf-", dir="/var/tmp")
        command = self.own_tmp + [self.interpreter.path] + options
        command += ["-m"] + (["test.regrtest", "-w"] if self.is_python_2 else ["test", "-W"])
        command += ["-u", RESOURCES]
        for test in self.left_out(module):
            command += ["-i", test]
        command += [module]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=self.environment(folder, preload),
                start_new_session=True,
            )
            try:
                status = process.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired:
                status = None
            end_session(process)
            output.seek(0)
            text = output.read().decode(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        return verdict(status, text), text

    def keep(self, module, text):
        os.makedirs(self.logs, exist_ok=True)
        with open(os.path.join(self.logs, module + ".log"), "w") as log:
            log.write(text)

    def compare(self, module, options):
        first, text = self.run(module, True, options)
        if first == PASSED:
            return PASSED
        self.keep(module, text)
        for _ in range(RUNS):
            without, _ = self.run(module, False, options)
            if without != PASSED:
                return SKIPPED if without == first == SKIPPED else WITHOUT_TOO
            again, text = self.run(module, True, options)
            if again == PASSED:
                return AGAIN
            self.keep(module, text)
        return ONLY_WITH

    def judge(self, module):
        """The result of a module, and its seconds. Packages installed beside the interpreter make
        some fail (a .pth file that runs in each sub-interpreter, for example): those are run again
        without them."""
        start = time.monotonic()
        verdict = self.compare(module, [])
        if verdict == WITHOUT_TOO:
            verdict = self.compare(module, ["-S"])
        return verdict, time.monotonic() - start


def end_session(process):
    """Kills the processes that a test has left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def verdict(status, text):
    if status is None:
        return LATE
    if status != 0:
        return FAILED
    return SKIPPED if SKIPPED_MODULE.search(text) else PASSED


def enter(tally, counts):
    """A module that fails without the preload too tells nothing of it."""
    passed = counts[PASSED] + counts[AGAIN]
    tally.add(passed, counts[ONLY_WITH], counts[SKIPPED] + counts[WITHOUT_TOO])


def run_suite(suite, modules, jobs, tally):
    """Prints one line for each module that did not pass at once, then the counts."""
    if not suite.is_profiling():
        print("%s: not profiling, so nothing would be tested" % suite.interpreter.label)
        tally.add(0, 1, 0)
        return
    counts = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(suite.judge, module): module for module in modules}
        for done in concurrent.futures.as_completed(running):
            verdict, took = done.result()
            counts[verdict] += 1
            if verdict not in (PASSED, SKIPPED):
                line = suite.interpreter.label, running[done], verdict, took
                print("%s, %s: %s (%.0f s)" % line, flush=True)
    form = "%s, %d modules: %d passed, %d when run again, %d skipped, %d fail without the preload"
    form += " too, %d only under it"
    kinds = PASSED, AGAIN, SKIPPED, WITHOUT_TOO, ONLY_WITH
    line = suite.interpreter.label, len(modules), *(counts[kind] for kind in kinds)
    print(form % line, flush=True)
    enter(tally, counts)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    parser.add_argument("--quick", action="store_true", help="some 50 modules, two interpreters")
    parser.add_argument("--jitdump", action="store_true", help="write jitdumps, not maps")
    parser.add_argument("--sampler", action="store_true", help="sample, at 5,000 Hz")
    parser.add_argument("--python", action="append", metavar="PATH", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    return parser.parse_args()


@contextlib.contextmanager
def storm(arguments):
    """Signals of the sampler, more than the kernel's timers give."""
    if not arguments.sampler:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "storm")
        subprocess.check_call(["cc", "-O1", "-o", program, os.path.join(HERE, "storm.c")])
        process = subprocess.Popen([program, "5000"])
        try:
            yield
        finally:
            process.kill()
            process.wait()


def main():
    arguments = parse_arguments()
    # A shell's background job ignores it, and its children inherit that: tests of SIGINT fail then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = [os.path.realpath(path) for path in arguments.python or ()]
    suites, tally = [], harness.Tally("cpython")
    for interpreter in interpreters.find()[0]:
        if interpreter.supported and (not wanted or interpreter.path in wanted):
            suite = Suite(interpreter, os.path.realpath(arguments.build), arguments)
            suite.modules = suite.list_modules()
            if suite.modules:
                suites.append(suite)
            else:
                print("%s, skipped: it has no test package" % interpreter.label, flush=True)
    # The machine's own interpreters first, then the fetched ones.
    fetched = os.path.dirname(interpreters.FETCHED) + os.sep
    own = [one for one in suites if not one.interpreter.path.startswith(fetched)]
    if arguments.quick and len(own) >= 2:
        suites = own
    if arguments.quick and len(suites) > 2:
        suites = [suites[0], suites[-1]]
    with storm(arguments):
        for suite in suites:
            chosen = arguments.modules or (QUICK if arguments.quick else suite.modules)
            run_suite(suite, [one for one in chosen if one in suite.modules], arguments.jobs, tally)
    if not suites:
        print("no interpreter with a test package: Debian's is libpython3.11-testsuite, say")
    print(tally.closing())
    return 1 if tally.failed or not suites else 0


if __name__ == "__main__":
    sys.exit(main())
