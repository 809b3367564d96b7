#!/usr/bin/env python3
"""Hostile programs, random but for their seed, with us and without: what they print and how they end must
be the same.

    run.py [--build DIR] [--minutes N] [--seed N] [--python PATH]... [--each] [--steps STEPS] [--mode MODE]

One program after the other, each on one of the interpreters; with --each on all interpreters at the same time.
A finding says its seed, the steps it comes down to, and the command that shows it again; the steps stay in
BUILD/soak. With --steps only those are run, 20 times."""

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "integration"))
sys.path.insert(0, HERE)

import interpreters
import steps as maker

PROGRAM = os.path.join(HERE, "program.py")
TIMEOUT, TRIES, REDUCING = 30, 20, 120
ALIKE = 4  # runs without us, before a difference is called one
MODES = {
    "map": {"PYTHONPERFSUPPORT": "1"},
    "jit": {"PYTHON_PERF_JIT_SUPPORT": "1"},
    "needed": {"PYTHONPERFSUPPORT": "1", "PYPERF_MAP": "needed"},
    "toggle": {"PYTHONPERFSUPPORT": "1", "SOAK_TOGGLE": "1"},
    "toggle-off": {"SOAK_TOGGLE": "1"},
    "dormant": {},
    "sampler": {"PYPERF_SAMPLER": "250"},
    "sampler-threads": {"PYPERF_SAMPLER": "999:threads", "PYTHONPERFSUPPORT": "1"},
    "sampler-wall": {"PYPERF_SAMPLER": "999:wall:every=1:keep=2"},
}


