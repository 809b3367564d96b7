"""A Python call: on against off, against the PEP 523 floor, and against CPython's own."""

import math
import statistics

from measure import (
    DORMANT,
    FLOOR,
    NATIVE,
    OFF,
    ON,
    Figure,
    Server,
    Table,
    amount,
    percent,
    take_turns,
    typical_difference,
    typical_ratio,
)

KINDS = ("fib", "methods", "generators")


def variants(bench, one):
    more = [NATIVE] if one.native else [FLOOR] if one.series == (3, 11) else []
    return [OFF, DORMANT, ON] + more


def measure(bench):
    """Nanoseconds of the best pass of each round's process, by interpreter, setup and kind."""
    times = {}
    passes = bench.rounds(10, 8)
    for _ in range(bench.rounds(33, 9)):
        for one in bench.ours() + bench.all_native() + bench.python_2:
            setups = variants(bench, one)
            servers = [Server(bench, one, setup, "workload_calls.py") for setup in setups]
            for kind in KINDS:
                for setup, best in zip(setups, take_turns(servers, passes, kind)):
                    times.setdefault((one, setup, kind), []).append(best)
            for server in servers:
                server.close()
    return times


def on_and_off(bench, times):
    table = Table(
        "A Python call, on against off",
        ["interpreter", "program", "off, ns", "on - off, ns", "on / off"],
        ["ns a call or, of generators, a resume: the median of all processes' best passes"],
        "20 instructions, five of them jumps that are taken (from the entry to the hook, to the "
        "trampoline, to the displaced instructions, back, and the trampoline's return). Tried one by one: a "
        "trampoline without rbp, no endbr64, the interpreter's own pointer in place of the jump at the "
        "entry: within 0.5 ns of each other. Only an entry that is not patched, so that the trampoline calls it "
        "directly, halves the cost on 3.9 (2.8 to 1.3 ns a resume); but then nobody sees new "
        "interpreters, nor what other evaluators pass on",
    )
    for one in bench.ours():
        if one.series >= (3, 11):
            continue
        for kind in KINDS:
            off, on = times[one, OFF, kind], times[one, ON, kind]
            change, more = typical_ratio(on, off), typical_difference(on, off)
            table.add(
                [one.label, kind, "%.1f" % statistics.median(off), amount(more), percent(change)],
                "at most 4 % and 3 ns",
                change.value <= 1.04 and more.value <= 3,
            )
    return table


def on_and_off_in_2(bench, times):
    table = Table(
        "The same on Python 2.7",
        ["interpreter", "program", "off, ns", "on - off, ns", "on / off"],
        ["values are looked up in a table by the code object's address: 2.7 has no co_extra"],
        "",
    )
    for one in bench.python_2:
        for kind in KINDS:
            off, on = times[one, OFF, kind], times[one, ON, kind]
            change, more = typical_ratio(on, off), typical_difference(on, off)
            row = [one.label, kind, "%.1f" % statistics.median(off), amount(more), percent(change)]
            table.add(row, "fib: at most 5 %", kind != "fib" or change.value <= 1.05)
    return table


def against_own(bench, times):
    table = Table(
        "The same from 3.12 on, against CPython's own support",
        ["interpreter", "program", "off, ns", "own - off, ns", "ours - off, ns", "ours / own"],
        ["own: -X perf without libpyperf"],
        "",
    )
    for one in bench.all_native():
        for kind in KINDS:
            off, on, own = (times[one, setup, kind] for setup in (OFF, ON, NATIVE))
            change = typical_ratio(on, own)
            table.add(
                [one.label, kind, "%.1f" % statistics.median(off)]
                + [amount(typical_difference(own, off)), amount(typical_difference(on, off))]
                + [percent(change)],
                "no more than its own",
                change.value <= 1.0,
            )
    return table


def against_floor(bench, times):
    table = Table(
        "The same on 3.11, against the PEP 523 floor and CPython's own",
        ["interpreter", "program", "off, ns", "floor - off, ns", "on - floor, ns", "on / off"],
        [
            "floor: a frame evaluator that is a single jump (floor.c); what it costs is that the "
            "interpreter no longer runs calls in its own loop",
            "3.12 and 3.13: their own -X perf against off",
        ],
        "hook and trampoline: 20 instructions and four taken jumps more than the floor's one: without "
        "the trampoline, whose return address is the name, there would be no name",
    )
    natives = {}
    for one in bench.natives():
        for kind in KINDS:
            off, on = times[one, OFF, kind], times[one, NATIVE, kind]
            natives[one, kind] = typical_ratio(on, off)
            change = percent(natives[one, kind])
            table.add([one.label, kind, "%.1f" % statistics.median(off), "", "", change])
    for one in bench.ours():
        if one.series != (3, 11):
            continue
        for kind in KINDS:
            off, on, floor = (times[one, setup, kind] for setup in (OFF, ON, FLOOR))
            above, change = typical_difference(on, floor), typical_ratio(on, off)
            own = [natives[native, kind].value for native in bench.natives()]
            table.add(
                [one.label, kind, "%.1f" % statistics.median(off)]
                + [amount(typical_difference(floor, off)), amount(above, digits=2)]
                + [percent(change)],
                "at most 1 ns over the floor; ratio below 3.12's and 3.13's",
                above.value <= 1 and bool(own) and change.value < min(own),
            )
    if len({one.series for one in bench.natives()}) < 2:
        table.notes.append("not compared with both: there is no 3.12 or no 3.13 on this machine")
    return table


def dormant(bench, times):
    table = Table(
        "Dormant (preloaded, not switched on) against off",
        ["interpreter"] + ["%s, dormant / off" % kind for kind in KINDS] + ["together"],
        ["together: the geometric mean"],
    )
    for one in bench.ours() + bench.all_native():
        ratios = [typical_ratio(times[one, DORMANT, kind], times[one, OFF, kind]) for kind in KINDS]
        together = mean(ratios)
        table.add(
            [one.label] + [percent(one_ratio) for one_ratio in ratios] + [percent(together)],
            "within 1 %",
            together.value <= 1.01,
        )
    return table


def mean(ratios):
    """The geometric mean; the spread is that of all of them moving together."""
    return Figure(
        *[math.exp(sum(math.log(one[i]) for one in ratios) / len(ratios)) for i in range(3)]
    )


def rows(bench):
    times = measure(bench)
    tables = [on_and_off(bench, times)]
    if bench.python_2:
        tables.append(on_and_off_in_2(bench, times))
    tables += [against_floor(bench, times), against_own(bench, times), dormant(bench, times)]
    return tables
