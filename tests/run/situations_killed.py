"""A pyperf-run that was killed with SIGKILL, and the next one in its folder."""

import glob
import os
import signal

from harness import case, finish, wait_for
from recorded import start_run

CASES = []
# Ends by itself, should the case fail.
PROGRAM = """
import os, time
open("started", "w").close()
end = time.time() + 60
while time.time() < end and not os.path.exists("stop"):
    sum(range(10000))
"""


def writers(folder):
    """The processes that have a file of this folder open."""
    found = set()
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            path = os.readlink(link)
        except OSError:
            continue
        if path.startswith(folder + "/"):
            found.add(link.split("/")[2])
    return found


def look_from_container(bench, folder):
    """A container that shares the folder sees no process of the run."""
    if os.geteuid() != 0:
        bench.skip("in a container", "only root can make a pid namespace")
        return
    done = finish(start_run(bench, "--", "true", prefix=["unshare", "--pid", "--fork", "--mount-proc"]))
    bench.equal("in a container, while perf writes it", (0, False), (done.status, folder in done.err))


@case(CASES, needs=("perf",))
def killed(bench):
    """perf goes on writing: not a word. Then the next run names the folder, and the profile is readable."""
    program = bench.write("program.py", PROGRAM)
    run = start_run(bench, "--", bench.python, program)
    begun = wait_for(lambda: os.path.exists(os.path.join(bench.folder, "started")))
    bench.equal("the program has begun", True, begun)
    (folder,) = glob.glob(os.path.join(bench.folder, "perf.data.images", "*.recording"))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    try:
        bench.that("perf goes on", "a writer", writers(folder), "none")
        done = finish(start_run(bench, "--", "true"))
        bench.equal("while perf writes it", False, folder in done.err)
        look_from_container(bench, folder)
    finally:
        bench.write("stop", "")
    bench.equal("perf has ended", True, wait_for(lambda: not writers(folder)))
    done = finish(start_run(bench, "--", "true"))
    bench.that("then", folder, folder in done.err, done.err)
    done = finish(start_run(bench, "-q", "--", "true"))
    bench.equal("-q", "", done.err)
    done = finish(start_run(bench, "--report", os.path.join(folder, "perf.data")))
    bench.that("its profile", "status 0, samples", done.status == 0 and " samples of " in done.out, done.out + done.err)
