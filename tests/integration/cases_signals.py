"""Signals at any moment: handlers in Python and faulthandler's in C, while functions are made and
profiling is switched."""

import os
import re
import shutil
import signal

from cases_locked import Lock
from cases_refusal import without_us
from harness import case
from maps import Map
from outcome import switch_environment

CASES = []
STORM = "registered_storm"
RUNS_ALONE, RUNS_MORE = 150, 10
WITH_DUMP = ("real_timer", "toggling", "segmentation_fault", "killed_by_alarm")


def without_addresses(done):
    # From 3.14 on faulthandler also shows the C stack, which differs with libpyperf.
    err = re.sub(r"(Current thread's C stack trace[^\n]*\n)(  [^\n]*\n)*", r"\1", done.err)
    err = re.sub(r"used \d+ kB|repeated \d+ more", "", err)  # of a stack that has ended
    return (done.status, done.out, re.sub(r"0x[0-9a-f]+", "0x", err))


def crashes_alone(bench, program):
    """The number of the first run without libpyperf in which the storm ends with SIGSEGV; None if
    there is none."""
    for number in range(1, RUNS_ALONE + 1):
        if bench.plain(program, STORM).status == -signal.SIGSEGV:
            return number
    return None


def settled(bench, program, part, run):
    """3.13.0's faulthandler reads the entry frame of an evaluator while that is popped
    (Python/traceback.c, dump_frame), and crashes in 3 to 6 of 60 runs of the storm, with or without
    libpyperf. Such a run is repeated if a run without libpyperf crashes too."""
    for _ in range(RUNS_MORE):
        done = run()
        if part != STORM or done.status != -signal.SIGSEGV:
            break
        alone = crashes_alone(bench, program)
        if alone is None:
            break
        bench.skip(STORM, "SIGSEGV, as without libpyperf in run %d: run once more" % alone)
    return done


@case(CASES)
def signals_alike(bench):
    """Each part of programs/signals.py prints the same with and without libpyperf."""
    program = bench.program("signals.py")
    parts = bench.plain(program).out.split()
    bench.that("parts", "15 or more", len(parts) >= 15, str(len(parts)))
    for part in parts:
        plain = settled(bench, program, part, lambda: bench.plain(program, part))
        if bench.interpreter.native and plain.status != 0:
            # The interpreter's own trampolines crash when a handler switches them.
            plain = bench.plain(program, part, "silent")
        for options in (["-X", "perf"], ["-X", "perf_jit"])[: 2 if part in WITH_DUMP else 1]:
            command = [bench.python] + options + [program, part]
            done = settled(
                bench, program, part, lambda: bench.run(command, switch_environment(bench))
            )
            what = "%s, %s: status, output" % (part, " ".join(options))
            bench.equal(what, without_addresses(plain), without_addresses(done))
            if os.path.exists(bench.map_path(done.pid)):
                damaged = Map(bench.map_path(done.pid)).malformed
                bench.equal("%s: lines that are none" % part, [], damaged[:3])


DISPOSITIONS = """
import signal, sys
names = ["SIGPIPE", "SIGXFSZ", "SIGTTOU"]
state = [str(signal.getsignal(getattr(signal, name))) for name in names]
if hasattr(signal, "sigpending"):
    state += [signal.sigpending(), signal.pthread_sigmask(signal.SIG_BLOCK, [])]
print(state)
"""


@case(CASES)
def signals_of_our_lines(bench):
    """stderr is a pipe without reader, or a file at its limit: our line is lost and raises no
    signal, also before the interpreter ignores SIGPIPE and SIGXFSZ."""
    lock = Lock(bench)
    program = bench.write("dispositions.py", DISPOSITIONS)
    alone = os.path.join(bench.folder, "alone")
    os.mkdir(alone)
    shutil.copy(bench.library, alone)
    without_plan = os.path.join(alone, "libpyperf.so")
    for words in ("no-reader", "no-room"):
        command = lock.of(words) + [bench.python, program]
        plain = bench.run(command, bench.environment(preload=False, support=None, images=False))
        left_to_native = without_us(bench, command)
        for what, environment in (
            ("declined", bench.environment(LD_PRELOAD=without_plan)),
            ("no image", bench.environment(PYPERF_DIR="/nonexistent")),
            ("no toggle", bench.environment(support=None, PYPERF_TOGGLE_SIGNAL="HUP")),
        ):
            done = bench.run(command, environment)
            expected = left_to_native if what == "declined" else plain
            bench.equal("%s, %s: status, output" % (words, what), expected.seen, done.seen)
