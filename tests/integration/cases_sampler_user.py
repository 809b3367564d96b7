"""A program that samples as root and goes on as another user, whose files the folder must take."""

import os

import harness
import sampler
from harness import case

CASES = []
PROGRAM = """
import os, sys
def burn():
    end = sum(os.times()[:2]) + 0.3
    while sum(os.times()[:2]) < end:
        sum(range(100))
def worker():
    os.setgid(1000)
    os.setuid(1000)
    burn()
burn()
for _ in range(2):
    if os.fork() == 0:
        worker()
        os._exit(0)
    os.wait()
print("done")
"""


@case(CASES)
def sampler_changed_user(bench):
    """Each child says so once; the program runs."""
    if os.geteuid() != 0:
        raise harness.Skip("only root can become another user")
    line = "libpyperf: not sampling: no file of samples can be made: %s: Permission denied\n" % bench.images
    program = bench.write("program.py", PROGRAM)
    os.chmod(bench.folder, 0o755)
    for mode, lines in ((0o755, 2 * line), (0o1777, "")):
        sampler.remove(bench)
        os.chmod(bench.images, mode)
        done, recording = sampler.run(bench, [bench.python, program])
        bench.equal("%o: outcome" % mode, (0, "done\n", lines), done.seen)
        seen = {}
        for one in recording.records():
            if "burn" in sampler.names(one):
                seen[one.pid] = seen.get(one.pid, 0) + one.count
        enough = sorted(count >= 30 for count in seen.values())
        bench.equal("%o: processes with 30 samples or more" % mode, [True] * (1 if lines else 3), enough)


LATER = """
import os, sys
os.setgid(1000)
os.setuid(1000)
sys.activate_stack_trampoline("perf_sample")
end = sum(os.times()[:2]) + 0.3
while sum(os.times()[:2]) < end:
    sum(range(100))
"""


@case(CASES)
def sampler_begun_by_another_user(bench):
    """Python begins after the user has changed (uWSGI, Apache), and may not list pyperf-run's folder."""
    if os.geteuid() != 0:
        raise harness.Skip("only root can become another user")
    program = bench.write("program.py", LATER)
    os.chmod(bench.folder, 0o755)
    os.chmod(bench.images, 0o1733)
    done, recording = sampler.run(bench, [bench.python, program], "250:later")
    bench.equal("outcome", (0, "", ""), done.seen)
    count = sampler.total(recording.records()) if recording else 0
    bench.that("samples", "30 or more", count >= 30, str(count))
