"""The checks of each server: the same as without libpyperf, and stacks with names."""

import collections
import os
import signal

import recording
import serving
from serving import REQUESTS, Server

Visit = collections.namedtuple("Visit", "answers status left log cores samples")


def visit(bench, kind, environment, record):
    """One run of the server: all requests, under perf or not, and its end."""
    for path in serving.logs(bench) + serving.cores(bench):
        os.unlink(path)
    with Server(bench, kind, environment) as server:
        if record:
            with recording.Recording(bench, server.pids) as recorded:
                answers = server.ask(kind.requests())
        else:
            answers = server.ask(kind.requests())
        status, left = server.stop()
        samples = recorded.samples() if record else []
        cores = len(serving.cores(bench))
        return Visit(answers, status, left, serving.lines_of_logs(bench), cores, samples)


def look_at_answers(bench, what, kind, seen):
    expected = serving.expected_answers(kind.requests())
    got = [(one.status, one.body) for one in seen.answers]
    wrong = [pair for pair in zip(expected, got) if pair[0] != pair[1]]
    right = "%d of %d" % (len(got) - len(wrong), REQUESTS)
    bench.that(
        "%s: right answers" % what,
        "%d of %d" % (REQUESTS, REQUESTS),
        len(got) == REQUESTS and not wrong,
        "%s; expected and got: %r" % (right, wrong[0]) if wrong else right,
    )


def look_at_end(bench, what, seen):
    got = (seen.status, seen.left, seen.cores)
    bench.equal("%s: status, processes left, cores" % what, (0, 0, 0), got)


def interpreters_of(answers):
    """Process -> application's name -> its interpreters in the process."""
    result = collections.defaultdict(lambda: collections.defaultdict(set))
    for name, one in answers:
        if one.process is not None:
            result[int(one.process)][name].add(one.interpreter)
    return result


def look_at_server(bench, kind, interpreters, beneath):
    """interpreters: how many each worker has. beneath: a function that checks the callers of an
    application's entry, by the names of the Python functions further out."""
    record = recording.wanted(bench)
    plain = visit(bench, kind, bench.environment(preload=False, support=None), False)
    look_at_answers(bench, "without", kind, plain)
    look_at_end(bench, "without", plain)
    seen = visit(bench, kind, bench.environment(), record)
    look_at_answers(bench, "with", kind, seen)
    look_at_end(bench, "with", seen)
    bench.equal("log lines that are not there without", [], sorted(seen.log - plain.log))
    names = [name for name, _ in kind.requests()]
    found = interpreters_of(zip(names, seen.answers))
    bench.equal("processes that have answered", kind.workers, len(found))
    counts = {len(set().union(*by_name.values())) for by_name in found.values()}
    bench.equal("interpreters in each", {interpreters}, counts)
    if record:
        look_at_workers(bench, kind, sorted(found), seen.samples, beneath)


def look_at_toggle(bench, kind, beneath):
    """Always loaded and off; switched on by a signal while perf records, and off again."""
    if not recording.wanted(bench):
        return
    number = signal.SIGRTMIN + 3
    environment = bench.environment(support=None, PYPERF_TOGGLE_SIGNAL="SIGRTMIN+3")
    requests = kind.requests()[: REQUESTS // 2]
    seen, before = {}, set()
    with Server(bench, kind, environment) as server:
        pids = sorted({int(one.process) for one in server.ask(kind.requests()[:40])})
        before.update(os.listdir(bench.images))
        for state in ("on", "off"):
            for pid in pids:
                os.kill(pid, number)
            server.ask(kind.requests()[:40])  # Python runs what is pending
            with recording.Recording(bench, server.pids) as recorded:
                answers = server.ask(requests)
            good = sum(one.status == 200 for one in answers)
            bench.equal("%s by a signal: right answers" % state, len(requests), good)
            seen[state] = recorded.samples()
        status, left = server.stop()
    bench.equal("dormant: images", set(), before)
    bench.equal("toggled: status, processes left", (0, 0), (status, left))
    look_at_workers(bench, kind, pids, seen["on"], beneath, 50)
    named = sum(1 for one in seen["off"] if one.python)
    bench.equal("off again: samples with a Python function", 0, named)


def look_at_workers(bench, kind, pids, samples, beneath, at_least=100):
    recording.look_at_evaluator(bench, [one for one in samples if one.pid in pids])
    chains = {
        serving.program(bench, name): serving.APPLICATIONS[name].CHAIN for name in kind.applications
    }
    for number, pid in enumerate(pids, 1):
        own = [one for one in samples if one.pid == pid]
        for path, chain in sorted(chains.items()):
            what = "worker %d" % number
            recording.look_at_stacks(bench, what, own, path, chain, beneath, at_least)
