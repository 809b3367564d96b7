#!/usr/bin/env python3
"""Profiles for profiler.firefox.com: their structure, checked by hand against the definition of the format's version
60 (src/types/profile of github.com/firefox-devtools/profiler), which no package checks; and what is in them. One line
for each check; the exit status is 1 if any failed. No perf is needed."""

import json
import os
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import sampled
from canned import EVALUATOR, PAGE_FAULT, START, Canned, header, py, sample
from looks import case, main

CASES = []
NUMBER, TEXT, NOTHING = (int, float), (str,), (type(None),)
# Columns of the tables in profile.shared, with the types of their values.
SHARED = {
    "stackTable": {"frame": int, "prefix": (int,) + NOTHING},
    "frameTable": {
        "address": int, "inlineDepth": int, "category": int, "subcategory": int, "func": int, "nativeSymbol": NOTHING,
        "innerWindowID": int, "line": (int,) + NOTHING, "column": (int,) + NOTHING,
    },
    "funcTable": {
        "name": int, "isJS": bool, "relevantForJS": bool, "resource": int, "source": (int,) + NOTHING,
        "lineNumber": (int,) + NOTHING, "columnNumber": (int,) + NOTHING,
    },
    "resourceTable": {"lib": NOTHING, "name": int, "host": NOTHING, "type": int},
    "nativeSymbols": {"libIndex": int, "address": int, "name": int, "functionSize": int},
    "sources": {"uuid": NOTHING, "filename": int},
}
META = {
    "interval": NUMBER, "startTime": NUMBER, "processType": int, "product": TEXT, "stackwalk": int, "version": int,
    "preprocessedProfileVersion": int, "markerSchema": list, "categories": list, "symbolicated": bool,
}
THREAD = {
    "processType": TEXT, "processStartupTime": NUMBER, "processShutdownTime": NOTHING, "registerTime": NUMBER,
    "unregisterTime": NOTHING, "pausedRanges": list, "name": TEXT, "isMainThread": bool, "pid": TEXT, "tid": int,
    "samples": dict, "markers": dict,
}
COLOURS = "transparent purple green orange yellow lightblue blue brown magenta red lightred darkgrey grey".split()
# Indices of one table into another.
REFERENCES = (
    ("stackTable", "frame", "frameTable"),
    ("frameTable", "func", "funcTable"),
    ("funcTable", "source", "sources"),
    ("funcTable", "name", "stringArray"),
    ("resourceTable", "name", "stringArray"),
    ("sources", "filename", "stringArray"),
)


def wrong_columns(name, table, columns):
    if set(table) != set(columns) | {"length"}:
        yield "%s has %s" % (name, sorted(table))
        return
    for column, kinds in columns.items():
        if len(table[column]) != table["length"]:
            yield "%s.%s: %d values" % (name, column, len(table[column]))
        if not all(isinstance(value, kinds) for value in table[column]):
            yield "%s.%s: %r" % (name, column, table[column][:5])


def wrong_fields(name, found, fields):
    for field, kinds in fields.items():
        if not isinstance(found.get(field, ()), kinds):
            yield "%s.%s: %r" % (name, field, found.get(field))


def wrong_references(shared):
    for name, column, wanted in REFERENCES:
        table = shared[wanted]
        count = len(table) if wanted == "stringArray" else table["length"]
        if not all(value is None or 0 <= value < count for value in shared[name][column]):
            yield "%s.%s: not all of %s" % (name, column, wanted)
    if not all(-1 <= value < shared["resourceTable"]["length"] for value in shared["funcTable"]["resource"]):
        yield "funcTable.resource"
    prefixes = enumerate(shared["stackTable"]["prefix"])
    if not all(prefix is None or 0 <= prefix < number for number, prefix in prefixes):
        yield "stackTable.prefix: not before"


def wrong_thread(thread, shared):
    samples = thread["samples"]
    stacks = shared["stackTable"]["length"]
    for name in ("stack", "time", "weight") + ("threadCPUDelta",) * ("threadCPUDelta" in samples):
        if len(samples[name]) != samples["length"]:
            yield "samples.%s: %d of %d" % (name, len(samples[name]), samples["length"])
    if not all(one is None or 0 <= one < stacks for one in samples["stack"]):
        yield "samples.stack"
    if samples["time"] != sorted(samples["time"]) or samples["weightType"] not in ("samples", "tracing-ms"):
        yield "samples: time or weightType"
    columns = {name: () for name in ("data", "name", "startTime", "endTime", "phase", "category")}
    for problem in wrong_columns("markers", thread["markers"], columns):
        yield problem


def problems(profile):
    """What of a profile is against the definition."""
    found = list(wrong_fields("meta", profile["meta"], META))
    shared = profile["shared"]
    categories = profile["meta"]["categories"]
    if not any(one["color"] == "grey" for one in categories):
        found.append("no grey category")
    for one in categories:
        if one["color"] not in COLOURS or one["subcategories"][:1] != ["Other"]:
            found.append("category %r" % one)
    for name, columns in SHARED.items():
        found += wrong_columns(name, shared[name], columns)
    found += wrong_references(shared)
    if not all(0 <= value < len(categories) for value in shared["frameTable"]["category"]):
        found.append("frameTable.category")
    for thread in profile["threads"]:
        found += list(wrong_fields("thread", thread, THREAD)) + list(wrong_thread(thread, shared))
    if len({(one["pid"], one["tid"]) for one in profile["threads"]}) != len(profile["threads"]):
        found.append("threads are not distinct")
    return found


