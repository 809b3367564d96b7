"""Start-up: of the interpreter, and of a process that is not Python."""

import json
import os
import shutil
import statistics

from measure import DORMANT, NATIVE, OFF, ON, Table, amount, difference, percent, ratio

MILLISECONDS = 1e-6  # from the nanoseconds of spawn.c and phases.c


def spawn(bench, rounds, commands):
    """For each command (variables, arguments): nanoseconds of each round, elapsed and of CPU
    time."""
    words = [os.path.join(bench.build, "bench", "spawn"), str(rounds)]
    for number, (variables, command) in enumerate(commands):
        words += ["+"] if number else []
        words += ["%s=%s" % pair for pair in sorted(variables.items())] + command
    lines = bench.execute(words).splitlines()
    bench.clear_images()
    columns = [list(column) for column in zip(*[[int(n) for n in line.split()] for line in lines])]
    return list(zip(columns[0::2], columns[1::2]))


def command(bench, one, setup):
    variables, options = bench.setup(setup)
    return variables, [one.path] + options + ["-S", "-c", "pass"]


def start(bench):
    table = Table(
        "Start-up, python -S -c pass",
        ["interpreter", "off, ms", "dormant - off, ms", "on - off, ms", "on - off, ms elapsed"],
        [
            "CPU time of the process; elapsed: from posix_spawn to its end, in which other "
            "programs of a busy machine show",
            "3.12 and 3.13: their own -X perf",
        ],
        "the symbols of the interpreter are looked up, and its first functions named, of which a "
        "start has some hundreds",
    )
    more = {}
    rounds = bench.rounds(150, 25)
    for one in bench.ours():
        commands = [command(bench, one, setup) for setup in (OFF, DORMANT, ON)]
        off, asleep, on = spawn(bench, rounds, commands)
        more[one] = [difference(setup[1], off[1], MILLISECONDS) for setup in (asleep, on)]
        elapsed = difference(on[0], off[0], MILLISECONDS)
        cells = [amount(x, digits=2) for x in more[one] + [elapsed]]
        table.add(
            [one.label, "%.2f" % (min(off[1]) * MILLISECONDS)] + cells,
            "on: at most 2 ms more",
            more[one][1].value <= 2,
        )
    for one in bench.natives():
        off, on = spawn(bench, rounds, [command(bench, one, setup) for setup in (OFF, NATIVE)])
        pairs = [(on[1], off[1]), (on[0], off[0])]
        cells = [amount(difference(*pair, scale=MILLISECONDS), digits=2) for pair in pairs]
        table.add([one.label, "%.2f" % (min(off[1]) * MILLISECONDS), ""] + cells)
    return [table, phases(bench, more)]


def library(bench, one):
    """The file that holds the interpreter."""
    if one.kind == "static":
        return one.path
    script = "print([l.split()[-1] for l in open('/proc/self/maps') if 'libpython3.' in l][0])"
    return bench.execute([one.path, "-c", script]).strip()


def phases(bench, more):
    table = Table(
        "Where the time of the start goes, ms",
        ["interpreter", "plan: load", "symbols", "unload", "rest of dormant", "image, functions"],
        [
            "plan: libpyperf-plan.so with libelf, capstone and liblzma, loaded and unloaded by a "
            "program of its own (phases.c), which looks up the same symbols in the same file",
            "rest of dormant: libpyperf.so itself, the detour, the check of the layout, and the "
            "first frames until the switches are known; image, functions: on - dormant",
        ],
    )
    helper = os.path.join(bench.build, "bench", "phases")
    plan = os.path.join(bench.build, "libpyperf-plan.so")
    for one in bench.ours():
        words = [helper, plan, library(bench, one), str(one.series[1])]
        lines = [bench.execute(words).split() for _ in range(bench.rounds(40, 8))]
        best = [min(int(n) for n in column) * MILLISECONDS for column in zip(*lines)]
        asleep, on = (figure.value for figure in more[one])
        rest = [asleep - sum(best), on - asleep]
        table.add([one.label] + ["%.2f" % x for x in best + rest])
    return table


def checked_with_hyperfine(bench):
    """Whole commands by an independent tool: short calls of hyperfine take turns."""
    if shutil.which("hyperfine") is None:
        return []
    one = bench.one(3, 9) or bench.ours()[-1]
    results = {OFF: [], DORMANT: [], ON: []}
    out = os.path.join(bench.work, "hyperfine.json")
    for _ in range(bench.rounds(6, 2)):
        for setup in results:
            variables, words = command(bench, one, setup)
            prefix = ["env"] + ["%s=%s" % pair for pair in sorted(variables.items())]
            words = " ".join(prefix + words)
            bench.execute(
                ["hyperfine", "-N", "--style=none", "--warmup=2", "--runs=12"]
                + ["--export-json=" + out, words],
                silent=False,
            )
            with open(out) as file:
                results[setup] += json.load(file)["results"][0]["times"]
            bench.clear_images()
    table = Table(
        "The same by hyperfine, python -S -c pass",
        ["interpreter", "setup", "best, less off, ms", "median, less off, ms"],
    )
    for setup in (DORMANT, ON):
        best = difference(results[setup], results[OFF], 1e3)
        middle = statistics.median(results[setup]) - statistics.median(results[OFF])
        table.add([one.label, setup, amount(best, digits=2), "%.2f" % (middle * 1e3)])
    return [table]


def not_python(bench):
    empty = os.path.join(bench.build, "bench", "empty.so")
    preloads = [{}, {"LD_PRELOAD": empty}, {"LD_PRELOAD": bench.library}]
    commands = [(variables, ["/bin/true"]) for variables in preloads]
    none, nothing, ours = spawn(bench, bench.rounds(6000, 1500), commands)
    table = Table(
        "A process that is not Python: /bin/true, side by side",
        ["preload", "elapsed, ms", "over none", "over an empty preload", "the same, CPU time"],
        ["elapsed: from posix_spawn to the end of the process"],
    )

    def cells(name, one):
        return [name, "%.3f" % (min(one[0]) * MILLISECONDS), percent(ratio(one[0], none[0]))]

    table.add(cells("none", none)[:2] + [""] * 3)
    table.add(cells("empty", nothing) + [""] * 2)
    changes = [ratio(ours[i], nothing[i]) for i in (0, 1)]
    table.add(
        cells("libpyperf.so", ours) + [percent(change) for change in changes],
        "at most 5 %",
        changes[0].value <= 1.05,
    )
    return table


def rows(bench):
    tables = start(bench) + checked_with_hyperfine(bench)
    return tables + [not_python(bench)]
