#!/usr/bin/env python3
"""pyperf-run --send: profiles to a store that checks each request (store.py), and stores that are down, slow, elsewhere
or refuse. One line for each check; the exit status is 1 if any failed. No perf is needed."""

import os
import stat
import sys
import time

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too
from looks import build_folder, case, main

import interpreters
import sampled
from canned import EVALUATOR, START, Canned, header, py, sample
from sends import Look, run, send, sum_of, write
from store import Store

CASES = []
BUSY = "import sys, time\nwhile time.process_time() < 0.4:\n    sum(range(99))\nsys.exit(3)\n"
KINDS = ("pyroscope", "parca")
ENDED = "http://127.0.0.1:9"  # nobody listens to the port of "discard"


def machine():
    return os.uname()[1]


@case(CASES)
def profiles_of_processes(look):
    """Each with its labels, time and duration; by each Python that runs the scripts."""
    write(look, "two.samples", sampled.two_processes())
    found = {one.series: one.path for one in interpreters.find()[0]}
    pythons = [("python3", sys.executable)]
    for series in ((2, 7), (3, 6)):
        if series in found:
            pythons.append(("%d.%d" % series, found[series]))
        else:
            look.skip("no Python %d.%d here" % series)
    identities = set()
    with Store() as store:
        for version, python in pythons:
            for kind in KINDS:
                what = "%s, %s: " % (version, kind)
                options = ["--label", "service_version=1.4", "--label", "zone=größe x"]
                seen = send(look, "two.samples", store.url(kind), *options, PYPERF_PYTHON=python)
                look.equal(what + "status, stderr, wrong", ((0, []), []), (seen, store.wrong))
                got = store.received[0] if store.received else []
                labels = dict(service_name="shop", service_version="1.4", host_name=machine(), zone="größe x")
                labels["__name__"] = "process_cpu"
                expected = [dict(labels, process_pid=pid) for pid in ("7", "9")]
                look.equal(what + "labels", expected, [one.labels for one in got])
                spans = [(one.profile.time, one.profile.duration) for one in got]
                expected = [(10 ** 10, 2 * 10 ** 9), (10 ** 10 + 5 * 10 ** 6, 2 * 10 ** 9 - 5 * 10 ** 6)]
                look.equal(what + "times", expected, spans)
                look.equal(what + "type", [("cpu", "nanoseconds")] * 2, [one.profile.types[1] for one in got])
                look.equal(what + "samples", [5, 1], [sum(v[0] for v in one.profile.stacks.values()) for one in got])
                identities.update(one.identity for one in got if one.identity)
                store.clear()
    look.equal("identities of two profiles, each time the same", 2, len(identities))


@case(CASES)
def labels(look):
    write(look, "two.samples", sampled.two_processes())
    with Store() as store:
        for options, expected in (
            (["--label=process_pid="], {"service_name": "shop", "host_name": machine()}),
            (["--label=process_pid=web", "--label=host.name=h"], {"process_pid": "web", "host_name": "h"}),
            (["--label=host_name=", "--label", "process_pid=", "--label=a=b=c"], {"a": "b=c"}),
        ):
            seen = send(look, "two.samples", store.url("parca"), *options)
            look.equal("%s: status, stderr, wrong" % " ".join(options), ((0, []), []), (seen, store.wrong))
            got = store.received[0]
            found = got[0].labels
            expected = dict({"service_name": "shop"}, **expected)
            look.equal("labels", expected, {name: found.get(name) for name in expected})
            left_out = [option[8:-1] for option in options if option.endswith("=")]
            look.equal("labels that are left out", [], [name for name in left_out if name in found])
            look.equal("one profile, of all processes", (1, 6), (len(got), sum_of(got)))
            store.clear()


@case(CASES)
def of_perf(look):
    """Each process; of the first event, in a plain name."""
    text = 2 * sample([EVALUATOR, py("f")] + START, event="page-faults", period=3)
    text += sample([EVALUATOR, py("g")] + START, event="page-faults", pid=8) + sample([py("h")], event="cycles")
    with Canned(text, header(events=("page-faults", "cycles"))) as canned, Store() as store:
        for kind in KINDS:
            words = ["--report", canned.data, "--send", store.url(kind), "--service", "shop", "-q"]
            seen = canned.pyperf_run(*words, no_proxy="127.0.0.1")
            look.equal(kind + ": status, stderr, wrong", (0, "", []), (seen.status, seen.err, store.wrong))
            got = store.received[0]
            seen = [(one.labels["__name__"], one.labels["process_pid"], one.profile.types[1]) for one in got]
            types = ("page_faults", "count")
            look.equal(kind + ": profiles", [("page_faults", "7", types), ("page_faults", "8", types)], seen)
            values = [list(one.profile.stacks.values()) for one in got]
            look.equal(kind + ": samples", [[[2, 6]], [[1, 1000000]]], values)
            store.clear()


