"""The first call of a function: time and memory, for a thousand functions and for many more."""

import os
import statistics

from measure import NATIVE, OFF, ON, Table, amount, difference, figure, interleave

SIZES = (1000, 10000, 100000)
FIRST_CALL = 20000
TRAMPOLINE_BYTES = 16
TABLE_PAGES = 6 * 4096  # each of six tables ends within a page
# glibc's initial values, fixed: otherwise it adapts what it gives back to the kernel.
MALLOC = dict(MALLOC_MMAP_THRESHOLD_="131072", MALLOC_TRIM_THRESHOLD_="131072")


def prepare(bench, one, count):
    path = os.path.join(bench.work, "functions-%s-%d" % (one.label.replace(" ", "-"), count))
    if not os.path.exists(path):
        script = [os.path.join(os.path.dirname(__file__), "workload_functions.py")]
        bench.execute([one.path] + script + ["prepare", str(count), path])
    return path


def measure(bench, variants, count, rounds):
    paths = {one: prepare(bench, one, count) for one, _ in variants}
    return interleave(
        rounds,
        variants,
        lambda v: bench.run(
            v[0], v[1], "workload_functions.py", "run", count, paths[v[0]], environment=MALLOC
        ),
    )


def of(results, key):
    return [result[key] for result in results]


def first_call(bench):
    variants = [(one, setup) for one in bench.ours() for setup in (OFF, ON)]
    variants += [(one, setup) for one in bench.natives() for setup in (OFF, NATIVE)]
    results = measure(bench, variants, FIRST_CALL, bench.rounds(15, 5))
    nanoseconds = 1e9 / FIRST_CALL

    def cost(one, setup):
        on, off = (of(results[one, s], "seconds") for s in (setup, OFF))
        return difference(on, off, nanoseconds)

    table = Table(
        "First call of a new function, map on",
        ["interpreter", "off, ns", "on - off, ns"],
        ["%d functions, each defined and called once; CPU time" % FIRST_CALL]
        + ["the definition counts: to 3.10 names are worked out there"],
    )
    own = None
    for one in bench.natives() + bench.ours():
        native = one in bench.natives()
        more = cost(one, NATIVE if native else ON)
        if one.series == (3, 12):
            own = more
        off = min(of(results[one, OFF], "seconds")) * nanoseconds
        cells = [one.label + (" -X perf" if native else ""), "%.0f" % off, amount(more, digits=0)]
        if native:
            table.add(cells)
        else:
            table.add(cells, "at most 3.12's own", own is not None and more.value <= own.value)
    return table


def memory_figure(on, off, count):
    def a_function(more, less):
        return (more - less) / count + TRAMPOLINE_BYTES

    # Memory varies in both directions with the beginning of the heap.
    return figure(a_function, of(on, "memory"), of(off, "memory"), best=statistics.median)


def flat(values, grain=0):
    """Whether the values are within 20 % of each other; their sums are rounded to `grain`."""
    rounding = [grain / size for size in SIZES]
    return max(values) <= 1.2 * min(value + more for value, more in zip(values, rounding))


def scale(bench):
    variants = [(one, setup) for one in bench.ours() for setup in (OFF, ON)]
    chosen = variants
    if bench.quick:
        chosen = [v for v in variants if v[0] in (bench.one(3, 9), bench.one(3, 11))]
    time = Table(
        "Time of a new function, of 1,000, 10,000 and 100,000",
        ["interpreter"] + ["%d: on - off, ns" % size for size in SIZES],
        cause="whenever the registry's table doubles, the names of all functions are read again",
    )
    space = Table(
        "Memory of a function, its name included",
        ["interpreter"] + ["%d: bytes" % size for size in SIZES],
        [
            "resident memory (Rss of /proc/PID/smaps) from before the functions are defined until all "
            "have been called, on - off; pages of the image, the map and their windows are the "
            "kernel's cache of these files, and not counted but for the trampoline",
            "trampoline 16, co_extra 16 (in 3.6: 32), qualified name and numbers of name and file 28, "
            "list 4, two tables, which double: 5 to 11 each",
            "the median of all rounds; within 20 %: give or take six pages, which are 24 bytes a "
            "function of 1,000",
        ],
        "in 3.6 co_extra takes 32 bytes of the interpreter's own, because its array stands apart "
        "from its size; ours are as on the others, where a page of 4,096 more or less is 0.4 bytes a "
        "function of 10,000",
    )
    rounds = dict(zip(SIZES, (bench.rounds(30, 12), bench.rounds(12, 4), bench.rounds(8, 2))))
    results = {size: measure(bench, chosen, size, rounds[size]) for size in SIZES}
    for one in [one for one, setup in chosen if setup == ON]:
        pairs = [(results[size][one, ON], results[size][one, OFF], size) for size in SIZES]
        times = [
            difference(of(on, "seconds"), of(off, "seconds"), 1e9 / size) for on, off, size in pairs
        ]
        time.add(
            [one.label] + [amount(value, digits=0) for value in times],
            "within 20 %",
            flat([value.value for value in times]),
        )
        sizes = [memory_figure(*pair) for pair in pairs]
        space.add(
            [one.label] + [amount(value, digits=1) for value in sizes],
            "at most 96; within 20 %",
            all(one.value <= 96 for one in sizes) and flat([one.value for one in sizes], TABLE_PAGES),
        )
    return [time, space]


def rows(bench):
    return [first_call(bench)] + scale(bench)
