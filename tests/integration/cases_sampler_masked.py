"""Threads that block all signals: the sampler sees them, and they do not see it."""

import sys

import harness
import interpreters
import sampler
from cases_sampler import check_whole, share_at_least
from harness import case

CASES = []
# Starts a program with all signals blocked, and with that library.
BLOCKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
os.environ.update([("LD_PRELOAD", sys.argv[1])] if sys.argv[1] else [])
os.execv(sys.argv[2], sys.argv[2:])
"""


@case(CASES)
def sampler_masked_threads(bench):
    if bench.version == interpreters.PYTHON_2:
        raise harness.Skip("Python 2 has no signal.pthread_sigmask")
    plain = bench.plain(bench.program("masked.py"))
    for how in ("250", "250:threads"):
        sampler.remove(bench)
        done, recording = sampler.run(bench, [bench.python, bench.program("masked.py")], how)
        bench.equal(how + ": outcome", plain.seen, done.seen)
        found = list(recording.records())
        burning = [one for one in found if "burn" in sampler.names(one)]
        bench.that(how + ": samples", "60 or more", sampler.total(burning) >= 60, str(sampler.total(burning)))
        outermost = sampler.total(one for one in burning if sampler.names(one)[-1].endswith("_bootstrap"))
        share_at_least(bench, how + ": of the thread", 0.99, outermost, sampler.total(burning))
        waiting = sampler.total(one for one in found if any(name.endswith("join") for name in sampler.names(one)))
        bench.that(how + ": samples of a thread that waits", "3 or fewer", waiting <= 3, str(waiting))
        check_whole(bench, recording, how + ": ")


@case(CASES)
def sampler_masked_from_the_start(bench):
    """Apache's processes begin so."""
    if bench.version == interpreters.PYTHON_2:
        raise harness.Skip("Python 2 has no signal.pthread_sigmask")
    words = [bench.python, bench.program("masked.py"), "inherited"]
    plain = bench.run([sys.executable, "-c", BLOCKED, ""] + words, bench.environment(preload=False, support=None))
    done = bench.run(
        [sys.executable, "-c", BLOCKED, bench.library] + words, sampler.environment(bench, preload=False)
    )
    bench.equal("outcome", plain.seen, done.seen)
    recording = sampler.profile(bench)
    found = list(recording.records()) if recording else []
    burning = sampler.total(one for one in found if "burn" in sampler.names(one))
    bench.that("samples", "60 or more", burning >= 60, str(burning))
