"""The sampler beside perf and austin: what each costs the program and the machine, and bytes of a sample."""

import json
import os
import resource
import shutil
import subprocess

from measure import HERE, OFF, ON, SAMPLER, Failed, Table, interleave, percent, typical_ratio, with_variables

import python2  # noqa: F401  # first
import samples as reader

SERIES = ((3, 6), (3, 9))  # which Debian 12's austin, 1.0.1, can read
RATES = (99, 999)
COPY = 32768  # pyperf-run's copies of a stack
PROGRAM, PASSES = "raytracer", 40


def commands(bench, one):
    """(name, variables, words before the program's, the profile)"""
    yield "off", {}, [], None
    for rate in RATES:
        yield "sampler, %d Hz" % rate, bench.setup(SAMPLER + str(rate))[0], [], bench.images
        data = os.path.join(bench.work, "beside.data")
        perf = ["perf", "record", "-q", "-F", str(rate), "--call-graph", "dwarf,%d" % COPY, "-o", data, "--"]
        yield "perf, %d Hz" % rate, bench.setup(ON)[0], perf, data
        text = os.path.join(bench.work, "beside.austin")
        yield "austin, %d Hz" % rate, {}, ["austin", "-i", str(1000000 // rate), "-o", text], text


def passes(bench):
    return bench.rounds(PASSES, PASSES // 4)


def measure(bench, one, setup):
    """CPU and elapsed time of the program, CPU time of all else, samples, bytes."""
    _, variables, before, profile = setup
    answer = os.path.join(bench.work, "beside.json")
    program = [one.path, os.path.join(HERE, "workload_work.py"), PROGRAM, str(passes(bench)), answer]
    if before[:1] != ["austin"]:  # which reads the process that it starts
        program = with_variables(variables, program)
    earlier = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        before + program, env=bench.environment, cwd=bench.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not os.path.exists(answer):
        raise Failed("%s: %s" % (" ".join(before[:1]), done.stdout.decode("utf-8", "replace")[-200:]))
    with open(answer) as file:
        used, elapsed, pid = json.load(file)
    os.unlink(answer)
    every = sum(getattr(now, part) - getattr(earlier, part) for part in ("ru_utime", "ru_stime"))
    taken, size = count(bench, before, profile)
    bench.tidy(pid)
    return used, elapsed, every - used, taken, size


def count(bench, before, profile):
    """Samples and bytes of a profile, which is removed."""
    if profile is None:
        return 0, 0
    if profile == bench.images:
        size = bench.size_of_images()
        taken = sum(1 for _ in reader.Recording(profile, False).moments())
        bench.clear_images()
        return taken, size
    size = os.path.getsize(profile)
    if before[0] == "perf":
        taken = bench.samples_of_perf(profile)
    else:
        with open(profile, "rb") as lines:
            taken = sum(line.startswith(b"Thread") for line in lines)
    os.unlink(profile)
    return taken, size


def rows(bench):
    found = [one for one in map(lambda series: bench.one(*series), SERIES) if one]
    there = [tool for tool in ("perf", "austin") if shutil.which(tool)]
    table = Table(
        "The sampler beside perf and austin",
        ["interpreter", "", "program's CPU time", "its elapsed time", "of other processes, CPU s", "samples", "bytes a sample"],
        [
            "%s, %d passes; against off; other processes: perf, austin, and the start of all; perf copies %d bytes of stack;"
            " austin reads calls of Python alone, at intervals of elapsed time" % (PROGRAM, passes(bench), COPY)
        ]
        + ["%s is not there: apt-get install %s" % pair for pair in (("perf", "linux-perf"), ("austin", "austin")) if pair[0] not in there],
    )
    for one in found[-1:] if bench.quick else found:
        setups = [setup for setup in commands(bench, one) if not setup[2] or setup[2][0] in there]
        names = [setup[0] for setup in setups]
        by_name = dict(zip(names, setups))
        results = interleave(bench.rounds(7, 3), names, lambda name: measure(bench, one, by_name[name]))
        used = {name: [result[0] for result in results[name]] for name in names}
        elapsed = {name: [result[1] for result in results[name]] for name in names}
        other = min(result[2] for result in results[OFF])
        for name in names[1:]:
            taken = sum(result[3] for result in results[name])
            size = sum(result[4] for result in results[name])
            cells = [one.label, name, percent(typical_ratio(used[name], used[OFF]))]
            cells += [percent(typical_ratio(elapsed[name], elapsed[OFF]))]
            cells += ["%.2f" % max(0.0, min(result[2] for result in results[name]) - other)]
            cells += [str(taken // len(results[name])), "%.0f" % (size / float(max(taken, 1)))]
            table.add(cells)
    return [table]