@case(CASES)
def after_a_program(look):
    """The program's status stays. Without --send nothing is sent; what could not be sent is sent later."""
    program = ["--", sys.executable, write(look, "program.py", BUSY.encode())]
    inside = ["--sampler=inside", "-o", "x.samples"]
    with Store() as store:
        more = ["--send", store.url("pyroscope"), "--service", "shop"]
        status, _, err = run(look, *(inside + program))
        look.equal("not asked for: status, requests", (3, 0), (status, len(store.headers)))
        status, _, err = run(look, *(inside + more + program))
        look.equal("status, requests, wrong", (3, 1, []), (status, len(store.received), store.wrong))
        said = "pyperf-run: sent to %s: 1 process\n" % store.url("pyroscope")
        look.that("says so behind the table", said, err.endswith(said) and "%" in err, err)
        now = [abs(one.profile.time / 1e9 - time.time()) < 60 for one in store.received[0]]
        look.equal("of this minute", [True], now)
        store.clear()
        status, _, err = run(look, "-q", "--wall", *(inside[1:] + more + program))
        look.equal("-q: status, stderr", (3, ""), (status, err))
        kinds = [(one.labels["__name__"], one.profile.types[1][0]) for one in store.received[0]]
        look.equal("elapsed time", [("wall", "wall")], kinds)
        store.clear()
        down = ["--send", "pyroscope+" + ENDED, "--service", "shop"]
        status, _, err = run(look, "-q", *(inside + down + program))
        look.equal("a store that is down: status, lines", (3, 1), (status, err.count("\n")))
        later = "x.samples stays: pyperf-run --report x.samples --send pyroscope+%s --service shop\n" % ENDED
        look.that("what to do", later, err.endswith(later) and "onnect" in err, err)
        seen = send(look, "x.samples", store.url("pyroscope"))
        look.equal("later: status, stderr, requests", ((0, []), 1), (seen, len(store.received)))


@case(CASES)
def failures(look):
    """One line each, and the profile stays."""
    write(look, "x.samples", sampled.simple().bytes())
    config = write(look, "config", b"max-time = 1\n")
    elsewhere = [("Location", "https://example.org/push")]
    with Store() as store:
        for what, answer, said in (
            ("refused", (400, "profile is too old"), "refused x.samples: HTTP 400: profile is too old"),
            ("not known", (401, "who are you?\n\x1b[31m"), "did not get x.samples: HTTP 401: who are you? [31m"),
            ("busy", (503, "<html>later</html>"), "did not get x.samples: HTTP 503: <html>later</html>"),
            ("moved", (307, "<p>", elsewhere), "HTTP 307, it is at https://example.org/push: name that"),
            ("a page", (200, "<html>"), "HTTP 200, and no answer in JSON: this is no such store"),
            ("an endless answer", (200, "<" + "x" * (2 << 20)), "did not get x.samples: "),
        ):
            for kind in KINDS:
                store.answers.append(answer)
                status, lines = send(look, "x.samples", store.url(kind))
                seen = (status, len(lines), len(store.headers))
                look.equal("%s, %s: status, lines, requests" % (what, kind), (1, 1, 1), seen)
                look.that(what, said, said in lines[0] and "stays: pyperf-run --report x.samples" in lines[0], lines[0])
                store.clear()
        store.hangs = True
        began = time.time()
        status, lines = send(look, "x.samples", store.url("parca"), PYPERF_SEND_CONFIG=config)
        look.equal("slow: status, lines", (1, 1), (status, len(lines)))
        look.that("slow", "within seconds", time.time() - began < 10 and "timed out" in lines[0], lines[0])
    look.that("the profile", "is there", os.path.getsize(look.path("x.samples")) > 4096, "")


