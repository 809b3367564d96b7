"""From the end of a program to its report: ours against perf inject of CPython's own perf_jit."""

import glob
import os
import time

from measure import HERE, ON, Failed, Table, amount, figure, interleave

FUNCTIONS = 15000

# The same for both. Functions with their callees, which needs every stack; without inlined
# functions, for which perf starts a process for each object.
RECORD = ["-F", "499", "--call-graph", "dwarf,8192"]
REPORT = ["--stdio", "--children", "-g", "none", "--no-inline", "--percent-limit", "0.01"]


def record(bench, one, data, options, variables):
    """Runs the program under perf record. Returns its pid and the time of its end."""
    program = ["env"] + ["%s=%s" % pair for pair in sorted(variables.items())] + [one.path]
    program += options + [os.path.join(HERE, "workload_many.py"), str(FUNCTIONS)]
    program.append(str(bench.rounds(2, 1)))
    words = ["perf", "record", "-k", "1", "-o", data] + RECORD + ["--"] + program
    for line in bench.execute(words, silent=False).splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[0].isdigit():
            return int(parts[0]), float(parts[1])
    raise Failed("%s: the program did not run under perf record" % one.label)


def report(bench, data):
    """Makes the report; returns how many functions of the program it names."""
    text = bench.execute(["perf", "report", "-i", data] + REPORT, silent=False)
    return sum("py::function_" in line for line in text.splitlines())


def ours(bench, one):
    data = os.path.join(bench.work, "ours.data")
    variables, options = bench.setup(ON)
    pid, end = record(bench, one, data, options, variables)
    named = report(bench, data)
    taken = time.monotonic() - end
    files = len(glob.glob(os.path.join(bench.images, "pyperf-%d-*" % pid)))
    bench.tidy(pid)
    return dict(seconds=taken, files=files, named=named)


def native(bench, one):
    data = os.path.join(bench.work, "native.data")
    pid, end = record(bench, one, data, ["-X", "perf_jit"], {})
    try:
        words = ["perf", "inject", "--jit", "-i", data, "-o", data + ".jit"]
        bench.execute(words, silent=False)
        named = report(bench, data + ".jit")
        taken = time.monotonic() - end
        files = len(glob.glob("/tmp/jitted-%d-*.so" % pid))
    finally:
        bench.tidy(pid)
    return dict(seconds=taken, files=files, named=named)


def rows(bench):
    table = Table(
        "From the end of a program to a report, %d functions" % FUNCTIONS,
        ["who", "seconds", "times as fast", "files", "functions named"],
        [
            "perf record, with its last work after the program's end, and perf report; of 3.13 "
            "perf inject --jit between them. perf record %s" % " ".join(RECORD),
            "perf report " + " ".join(REPORT),
            "files: images, or what perf inject writes; functions named: those that had a sample",
        ],
    )
    theirs, own = bench.one(3, 13), bench.one(3, 11)
    if own is None:
        own = bench.ours()[-1]
    variants = [own] + ([theirs] if theirs else [])
    measure = {own: ours, theirs: native}
    results = interleave(bench.rounds(3, 1), variants, lambda one: measure[one](bench, one))
    seconds = {one: [result["seconds"] for result in results[one]] for one in variants}
    for one in reversed(variants):
        best = min(results[one], key=lambda result: result["seconds"])
        name = one.label + (", libpyperf" if one is own else ", perf_jit and perf inject")
        cells = [name, "%.2f" % best["seconds"]]
        if one is theirs:
            table.add(cells + ["", best["files"], best["named"]])
            continue
        faster = figure(lambda a, b: a / b, seconds[theirs], seconds[own]) if theirs else None
        cells += [amount(faster) if faster else "no 3.13 here", best["files"], best["named"]]
        demand = "at least 4 times, 1 file"
        met = bool(faster) and faster.value >= 4 and best["files"] == 1 and best["named"] > 0
        table.add(cells, demand, met)
    return [table]
