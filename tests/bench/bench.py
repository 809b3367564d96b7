"""make bench: what profiling costs, side by side.

usage: bench.py --build DIR [--quick] [--rows calls,programs,...]

Prints the tables and keeps them in DIR/bench/results.json, for report.py. The exit status says
whether measuring worked; a demand that is not met is a row of the table.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback

import measure

ROWS = ("calls", "instructions", "programs", "functions", "startup", "report", "stacks", "sampler", "service", "beside", "attach")


def first_line(command):
    try:
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError:
        return command[0] + ": not installed"
    return out.stdout.decode("utf-8", "replace").strip().split("\n")[0]


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.machine()


def machine(bench):
    """The machine on which the figures were measured."""
    kernel = platform.uname()
    return [
        ("date", datetime.date.today().isoformat()),
        ("processor", "%s, %d in use" % (processor(), len(os.sched_getaffinity(0)))),
        ("kernel", "%s %s" % (kernel.system, kernel.release)),
        ("C library", " ".join(platform.libc_ver())),
        ("perf", first_line(["perf", "--version"])),
        ("valgrind", first_line(["valgrind", "--version"])),
        ("interpreters", ", ".join(one.label for one in bench.found)),
        ("load at the start and end", "%.1f" % os.getloadavg()[0]),
        ("rounds", "quick" if bench.quick else "full"),
    ]


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"sections": {}}


def run_section(bench, name):
    """The tables of a section, or one that says why it cannot be measured."""
    started = time.time()
    try:
        tables = importlib.import_module("rows_" + name).rows(bench)
    except Exception as error:  # so that the results of other sections are not lost
        if not isinstance(error, (measure.Failed, OSError)):
            traceback.print_exc()
        table = measure.Table(name, ["not measured"])
        table.add([str(error) or repr(error)], "measured", False)
        tables = [table]
    for table in tables:
        measure.print_table(table)
    sys.stdout.write("  (%s: %.0f s)\n" % (name, time.time() - started))
    return [table.as_dict() for table in tables]


def summary(results, names):
    missed = [
        "%s: %s" % (table["title"], " ".join(row["cells"][:2]))
        for name in names
        for table in results["sections"][name]
        for row in table["rows"]
        if row["met"] is False
    ]
    for line in missed:
        sys.stdout.write("NOT MET  %s\n" % line)
    sys.stdout.write("%d demands not met\n" % len(missed))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    names = options.rows.split(",")
    if not set(names) <= set(ROWS):
        parser.error("there are " + ", ".join(ROWS))
    bench = measure.Bench(options.build, options.quick)
    if not bench.ours():
        bench.close()
        sys.exit("no CPython from 3.6 to 3.15 here: set PYPERF_INTERPRETERS")
    path = os.path.join(bench.build, "bench", "results.json")
    results = load(path)
    results["machine"] = machine(bench)
    started = time.time()
    try:
        for name in names:
            results["sections"][name] = run_section(bench, name)
            if bench.chart:
                results["chart"] = bench.chart
    finally:
        bench.close()
    at = [key for key, _ in results["machine"]].index("load at the start and end")
    load_now = "%s, %.1f" % (results["machine"][at][1], os.getloadavg()[0])
    results["machine"][at] = ("load at the start and end", load_now)
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
    sys.stdout.write("\n%.0f seconds in all\n" % (time.time() - started))
    summary(results, names)


main()