@case(CASES)
def secrets(look):
    """In files, and never among a command's words."""
    write(look, "x.samples", sampled.simple().bytes())
    seen = write(look, "bin/curl", b'#!/bin/sh\nPATH=${PATH#*:}\necho "$@" >>words\nexec curl "$@"\n')
    os.chmod(seen, stat.S_IRWXU)
    path = look.path("bin") + ":" + os.environ["PATH"]
    write(look, "home/.netrc", b"machine 127.0.0.1 login one password two\n")
    config = write(look, "config", b'header = "X-Scope-OrgID: tenant"\nheader = "Authorization: Bearer three"\n')
    with Store() as store:
        send(look, "x.samples", store.url("pyroscope"), PATH=path)
        look.equal("of ~/.netrc", "Basic b25lOnR3bw==", store.headers[0].get("Authorization"))
        os.unlink(look.path("home", ".netrc"))
        send(look, "x.samples", store.url("pyroscope"), PATH=path, PYPERF_SEND_CONFIG=config)
        got = [store.headers[1].get(name) for name in ("Authorization", "X-Scope-OrgID")]
        look.equal("of a file", ["Bearer three", "tenant"], got)
        look.equal("taken", 2, len(store.received))
    with open(look.path("words")) as file:
        words = file.read()
    look.that("words of curl", "without secrets", not any(one in words for one in ("two", "three", "tenant")), words)
    write(look, "home/.curlrc", b"proxy = http://127.0.0.1:9\n")
    with Store() as store:
        look.equal("~/.curlrc is for others", (0, []), send(look, "x.samples", store.url("parca"), no_proxy=""))


@case(CASES)
def refused(look):
    """Before the program runs."""
    write(look, "x.samples", sampled.simple().bytes())
    program = ["--sampler=inside", "--", "sh", "-c", ": >ran"]
    store = ["--send", "parca+http://h", "--service", "x"]
    for options, status, said in (
        (["--service", "x"], 2, "--service and --label are for --send"),
        (["--label", "a=b"], 2, "--service and --label are for --send"),
        (["--send", "http://h:4040", "--service", "x"], 2, "a store is pyroscope+http://HOST:4040 or parca+http://"),
        (["--send", "parca+ftp://h", "--service", "x"], 2, "a store is"),
        (["--send", "otlp+http://h", "--service", "x"], 2, "OTLP's format of profiles has not settled"),
        (["--send", "parca+http://me:secret@h", "--service", "x"], 2, "a password in a URL is seen by all users"),
        (["--send", "parca+http://h/?x=1", "--service", "x"], 2, "is no URL of a server"),
        (["--send", "parca+http://h"], 2, "name the service"),
        (store + ["--label", "a"], 2, "--label a: a label is KEY=VALUE"),
        (store + ["--label", "__name__=x"], 2, "--label __name__=x: a label is KEY=VALUE"),
        (store + ["--label", "a-b=x"], 2, "--label a-b=x: a label is KEY=VALUE"),
        (store + ["--label", "a=" + "x" * 2049], 2, "--label a: its value is longer than 2048"),
        (store + ["--diff", "x.samples", "x.samples"], 2, "--send is not for --diff"),
        (store + ["--detach", "1"], 2, "--detach records nothing: what is --send for?"),
    ):
        got, _, err = run(look, *(options + ([] if "--diff" in options or "--detach" in options else program)))
        good = said in err and err.count("\n") == 1 and "secret" not in err
        look.that("%s: status %d" % (" ".join(options)[:60], status), said, got == status and good, err)
    folder = look.path("without")
    os.makedirs(folder)
    for name in os.listdir("/usr/bin"):
        if name != "curl":
            os.symlink("/usr/bin/" + name, os.path.join(folder, name))
    got, _, err = run(look, *(store + program), PATH=folder)
    look.that("without curl: status 1", "--send needs curl: ", got == 1 and "needs curl: " in err, err)
    got, _, err = run(look, *(store + program), PYPERF_SEND_CONFIG=look.path("none"))
    look.that("no such file: status 1", "cannot be read", got == 1 and "PYPERF_SEND_CONFIG" in err, err)
    look.that("the program", "did not run", not os.path.exists(look.path("ran")), "it ran")


if __name__ == "__main__":
    Look.build = build_folder(__doc__)
    sys.exit(main("send", CASES, kind=Look))
