"""Instructions of a Python call, counted by callgrind: the same figures without noise."""

import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

from measure import DORMANT, FLOOR, HERE, NATIVE, OFF, ON, Failed, Table

# Two sizes, both after the interpreter's warming up (opcache, specialising): they differ only in
# calls. fib(n) makes 2 fib(n + 1) - 1 of them.
SMALL, LARGE = (15, 1973), (19, 13529)
HOOK = "libpyperf.so"


def count_file(path):
    """Instructions by object file, from callgrind's output (valgrind manual, callgrind format)."""
    names, counts = {}, {}
    current, inclusive = None, False
    with open(path, errors="replace") as file:
        for line in file:
            match = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
            if match:
                names.setdefault(match.group(1), match.group(2))
                current = match.group(1)
            elif line.startswith("cob="):
                match = re.match(r"cob=\((\d+)\)(?: (.*))?$", line)
                names.setdefault(match.group(1), match.group(2))
            elif line.startswith("calls="):
                inclusive = True  # the next line is the callee's cost
            elif re.match(r"[+*0-9-]", line):
                if not inclusive:
                    counts[current] = counts.get(current, 0) + int(line.split()[1])
                inclusive = False
    hook = sum(count for n, count in counts.items() if (names.get(n) or "").endswith("/" + HOOK))
    return {HOOK: hook, "all": sum(counts.values())}


def count(bench, one, setup, size, number):
    """Runs fib under callgrind, which translates code when it first runs: because the jump at the
    evaluator's entry is written and taken out, it must check for modified code."""
    variables, options = bench.setup(setup)
    out = os.path.join(bench.work, "callgrind.%d" % number)
    words = ["valgrind", "--tool=callgrind", "--smc-check=all", "--callgrind-out-file=" + out]
    words += [one.path] + options + ["-S", os.path.join(HERE, "workload_fib.py"), str(size)]
    if setup == FLOOR:
        words.append("--floor=" + bench.floor(one))
    bench.execute(words, variables, silent=False)
    return count_file(out)


def measure(bench):
    """Instructions a call: {(interpreter, setup): {object: count}}. Counts do not depend on load,
    so all processors work."""
    variants = []
    ours = bench.ours()
    if bench.quick:
        ours = [one for one in ours if one in (bench.one(3, 9), bench.one(3, 11))]
    for one in ours:
        setups = [OFF, DORMANT, ON] + ([FLOOR] if one.series == (3, 11) else [])
        variants += [(one, setup) for setup in setups]
    variants += [(one, setup) for one in bench.natives() for setup in (OFF, NATIVE)]
    for one, setup in variants:
        if setup == FLOOR:
            bench.floor(one)
    numbers, lock = iter(range(10000)), threading.Lock()

    def run(job):
        with lock:
            number = next(numbers)
        return count(bench, job[0], job[1], job[2][0], number)

    jobs = [(one, setup, size) for one, setup in variants for size in (SMALL, LARGE)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        counts = dict(zip(jobs, pool.map(run, jobs)))
    calls = LARGE[1] - SMALL[1]
    return {
        (one, setup): {
            key: (counts[one, setup, LARGE][key] - counts[one, setup, SMALL][key]) / calls
            for key in (HOOK, "all")
        }
        for one, setup in variants
    }


def rows(bench):
    if shutil.which("valgrind") is None:
        raise Failed("valgrind is not installed: apt-get install valgrind")
    counts = measure(bench)
    table = Table(
        "Instructions a call of fib (callgrind: no noise)",
        ["interpreter", "off", "dormant - off", "on - off", "of these hook"]
        + ["floor - off", "on - floor"],
        [
            "hook: libpyperf.so; the rest is the trampoline, 6, and jumps: at the entry (to 3.10), from "
            "there to the hook, and from the displaced instructions back to the evaluator",
            "3.12 and 3.13: their own -X perf",
        ],
    )
    for one in sorted({one for one, _ in counts}, key=lambda one: (one.version, one.kind)):
        off = counts[one, OFF]["all"]
        if (one, NATIVE) in counts:
            more = counts[one, NATIVE]["all"] - off
            table.add([one.label, "%.1f" % off, "", "%+.1f" % more] + [""] * 3)
            continue
        on, asleep = counts[one, ON], counts[one, DORMANT]["all"] - off
        cells = [one.label, "%.1f" % off, "%+.1f" % asleep, "%+.1f" % (on["all"] - off)]
        cells.append("%.1f" % on[HOOK])
        if (one, FLOOR) in counts:
            floor = counts[one, FLOOR]["all"]
            cells += ["%+.1f" % (floor - off), "%+.1f" % (on["all"] - floor)]
        else:
            cells += ["", ""]
        table.add(cells, "dormant: 0", abs(asleep) < 0.5)
    return [table]
