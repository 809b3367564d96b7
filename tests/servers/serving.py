"""Real servers on a free port of 127.0.0.1: started, called by a few clients at once, stopped."""

import collections
import glob
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness
import orders
import packages
import prices

ADDRESS = "127.0.0.1"
REQUESTS = 2000
FIRST_REQUESTS = 20  # at once, until all workers have answered
CLIENTS = 4
SECONDS_TO_START = 30
SECONDS_TO_ANSWER = 10

# The name in a request, and the module that answers it.
APPLICATIONS = {"orders": orders, "prices": prices, "again": orders}

Answer = collections.namedtuple("Answer", "status body process interpreter")


class Kind:
    """A server as its users run it. command: a function of (bench, port); workers: the number of
    processes that answer; stop: the signal that ends it."""

    def __init__(self, command, workers, stop, applications):
        self.command, self.workers, self.stop = command, workers, stop
        self.applications = applications

    def requests(self):
        """The requests: (application, number), the same each time."""
        count = len(self.applications)
        return [(self.applications[n % count], n // count) for n in range(REQUESTS)]


def programs(bench):
    """A copy in the case's folder, which a server that runs as another user may read."""
    path = os.path.join(bench.folder, "programs")
    if not os.path.exists(path):
        shutil.copytree(packages.PROGRAMS, path)
    return path


def program(bench, name):
    """The application's file."""
    return os.path.join(programs(bench), APPLICATIONS[name].__name__ + ".py")


def free_port():
    with socket.socket() as one:
        one.bind((ADDRESS, 0))
        return one.getsockname()[1]


def expected_answers(requests, known={}):
    for name, number in requests:
        if (name, number) not in known:
            known[name, number] = APPLICATIONS[name].answer(number)
    return [(200, known[request]) for request in requests]


# processes


def parents():
    """pid -> the parent's pid, of all processes that are no zombies."""
    result = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            result[int(path.split("/")[2])] = int(parent)
    return result


def family(pid):
    """The process and all that descend from it."""
    of, found = parents(), [pid]
    for one in found:  # the list grows in the loop
        found += [child for child in of if of[child] == one]
    return found


def before_start():
    harness.remove_own_files()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def logs(bench):
    return glob.glob(os.path.join(bench.folder, "*.log"))


def cores(bench):
    """The pattern of core files, the kernel's default unless set."""
    return glob.glob(os.path.join(bench.folder, "core*"))


def lines_of_logs(bench):
    """The lines as a set, without the parts that differ each time."""
    lines = set()
    for path in logs(bench):
        with open(path, errors="backslashreplace") as file:
            lines.update(re.sub(r"0x[0-9a-f]+|\d+", "N", line.strip()) for line in file)
    return lines


class Server:
    """A running server. Its output goes to a file, because a pipe would not be read while it
    serves."""

    def __init__(self, bench, kind, environment):
        self.bench, self.kind, self.port = bench, kind, free_port()
        self.output = os.path.join(bench.folder, "output.log")
        self.pids = []
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                kind.command(bench, self.port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=bench.folder,
                preexec_fn=before_start,
                start_new_session=True,
            )
        bench.pids.add(self.process.pid)

    def __enter__(self):
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    def wait_until_ready(self):
        """Waits until each worker has answered: earlier, perf could miss mappings of its start."""
        end, found = time.time() + SECONDS_TO_START, set()
        while len(found) < self.kind.workers:
            if self.process.poll() is not None or time.time() > end:
                got = (len(found), self.kind.workers, self.said()[-600:])
                raise RuntimeError("no start: %d of %d workers: %s" % got)
            time.sleep(0.05)
            answers = self.ask(self.kind.requests()[:FIRST_REQUESTS])
            found |= {one.process for one in answers if one.process is not None}
        self.look_for_processes()

    def look_for_processes(self):
        self.pids = family(self.process.pid)
        self.bench.pids.update(self.pids)

    def said(self):
        with open(self.output, errors="backslashreplace") as file:
            return file.read()

    def ask_one(self, name, number):
        """One request on its own connection: a server may close a kept one at any time."""
        connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=SECONDS_TO_ANSWER)
        try:
            connection.request("GET", "/%s/%d" % (name, number), headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode("utf-8", "backslashreplace")
            process, interpreter = map(response.getheader, ("X-Process", "X-Interpreter"))
            return Answer(response.status, body, process, interpreter)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, "%s: %s" % (type(error).__name__, error), None, None)
        finally:
            connection.close()

    def ask(self, requests):
        """The answers, in the order of the requests."""
        answers = [None] * len(requests)
        waiting = iter(range(len(requests)))

        def ask():
            for number in waiting:  # one C call: no two clients get the same
                answers[number] = self.ask_one(*requests[number])

        threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.look_for_processes()
        return answers

    def stop(self):
        """Stops it; returns its exit status, and how many of its processes remain."""
        self.process.send_signal(self.kind.stop)
        try:
            status = self.process.wait(harness.TIMEOUT)
        except subprocess.TimeoutExpired:
            raise RuntimeError("does not end: %s" % self.said()[-600:])
        end = time.time() + 5  # processes that a master does not wait for
        while set(self.pids) & set(parents()) and time.time() < end:
            time.sleep(0.02)
        self.pids = sorted(set(self.pids) & set(parents()))
        return status, len(self.pids)

    def kill(self):
        """Kills processes that remain; none do after a normal stop."""
        pids = set(self.pids)
        if self.process.poll() is None:
            pids.update(family(self.process.pid))
        for pid in pids & set(parents()):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
