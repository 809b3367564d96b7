"""The checks of each server under the sampler: right answers, whole stacks, lines, the same end."""

import json
import os
import subprocess

import harness
import perf
import recording
import sampler
import serving

RUN = os.path.join(harness.HERE, "..", "..", "scripts", "pyperf-run")
HZ = "999"
LEAST = 0.999
REQUESTS = 800


def environment(bench, **more):
    more.setdefault("PYPERF_SAMPLER", HZ)
    return bench.environment(support=None, **more)


def table(bench, path, *options):
    """The rows of a profile, as pyperf-run shows them, its one event, and what it says besides."""
    words = [os.path.realpath(RUN), "--report", path, "--json=-"] + list(options)
    plain = bench.environment(preload=False, support=None, images=False)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain, timeout=harness.TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError("pyperf-run --report: status %d: %s" % (done.returncode, done.stderr.decode()))
    (event,) = json.loads(done.stdout.decode())["events"]
    return event["functions"], event


def lines_of(function):
    """The lines of a function's body."""
    code = function.__code__
    return {line for _, _, line in code.co_lines() if line and line > code.co_firstlineno}


def look_at_whole(bench, what, event, at_least=300):
    """A sample may be of the moment in which a thread begins: of few samples all but two are whole."""
    count, whole = event["samples"], round(event["samples"] * event["complete"])
    good = count >= at_least and whole >= min(LEAST * count, count - 2)
    bench.that("%s: complete stacks" % what, "99.9 %% of %d or more" % at_least, good, perf.share(whole, count))


def flags(one):
    """Of the samples of a stack, as sample_file.py names them."""
    return sorted({flags for node, tid, flags in one.process.seen if (node, tid) == (one.node, one.tid)})


def shown(one):
    return " < ".join(frame.symbol for frame in one.frames)


def look_at_all(bench, what, found, at_least=300):
    """The same; a sample of a thread that could not be interrupted before stands for several periods."""
    count, cut = sampler.total(found), [one for one in found if not one.whole]
    missing = sampler.total(cut)
    good = count >= at_least and (missing <= (1 - LEAST) * count or (len(cut) <= 2 and missing <= 10))
    seen = ["%d times, flags %s, %s" % (one.count, flags(one), shown(one)) for one in cut[:3]]
    got = "; ".join([perf.share(count - missing, count)] + seen)
    bench.that(what + ": complete stacks", "99.9 %% of %d or more" % at_least, good, got)


def look_at_rows(bench, what, rows, path, function):
    """The function that does the work is in the table, by its lines. Its first instruction has the line of its def."""
    found = {one["line"] for one in rows if (one["name"], one["file"]) == (function.__name__, path)}
    body = lines_of(function)
    good = bool(found & body) and found <= body | {function.__code__.co_firstlineno}
    bench.that("%s: lines of %s" % (what, function.__name__), "some of its body", good, repr(sorted(found)))


def look_at_shop(bench, what, event):
    """By lines, of the service that the guide calls so."""
    look_at_whole(bench, what, event, 100)
    path = "/srv/shop/__main__.py"
    lines = {one["line"] for one in event["functions"] if (one["name"], one["file"]) == ("price", path)}
    good = {6, 7} <= lines <= {5, 6, 7, 8}
    bench.that(what + ": lines of price", "6 and 7, perhaps 5 and 8", good, repr(sorted(lines)))


def look_at_profile(bench, kind, pids, beneath):
    """pids: the processes that have answered, whether they have ended or were killed."""
    profile = sampler.profile(bench)
    bench.equal("what is missing", [], profile.notes)
    found = list(profile.records())
    rows, _ = table(bench, bench.images, "--lines")
    look_at_all(bench, "sampled", found)
    for name in sorted(set(kind.applications)):
        module, path = serving.APPLICATIONS[name], serving.program(bench, name)
        look_at_rows(bench, "sampled", rows, path, getattr(module, module.CHAIN[0]))
        for number, pid in enumerate(sorted(pids), 1):
            own = each(one for one in found if one.pid == pid)
            recording.look_at_stacks(bench, "worker %d" % number, own, path, module.CHAIN, beneath, 50)


def each(found):
    """A sample for each one that it stands for."""
    return [one for one in found for _ in range(one.count)]


def look_at_answers(bench, what, requests, answers):
    expected = serving.expected_answers(requests)
    right = sum((one.status, one.body) == wanted for one, wanted in zip(answers, expected))
    bench.equal(what + ": right answers", len(requests), right)


def look_at_server(bench, kind, beneath, meanwhile=None, **more):
    """Some of the requests, and its end. meanwhile: what else is done to the running server, after them."""
    requests = kind.requests()[: REQUESTS]
    with serving.Server(bench, kind, environment(bench, **more)) as server:
        answers = server.ask(requests)
        look_at_answers(bench, "sampled", requests, answers)
        pids = {int(one.process) for one in answers if one.process is not None}
        bench.equal("processes that have answered", kind.workers, len(pids))
        if meanwhile:
            meanwhile(server, pids)
        bench.equal("status, processes left", (0, 0), server.stop())
        bench.equal("lines of libpyperf", [], [line for line in serving.lines_of_logs(bench) if "libpyperf" in line])
    bench.equal("cores", [], serving.cores(bench))
    look_at_profile(bench, kind, pids, beneath)
