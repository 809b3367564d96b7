"""The sampler in the process: what it costs, how long a sample takes, how large it is, and whether it is whole."""

import os
import re
import time

from measure import (
    HERE,
    OFF,
    SAMPLER,
    Failed,
    Server,
    Table,
    percent,
    take_turns,
    typical_ratio,
)

import python2  # noqa: F401  # first
import samples as reader

RATES = ("99", "250", "999")
PROGRAMS = ("raytracer", "templates", "json_text")
DEPTHS = (30, 1000)
EVERY = 8  # signal is timed: preload/sampler/sampler.c
LOG = re.compile(r"(\d+) samples, half of them in less than (\d+) ns, 99 % in less than (\d+)")


def chosen(bench):
    wanted = ((2, 7), (3, 6), (3, 9), (3, 11), (3, 13))
    found = [one for one in bench.python_2 + bench.found if one.series in wanted and one.kind == "shared"]
    return found if not bench.quick else [one for one in found if one.series in ((3, 9), (3, 11))]


def cost(bench):
    table = Table(
        "The sampler: CPU time of programs, sampled against off",
        ["interpreter"] + ["%s Hz" % rate for rate in RATES],
        ["the median of %s; the kernel's timers of CPU time give no more than its HZ signals a second"
         % ", ".join(PROGRAMS)],
    )
    setups = [OFF] + [SAMPLER + rate for rate in RATES]
    for one in chosen(bench):
        times = {setup: [] for setup in setups}
        for name in PROGRAMS if one.series >= (3, 6) else ():
            for _ in range(bench.rounds(7, 3)):
                servers = [Server(bench, one, setup, "workload_program.py", name) for setup in setups]
                for setup, server, value in zip(setups, servers, take_turns(servers, bench.rounds(8, 3), "pass")):
                    times[setup].append(value)
                    server.close()
        if times[OFF]:
            ratios = [typical_ratio(times[setup], times[OFF]) for setup in setups[1:]]
            met = ratios[0].value <= 1.01 and ratios[2].value <= 1.02
            table.add([one.label] + [percent(each) for each in ratios], "99 Hz: at most 1 %; 999 Hz: at most 2 %", met)
    return table


def profile(bench, one, depth, rate, seconds):
    """Of workload_sampled.py: the debug log's figures, the profile, and seconds that reading it took."""
    bench.clear_images()
    variables, _ = bench.setup(SAMPLER + rate)
    variables["PYPERF_DEBUG"] = "sampler:1"
    words = [one.path, os.path.join(HERE, "workload_sampled.py"), str(depth), str(seconds)]
    # Bench.execute removes the files of the process.
    out = bench.execute(["/bin/sh", "-c", '"$@"; exit $?', "sh"] + words, variables, silent=False)
    found = LOG.search(out)
    if not found:
        raise Failed("%s: no samples" % one.label)
    began = time.time()
    recording = reader.Recording(bench.images, True)
    records = list(recording.records())
    took = time.time() - began
    size = bench.size_of_images()
    bench.clear_images()
    return [int(number) for number in found.groups()], records, size, took


def samples(bench):
    table = Table(
        "The sampler: a sample",
        ["interpreter", "calls", "periods", "half took less than, ns", "99 %, ns", "bytes a sample", "whole", "reading, s"],
        [
            "CPU time in the handler by the debug log (PYPERF_DEBUG=sampler:1), of every eighth sample, as a power of two;"
            " at 999 Hz; bytes: of the whole file, names and line tables in it, for each signal; periods: with those that had no signal of their own",
        ],
    )
    for one in chosen(bench):
        for depth in DEPTHS:
            (timed, half, most), records, size, took = profile(bench, one, depth, "999", bench.rounds(20, 4))
            count = sum(record.count for record in records)
            whole = sum(record.count for record in records if record.whole)
            cells = [one.label, str(depth), str(count), str(half), str(most)]
            cells += ["%.0f" % (size / float(EVERY * timed)), "%.2f %%" % (100.0 * whole / count), "%.2f" % took]
            table.add(cells, "at least %s %%" % (99.9 if depth == 30 else 99), 100.0 * whole / count >= (99.9 if depth == 30 else 99))
    return table


def rows(bench):
    return [cost(bench), samples(bench)]
