"""Celery, as in docs/services.md: workers in processes of their own, and in threads."""

import os
import re
import signal
import subprocess
import time

import guide
import inside
import orders
import packages
import recording
import sampler
import serving
from harness import case

CASES = []
SUBJECT = "celery"
PROGRAM = "/usr/bin/celery"
SECONDS = 60
FIRST, TASKS, SAMPLED = 40, 400, 100
ORDERS = 10  # a task
SEND = "import sys; from shop.celery import send; send(*map(int, sys.argv[1:]))"


def recipe():
    """The worker's arguments, and the command that finds the processes that work."""
    text = guide.section("Celery")
    words = re.search(r"^    LD_PRELOAD=.* celery (.*)$", text, re.M).group(1).split()
    return words, re.search(r"^    (PIDS=.*)$", text, re.M).group(1)


class Worker(serving.Server):
    """A running worker. It has no port: messages and answers are files."""

    def __init__(self, bench, options, **more):
        packages.require(PROGRAM, "celery")
        self.sent = 0
        self.folder = os.path.join(bench.folder, "shop")
        for name in ("messages", "answers"):
            os.makedirs(os.path.join(self.folder, name))
        self.more = {"SHOP_FOLDER": self.folder, "PYTHONPATH": serving.programs(bench)}

        def command(bench, port):
            return [bench.python, PROGRAM] + recipe()[0] + options

        kind = serving.Kind(command, 0, signal.SIGTERM, ["orders"])
        more = more or {"PYPERF_TOGGLE_SIGNAL": "RTMIN+3"}
        environment = bench.environment(support=None, **more, **self.more)
        super().__init__(bench, kind, environment)

    def work(self, count):
        """The number of right answers, and of tasks."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        environment = self.bench.environment(
            preload=False, support=None, images=False, **self.more
        )
        words = [str(one) for one in (numbers.start, numbers.stop, ORDERS)]
        done = self.bench.run([self.bench.python, "-c", SEND] + words, environment)
        if done.status != 0:
            raise RuntimeError("nothing sent: %s" % done.err[-600:])
        end = time.time() + SECONDS
        while any(self.answer(number) is None for number in numbers):
            if self.process.poll() is not None or time.time() > end:
                raise RuntimeError("no answers: %s" % self.said()[-600:])
            time.sleep(0.05)
        self.look_for_processes()
        return sum(self.answer(number) == expected(number) for number in numbers)

    def answer(self, number):
        try:
            with open(os.path.join(self.folder, "answers", str(number))) as answer:
                return answer.read()
        except FileNotFoundError:
            return None


def expected(number):
    return "".join(orders.answer(number * ORDERS + one) for one in range(ORDERS))


def pids_by_recipe():
    done = subprocess.run(
        ["sh", "-c", recipe()[1] + '\necho "$PIDS"'], stdout=subprocess.PIPE, check=True
    )
    return sorted(int(pid) for pid in done.stdout.decode().split(","))


def beneath_task(bench):
    """Of an order's callers: the task, and Celery further out."""
    task = "deliver:" + os.path.join(serving.programs(bench), "shop", "celery.py")
    return lambda names: names[:1] == [task] and any(name.endswith("/celery/app/trace.py") for name in names)


def look_at(bench, options, pids_of):
    if not recording.wanted(bench):
        return
    seen = {}
    with Worker(bench, options) as worker:
        bench.equal("dormant: right answers", FIRST, worker.work(FIRST))
        bench.equal("dormant: images", [], os.listdir(bench.images))
        pids = pids_of(worker)
        for state in ("on", "off"):
            for pid in pids:
                os.kill(pid, signal.SIGRTMIN + 3)
            worker.work(FIRST)  # Python runs what is pending
            with recording.Recording(bench, pids) as recorded:
                right = worker.work(TASKS)
            bench.equal("%s: right answers" % state, TASKS, right)
            seen[state] = recorded.samples()
        bench.equal("status, processes left", (0, 0), worker.stop())
    folder, beneath = serving.programs(bench), beneath_task(bench)
    for number, pid in enumerate(pids, 1):
        own = [one for one in seen["on"] if one.pid == pid]
        path, chain = serving.program(bench, "orders"), orders.CHAIN[:-1]
        recording.look_at_stacks(bench, "process %d" % number, own, path, chain, beneath)
    # A thread that the pool has started meanwhile is still in functions that were called while on.
    named = sum(any(folder in name for name in one.python) for one in seen["off"])
    bench.that("off: samples", "100 or more", len(seen["off"]) >= 100, str(len(seen["off"])))
    bench.equal("off: samples with a function of the tasks", 0, named)


@case(CASES, needs=("servers",))
def celery_processes(bench):
    """Workers are found and switched on as the guide says; each does its part of the tasks."""

    def children(worker):
        pids = pids_by_recipe()
        known = serving.parents()
        bench.equal("processes", (4, True), (len(pids), worker.process.pid in map(known.get, pids)))
        return pids

    look_at(bench, [], children)


@case(CASES, needs=("servers",))
def celery_threads(bench):
    look_at(bench, ["--pool", "threads"], lambda worker: [worker.process.pid])


def look_at_sampled(bench, options, processes):
    with Worker(bench, options, PYPERF_SAMPLER=inside.HZ) as worker:
        bench.equal("sampled: right answers", SAMPLED, worker.work(SAMPLED))
        bench.equal("status, processes left", (0, 0), worker.stop())
        bench.equal("lines of libpyperf", False, "libpyperf" in worker.said())
    rows, _ = inside.table(bench, bench.images, "--lines")
    path = serving.program(bench, "orders")
    inside.look_at_rows(bench, "sampled", rows, path, orders.weigh)
    profile = sampler.profile(bench)
    bench.equal("what is missing", [], profile.notes)
    inside.look_at_all(bench, "sampled", list(profile.records()))
    found = [one for one in profile.records() if "weigh:" + path in one.python]
    bench.equal("processes with tasks", processes, len({one.pid for one in found}))
    recording.look_at_stacks(bench, "all", inside.each(found), path, orders.CHAIN[:-1], beneath_task(bench))


@case(CASES, needs=("servers",))
def celery_processes_sampled(bench):
    look_at_sampled(bench, [], 4)


@case(CASES, needs=("servers",))
def celery_threads_sampled(bench):
    look_at_sampled(bench, ["--pool", "threads"], 1)
