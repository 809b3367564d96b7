"""Pure-Python programs of about a second, on against off."""

import glob
import os

from measure import (
    FLOOR,
    HERE,
    NATIVE,
    OFF,
    ON,
    Failed,
    Server,
    Table,
    percent,
    take_turns,
    typical_ratio,
)
from rows_calls import mean


def names():
    paths = glob.glob(os.path.join(HERE, "programs", "*.py"))
    return sorted(os.path.splitext(os.path.basename(path))[0] for path in paths)


def chosen(bench):
    if not bench.quick:
        return bench.ours()
    return [one for one in bench.ours() if one in [bench.one(3, minor) for minor in (6, 9, 11)]]


def setups_of(bench, one):
    """Off first, then the setups compared with it."""
    if one in bench.natives():
        return [OFF, NATIVE]
    return [OFF, ON] + ([FLOOR] if one.series == (3, 11) else [])


def measure(bench):
    """CPU time of the best pass of each round's process, by interpreter, setup and program."""
    times, outputs = {}, {}
    for name in names():
        for _ in range(bench.rounds(9, 3)):
            for one in chosen(bench) + bench.natives():
                setups = setups_of(bench, one)
                servers = [Server(bench, one, s, "workload_program.py", name) for s in setups]
                best = take_turns(servers, bench.rounds(10, 4), "pass")
                for setup, server, value in zip(setups, servers, best):
                    times.setdefault((one, setup, name), []).append(value)
                    outputs.setdefault(name, set()).add(server.ask("result"))
                    server.close()
    for name, found in outputs.items():
        if len(found) != 1:
            raise Failed("%s: not the same result everywhere: %s" % (name, sorted(found)))
    return times


def figures(bench, times):
    """The ratio of each program for each (interpreter, setup)."""
    return {
        (one, setup, name): typical_ratio(times[one, setup, name], times[one, OFF, name])
        for one in chosen(bench) + bench.natives()
        for setup in setups_of(bench, one)[1:]
        for name in names()
    }


def short(one, setup):
    label = one.label.replace("python", "").replace(" shared", "")
    return label + {ON: "", NATIVE: " own", FLOOR: " floor"}[setup]


def every_program(columns, ratios):
    table = Table(
        "Programs: on against off, CPU time",
        ["program"] + [short(*column) for column in columns],
        ["own: 3.12's and 3.13's -X perf; floor: an evaluator that is a single jump (floor.c)"]
        + ["the median of all processes' best passes; every run gave the same result, on and off"],
    )
    for name in names():
        changes = [100 * (ratios[one, setup, name].value - 1) for one, setup in columns]
        table.add([name] + ["%+.1f %%" % change for change in changes])
    return table


def rows(bench):
    ratios = figures(bench, measure(bench))
    columns = list(dict.fromkeys((one, setup) for one, setup, _ in ratios))
    means = {
        (one, setup): mean([ratios[one, setup, name] for name in names()]) for one, setup in columns
    }
    summary = Table(
        "Programs: geometric mean of on / off",
        ["interpreter", "on / off"],
        cause="as of calls: these programs call or resume something every 50 to 100 ns, and where "
        "they call many functions in turn, the hook's jump to the trampoline goes somewhere else each "
        "time. On 3.11 nearly all of what is allowed is the floor's: calls that are no longer run "
        "in the loop",
    )
    own = [means[column].value - 1 for column in columns if column[0].series == (3, 12)]
    for column in columns:
        cells = [short(*column), percent(means[column])]
        if column[1] != ON:
            summary.add(cells)
        elif column[0].series == (3, 11):
            demand = "below half of 3.12's own"
            summary.add(cells, demand, bool(own) and means[column].value - 1 < own[0] / 2)
        else:
            summary.add(cells, "at most 2 %", means[column].value <= 1.02)
    bench.chart = {short(*column): list(means[column]) for column in columns}
    return [every_program(columns, ratios), summary]