class Soak:
    """timeout: seconds after which a program hangs."""

    def __init__(self, build, timeout=TIMEOUT):
        self.build, self.folder = build, tempfile.mkdtemp(prefix="pyperf-soak-", dir="/tmp")
        self.timeout = timeout
        self.fiber = os.path.join(self.folder, "fiber.so")
        source = os.path.join(HERE, "fiber.c")
        subprocess.check_call(["cc", "-O1", "-shared", "-fPIC", "-o", self.fiber, source])

    def environment(self, mode):
        result = interpreters.plain_environment()
        result.update(SOAK_FIBER=self.fiber, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        result.update(PYTHONHASHSEED="0", TMPDIR=self.folder)
        if mode is not None:
            result.update(MODES[mode], PYPERF_DIR=self.folder)
            result["LD_PRELOAD"] = os.path.join(self.build, "libpyperf.so")
        return result

    def run(self, python, steps, mode):
        """Status and output; for one that does not end "hangs"."""
        process = subprocess.Popen(
            [python, PROGRAM, repr(steps)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment(mode), cwd=self.folder, start_new_session=True,
        )
        try:
            out, self.err = process.communicate(timeout=self.timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            status = "hangs"
        try:
            os.killpg(process.pid, signal.SIGKILL)  # and whatever it has left
        except ProcessLookupError:
            pass
        if status == "hangs":
            out, self.err = process.communicate()
        self.tidy(process.pid)
        return status, out.decode(errors="backslashreplace")

    def tidy(self, pid):
        for name in os.listdir(self.folder):
            if name.startswith("pyperf-"):
                number = name.split("-")[1]
                for path in ("/tmp/perf-%s.map" % number, "/tmp/jit-%s.dump" % number):
                    if os.path.exists(path):
                        os.unlink(path)
                os.unlink(os.path.join(self.folder, name))

    def differs(self, python, steps, mode, tries=1):
        """Whether it does something else with us; None when it does this and that without."""
        plain = self.run(python, steps, None)
        if plain[0] != 0:
            return None
        for _ in range(tries):
            ours, err = self.run(python, steps, mode), self.err
            if ours != plain:
                same = all(self.run(python, steps, None) == plain for _ in range(ALIKE))
                return (plain, ours, err) if same else None
        return False

    def reduced(self, python, steps, mode, tries):
        """Fewer steps that differ, too, as far as that is found in a while."""
        end = time.monotonic() + REDUCING
        found = True
        while found and time.monotonic() < end:
            found = False
            for fewer in maker.without(steps):
                if time.monotonic() > end:
                    break
                if self.differs(python, fewer, mode, tries):
                    steps, found = fewer, True
                    break
        return steps

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def say_finding(soak, one, seed, mode, steps, found):
    plain, ours, err = found
    print("FAIL %s, seed %d, %s\n     expected %r\n     got %r" % (one.label, seed, mode, plain, ours), flush=True)
    again = 0
    for _ in range(3):
        again += bool(soak.differs(one.path, steps, mode))
    print("     %d of 3 further runs differ" % again, flush=True)
    if again:
        steps = soak.reduced(one.path, steps, mode, 1 if again == 3 else 4)
    print("     stderr %r" % err[-600:])
    folder = os.path.join(soak.build, "soak")
    os.makedirs(folder, exist_ok=True)
    kept = os.path.join(folder, "%d-%s.steps" % (seed, mode))
    with open(kept, "w") as file:
        file.write(repr(steps) + "\n")
    print("     %s tests/soak/run.py --build %s --python %s --mode %s --steps \"$(cat %s)\""
          % (sys.executable, soak.build, one.path, mode, kept), flush=True)


def soak_all(soak, arguments, found):
    seed, end = arguments.seed, time.monotonic() + arguments.minutes * 60
    counts = {one.label: [0, 0, 0] for one in found}  # the same, different, dropped
    while time.monotonic() < end:
        r = random.Random(seed)
        one, mode, steps = r.choice(found), r.choice(sorted(MODES)), maker.make(seed)
        try:
            result = soak.differs(one.path, steps, mode)
        except OSError as error:  # of the machine: EAGAIN, a full disk
            print("seed %d: %s" % (seed, error), flush=True)
            result = None
        counts[one.label][2 if result is None else 1 if result else 0] += 1
        if result:
            say_finding(soak, one, seed, mode, steps, result)
        seed += 1
    print("seeds to %d" % (seed - 1), flush=True)
    for label, row in counts.items():
        print("%s: %d the same, %d different, %d dropped (not the same without us)" % (label, *row), flush=True)
    return sum(row[1] for row in counts.values())


def soak_each(arguments, found):
    """A process for each interpreter, with seeds of its own. Returns how many programs differed."""
    sharing = max(len(found) / len(os.sched_getaffinity(0)), 1)
    children = {}
    for number, one in enumerate(found):
        pid = os.fork()
        if pid == 0:
            soak = Soak(arguments.build, TIMEOUT * sharing)
            arguments.seed += number * 10 ** 9
            try:
                differences = soak_all(soak, arguments, [one])
            finally:
                soak.close()
            os._exit(min(differences, 100))
        children[pid] = one
    bad = 0
    while children:
        pid, status = os.wait()
        one = children.pop(pid)
        if os.WIFSIGNALED(status):
            print("FAIL %s: the soak itself was killed by signal %d" % (one.label, os.WTERMSIG(status)))
        bad += bool(status)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--python", action="append", metavar="PATH")
    parser.add_argument("--each", action="store_true", help="all interpreters at the same time")
    parser.add_argument("--steps", help="these instead of random ones")
    parser.add_argument("--mode", choices=sorted(MODES), default="map")
    arguments = parser.parse_args()
    arguments.build = os.path.realpath(arguments.build)
    if arguments.seed is None:
        arguments.seed = int(time.time()) * 1000
    if arguments.python:
        found = [interpreters.Interpreter(os.path.realpath(path)) for path in arguments.python]
    else:
        found = [one for one in interpreters.find()[0] if one.supported]
    if arguments.each and not arguments.steps:
        print("seeds from %d on" % arguments.seed, flush=True)
        return 1 if soak_each(arguments, found) else 0
    soak = Soak(arguments.build)
    try:
        if arguments.steps:
            for one in found:
                result = soak.differs(one.path, ast.literal_eval(arguments.steps), arguments.mode, TRIES)
                print(one.label, "differs:" if result else "no difference", *(result or ()), sep="\n")
            return 0
        print("seeds from %d on" % arguments.seed, flush=True)
        return 1 if soak_all(soak, arguments, found) else 0
    finally:
        soak.close()


if __name__ == "__main__":
    sys.exit(main())
