"""Attaching to a process that runs: for how long its threads stand still, and how soon it is sampled."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile

from measure import HERE, Failed, Table
from rows_sampler import chosen


class Target:
    """A process that works until the end of the block."""

    def __init__(self, interpreter):
        words = [interpreter.path, os.path.join(HERE, "workload_attached.py")]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)

    def __enter__(self):
        if self.process.stdout.readline() != b"ready\n":
            raise Failed("the process that is to be attached to does not start")
        return str(self.process.pid)

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def ask(bench, *words):
    done = subprocess.run(
        [os.path.join(bench.build, "pyperf-attach")] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode != 0:
        raise Failed(done.stderr.decode().strip())
    return json.loads(done.stdout.decode())


def private_memory(pid):
    """KiB of the library that are the process's own."""
    found, ours = 0, False
    with open("/proc/%s/smaps" % pid) as lines:
        for line in lines:
            if not line.split()[0].endswith(":"):
                ours = line.rstrip().endswith("/libpyperf.so")
            elif ours and line.startswith("Private_Dirty:"):
                found += int(line.split()[1])
    return found


def figures(bench, one, folder):
    """Of requests by turns on and off, each in a process that libpyperf is in already, but for the first; and what stays
    of private memory."""
    found = []
    with Target(one) as pid:
        library = os.path.join(os.path.abspath(bench.build), "libpyperf.so")
        for _ in range(bench.rounds(40, 10)):
            found.append(ask(bench, "sample", pid, library, folder, "--sampler", "99"))
            found.append(ask(bench, "off", pid))
        return found, private_memory(pid)


def rows(bench):
    table = Table(
        "Attaching: a process of eight threads that work and four that sleep",
        ["interpreter", "stopped, ms", "at most", "served after, ms", "at most", "private memory left, KiB"],
        ["pyperf-attach sample and off by turns; stopped: the longest that a thread of it stood still, for each; medians"],
    )
    for one in chosen(bench):
        folder = tempfile.mkdtemp(prefix="pyperf-bench-")
        try:
            found, private = figures(bench, one, folder)
        finally:
            shutil.rmtree(folder)
        cells, median = [one.label], None
        for name in ("stopped_ms", "served_after_ms"):
            values = [each[name] for each in found]
            median = statistics.median(values) if median is None else median
            cells += ["%.2f" % statistics.median(values), "%.2f" % max(values)]
        table.add(cells + [str(private)], "stopped: a median under 5 ms", median < 5)
    return [table]
