"""The sampler in a Django service: bytes of a sample, names and all, and the time to a table; beside perf."""

import http.client
import json
import os
import re
import subprocess
import threading
import time

from measure import HERE, ON, SAMPLER, SCRIPTS, Failed, Table, with_variables

import python2  # noqa: F401  # first
import packing
import samples as reader

RATES = (99, 250, 999)
MOST = 80  # bytes of a sample
SECONDS_TO_TABLE = 2.0
COPY = 65528  # perf's largest copy of a stack
CLIENTS = 2
PAGES = ["/orders/%d" % number for number in range(10)] + ["/report", "/feed"]


def visit(port, end, answers):
    """Pages one after the other until then; each answer's status."""
    turn = 0
    while time.time() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", PAGES[turn % len(PAGES)])
        answers.append(connection.getresponse().status)
        connection.close()
        turn += 1


class Service:
    """workload_django.py under a command, visited for some seconds."""

    def __init__(self, bench, one, setup, seconds, before=()):
        variables, words = bench.command(one, setup, "workload_django.py")
        words = list(before) + with_variables(variables, words)
        process = subprocess.Popen(
            words, env=bench.environment, cwd=bench.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True,
        )
        port = process.stdout.readline()
        answers = []
        if port:
            end = time.time() + seconds
            clients = [threading.Thread(target=visit, args=(int(port), end, answers)) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        _, errors = process.communicate()
        self.answers = len(answers)
        if process.returncode != 0 or set(answers) != {200}:
            raise Failed("the service ends with %s: %s" % (process.returncode, errors.strip()[-200:]))


def to_table(path):
    """Seconds until pyperf-run has printed the table of a profile, and what it says of it."""
    began = time.time()
    done = subprocess.run([os.path.join(SCRIPTS, "pyperf-run"), "--report", path], stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise Failed("pyperf-run --report: status %d" % done.returncode)
    return time.time() - began, done.stdout.decode()


def sampled(bench, one, rate, seconds, table):
    bench.clear_images()
    service = Service(bench, one, SAMPLER + str(rate), seconds)
    written, profile = bench.size_of_images(), os.path.join(bench.work, "service.samples")
    if not written or packing.main(bench.images, profile) != 0:
        raise Failed("there is no profile")
    size = os.path.getsize(profile)
    recording = reader.Recording(bench.images, True)
    taken = sum(1 for _ in recording.moments())
    records = list(recording.records())
    count = sum(record.count for record in records)
    whole = sum(record.count for record in records if record.whole)
    took, _ = to_table(profile)
    os.unlink(profile)
    bench.clear_images()
    good = size <= MOST * taken and took < SECONDS_TO_TABLE
    cells = ["sampler, %d Hz" % rate, str(service.answers), str(taken), str(written), str(size)]
    cells += ["%.0f" % (size / float(taken))]
    cells += ["%.2f %%" % (100.0 * whole / count), "%.2f" % took]
    table.add(cells, "at most %d bytes, %.0f s" % (MOST, SECONDS_TO_TABLE), good)


def recorded(bench, one, seconds, table):
    data = os.path.join(bench.work, "service.data")
    words = ["perf", "record", "-q", "-F", str(RATES[0]), "--call-graph", "dwarf,%d" % COPY, "-o", data, "--"]
    service = Service(bench, one, ON, seconds, words)
    taken, size = bench.samples_of_perf(data), os.path.getsize(data)
    took, said = to_table(data)
    os.unlink(data)
    bench.clear_images()
    whole = re.search(r"([\d.]+ %) of stacks complete", said)
    cells = ["perf, %d Hz" % RATES[0], str(service.answers), str(taken), str(size), str(size)]
    cells += ["%.0f" % (size / float(max(taken, 1))), whole.group(1) if whole else "?", "%.2f" % took]
    table.add(cells)


def rows(bench):
    """Of the interpreter for which Debian has Django."""
    found = [one for one in bench.found if one.path.startswith("/usr/bin/")]
    has = [one for one in found if subprocess.call([one.path, "-c", "import django"], stderr=subprocess.DEVNULL) == 0]
    if not has:
        raise Failed("no interpreter here has Django: apt-get install python3-django")
    seconds = bench.rounds(60, 10)
    version = json.loads(bench.execute([has[0].path, "-c", "import django; print(list(django.VERSION[:3]))"]))
    table = Table(
        "A Django service, for %d seconds" % seconds,
        ["", "answers", "samples", "written", "bytes", "bytes a sample", "complete", "to a table, s"],
        [
            "Django %s, %s; %d clients, one page after the other; written: bytes that the process has written; bytes: of"
            " the whole profile, with names and lines, as pyperf-run leaves it; to a table: pyperf-run --report; perf"
            " copies %d bytes of stack"
            % (".".join(map(str, version)), has[0].label, CLIENTS, COPY)
        ],
    )
    for rate in RATES:
        sampled(bench, has[0], rate, seconds, table)
    recorded(bench, has[0], min(seconds, 20), table)
    return [table]