def shown_stack(profile, number):
    """(name, file or library, line, column, category) of each frame, from the innermost outwards."""
    shared, found = profile["shared"], []
    frames, functions, text = shared["frameTable"], shared["funcTable"], shared["stringArray"]
    while number is not None:
        frame = shared["stackTable"]["frame"][number]
        function = frames["func"][frame]
        source, resource = functions["source"][function], functions["resource"][function]
        place = shared["resourceTable"]["name"][resource] if source is None else shared["sources"]["filename"][source]
        category = profile["meta"]["categories"][frames["category"][frame]]["name"]
        name = text[functions["name"][function]]
        found.append((name, text[place], frames["line"][frame], frames["column"][frame], category))
        number = shared["stackTable"]["prefix"][number]
    return found


def converted(look, data, *options, **more):
    with Canned() as canned:
        canned.write("perf.data", data)
        seen = canned.run("--firefox", look.path("x.json"), *options, **more)
    look.equal("status, stderr", (0, ""), (seen.status, seen.err))
    with open(look.path("x.json"), encoding="utf-8") as file:
        profile = json.load(file)
    look.equal("what is against the definition", [], problems(profile))
    return profile


@case(CASES)
def of_the_sampler(look):
    found = {one.series: one.path for one in interpreters.find()[0]}
    for series in ((3, 11), (2, 7), (3, 6)):
        if series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        profile = converted(look, sampled.two_processes(), python=found[series])
    threads = {(one["name"], one["pid"], one["tid"], one["isMainThread"]): one for one in profile["threads"]}
    expected = [("other", "9", 9, True), ("python3", "7", 7, True), ("worker", "7", 8, False)]
    look.equal("threads", expected, sorted(threads))
    names = {one["processName"] for one in profile["threads"] if one["pid"] == "7"}
    look.equal("the process of the worker", {"python3"}, names)
    meta = profile["meta"]
    look.equal("interval, start, version", (5, 10 ** 4, 60), tuple(
        meta[name] for name in ("interval", "startTime", "preprocessedProfileVersion")))
    worker = threads[expected[2]]["samples"]
    look.equal("times", [40, 50], worker["time"])
    look.equal("milliseconds of CPU", ([5, 10], "tracing-ms"), (worker["weight"], worker["weightType"]))
    look.equal("nanoseconds of CPU", [5000000, 10000000], worker["threadCPUDelta"])
    c = ("[python3.11]", "python3.11", None, None, "Native")
    stacks = [shown_stack(profile, number) for number in worker["stack"]]
    expected = [[c, ("A.größe", "/srv/app.py", line, column, "Python"), c] for line, column in ((8, 1), (7, 9))]
    look.equal("stacks: lines and columns", expected, stacks)
    main_thread = threads[("python3", "7", 7, True)]["samples"]
    look.equal("a sample without frames", ([20, 90], None), (main_thread["time"], main_thread["stack"][1]))
    look.equal("functions", 3, profile["shared"]["funcTable"]["length"])
    firsts = profile["shared"]["funcTable"]["lineNumber"]
    look.equal("the functions' first lines", [1, 7], sorted(one for one in firsts if one))


@case(CASES)
def of_perf(look):
    text = sample([PAGE_FAULT, EVALUATOR, py("f")] + START, time=10.5) + sample([py("g")], time=10.25)
    with Canned(text) as canned:
        seen = canned.run("--firefox", look.path("x.json"))
        began = os.stat(canned.data).st_mtime - 0.25
    look.equal("status, stderr", (0, ""), (seen.status, seen.err))
    with open(look.path("x.json")) as file:
        profile = json.load(file)
    look.equal("what is against the definition", [], problems(profile))
    samples = profile["threads"][0]["samples"]
    look.equal("times, weights", ([0, 250], [1, 1]), (samples["time"], samples["weight"]))
    stack = [(one[0], one[4]) for one in shown_stack(profile, samples["stack"][1])][:3]
    expected = [("exc_page_fault_[k]", "Kernel"), ("_PyEval_EvalFrameDefault", "Native"), ("f", "Python")]
    look.equal("the stack", expected, stack)
    good = abs(profile["meta"]["startTime"] / 1e3 - began) < 0.01
    look.that("start", "when the file was written, less its duration", good, str(profile["meta"]["startTime"]))
    text = sample([EVALUATOR, py("f")] + START, event="page-faults", period=3)
    with Canned(text, header(events=("page-faults",))) as canned:
        canned.run("--firefox", look.path("y.json"))
    with open(look.path("y.json")) as file:
        samples = json.load(file)["threads"][0]["samples"]
    got = (samples["weight"], samples["weightType"], "threadCPUDelta" in samples)
    look.equal("page faults", ([3], "samples", False), got)


if __name__ == "__main__":
    sys.exit(main("firefox", CASES))
