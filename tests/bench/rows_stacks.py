"""Complete stacks per megabyte of perf.data: how large a copy of the stack is worth its bytes."""

import os
import re
import subprocess

import perf
from measure import HERE, ON, Failed, Table, with_variables

DEPTHS = (10, 30, 100)
COPIES = (8192, 16384, 32768, 65528)  # 65,528 is the largest that perf takes
FREQUENCY = 199  # pyperf-run's
MAX_STACK = ["--max-stack", "4096"]  # perf's own 127 frames are about 40 Python calls


def default_copy():
    """What pyperf-run records with."""
    with open(os.path.join(HERE, "..", "..", "scripts", "run", "choices.sh")) as file:
        return int(re.search(r"call_graph=dwarf,\$\{stack_size:-(\d+)\}", file.read()).group(1))


def is_complete(sample, depth):
    names = [frame.function[0] for frame in sample.frames if frame.function]
    return names.count("down") == depth and "<module>" in names


def measure(bench, one, depth, copy):
    """Samples, complete ones among them, and megabytes of perf.data."""
    data = os.path.join(bench.work, "stacks.data")
    variables, _ = bench.setup(ON)
    workload = [one.path, os.path.join(HERE, "workload_deep.py"), str(depth), str(bench.rounds(2, 1))]
    program = with_variables(variables, workload)
    words = ["perf", "record", "-k", "1", "-o", data, "-F", str(FREQUENCY)]
    words += ["--call-graph", "dwarf,%d" % copy, "--"]
    out = bench.execute(words + program, silent=False)
    said = re.search(r"^(\d+) ([\d.]+) ([\d.]+)$", out, re.M)
    if said is None:
        raise Failed("perf record: " + out[-300:])
    script = ["perf", "script", "-i", data, "--no-inline"] + MAX_STACK + perf.FIELDS
    text = subprocess.run(
        script, env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout.decode("utf-8", "replace")
    size = os.path.getsize(data) / 1e6
    os.unlink(data)
    bench.tidy(int(said.group(1)))
    start, end = float(said.group(2)), float(said.group(3))
    every = [one for one in perf.samples(text) if start <= one.time <= end]
    return len(every), sum(is_complete(one, depth) for one in every), size


def sizes(bench):
    table = Table(
        "Bytes of the stack a Python call, with trampolines",
        ["interpreter", "direct", "through a function of C"],
        ["by the stack pointer of a thread that sleeps 20 and 60 calls deep; through max(map(function, ...))"],
    )
    for one in bench.python_2 + bench.found:
        variables, words = bench.command(one, ON, "workload_stack.py")
        table.add([one.label] + bench.execute(words, variables).split())
    return table


def rows(bench):
    default = default_copy()
    table = Table(
        "Complete stacks per megabyte of perf.data, by depth and size of the stack copy",
        ["interpreter", "depth"] + ["%d KiB" % round(copy / 1024) for copy in COPIES] + ["default"],
        [
            "complete stacks per megabyte (share of the samples whose stack is complete); perf "
            "record -F %d --call-graph dwarf,SIZE; depth: Python calls" % FREQUENCY,
            "perf script and perf report show 127 frames, C functions included, of what was "
            "recorded: deeper stacks need " + " ".join(MAX_STACK) + ", as here",
            "default: the share with pyperf-run's own %d bytes" % default,
        ],
    )
    chosen = [one for one in (bench.one(3, 9), bench.one(3, 11)) if one]
    for one in chosen[-1:] if bench.quick else chosen:
        for depth in DEPTHS:
            cells, shares = [one.label, depth], {}
            for copy in COPIES:
                count, complete, size = measure(bench, one, depth, copy)
                shares[copy] = complete / max(count, 1)
                cells.append("%.1f (%.0f %%)" % (complete / size, 100 * shares[copy]))
            share = shares.get(default, 0)
            cells.append("%.0f %%" % (100 * share))
            table.add(cells, "default: 95 % complete", share >= 0.95)
    return [table, sizes(bench)]
