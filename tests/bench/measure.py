"""Shared by all rows of the benchmark: interpreters and their setups, interleaved rounds, figures
with their spread, tables.

Absolute times mean nothing on a shared machine. So each round measures every variant, in an order
that rotates, and a figure is the ratio or the difference of the best of all rounds, because
disturbances only make a measurement longer. Where a few per cent matter, the processes of all
variants run side by side and take turns of a few milliseconds, so that every variant gets its share
of a shared processor's slow and fast moments. The spread is the lowest and highest value of the
same figure from the first, the second and the third third of the rounds alone.

The addresses of its code and heap make a process fast or slow as a whole: a loop over a generator
takes 30 to 40 ns on 3.9, off or on. The best of many processes is then chance. So, where a few per
cent matter, the best pass counts within a process, and the median among the processes, new ones in
each round (typical_ratio).
"""

import ast
import collections
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import interpreters  # noqa: E402  (the integration tests find interpreters)
SCRIPTS = os.path.join(HERE, "..", "..", "scripts")
sys.path.append(os.path.join(SCRIPTS, "run"))  # pyperf-run's reader of profiles

OFF, DORMANT, ON, NATIVE, FLOOR = "off", "dormant", "on", "-X perf", "floor"
SAMPLER = "sampler, Hz: "  # and a number

Figure = collections.namedtuple("Figure", "value low high")
Row = collections.namedtuple("Row", "cells demand met")


class Table:
    """`rows` have as many cells as `columns`; a demand adds the required value and whether it is
    met. `cause` explains a demand of this table that is not met."""

    def __init__(self, title, columns, notes=(), cause=None):
        self.title = title
        self.columns = columns
        self.notes = list(notes)
        self.cause = cause
        self.rows = []

    def add(self, cells, demand="", met=None):
        self.rows.append(Row([str(cell) for cell in cells], demand, met))

    def remarks(self):
        missed = any(row.met is False for row in self.rows)
        return self.notes + (["NOT MET: " + self.cause] if missed and self.cause else [])

    def as_dict(self):
        rows = [row._asdict() for row in self.rows]
        return dict(title=self.title, columns=self.columns, notes=self.remarks(), rows=rows)


class Failed(Exception):
    """A measurement that failed; the row says so."""


def fetched(one):
    """Whether it is one of scripts/dev/fetch-interpreters."""
    return one.path.startswith(os.path.dirname(interpreters.FETCHED))


class Bench:
    """One run of the benchmark."""

    def __init__(self, build, quick):
        self.build = os.path.abspath(build)
        self.quick = quick
        self.library = os.path.join(self.build, "libpyperf.so")
        self.chart = {}
        self.work = tempfile.mkdtemp(prefix="pyperf-bench-")
        self.images = os.path.join(self.work, "images")
        os.mkdir(self.images)
        every = [one for one in interpreters.find()[0] if not one.debug]
        self.found = [one for one in every if one.series >= (3, 6)]
        self.python_2 = [one for one in every if one.series == interpreters.PYTHON_2]
        self.environment = interpreters.plain_environment()
        self.environment.pop("DEBUGINFOD_URLS", None)
        self.environment.update(
            LC_ALL="C.UTF-8",
            HOME=self.work,  # perf keeps copies of objects there
            PYTHONHASHSEED="0",
            PYTHONDONTWRITEBYTECODE="1",
            PYPERF_DIR=self.images,
        )

    def close(self):
        shutil.rmtree(self.work)

    def rounds(self, full, quick):
        return quick if self.quick else full

    def ours(self):
        """The interpreters without perf support of their own on this machine."""
        return [one for one in self.found if one.supported and not one.native and not fetched(one)]

    def natives(self):
        """Interpreters with perf support of their own that are compared with: 3.12 and 3.13."""
        found = [one for one in self.found if one.series in ((3, 12), (3, 13))]
        return [one for one in found if not fetched(one)]

    def all_native(self):
        """All that have their own; each is measured with its own and with ours."""
        return [one for one in self.found if one.supported and one.native]

    def one(self, *series):
        """An interpreter of this version, shared builds first; None if there is none."""
        found = [one for one in self.found if one.series == series]
        return min(found, key=lambda one: one.kind) if found else None

    def setup(self, setup):
        """The variables added to the environment, and the interpreter's options."""
        variables = {}
        if setup in (DORMANT, ON) or setup.startswith(SAMPLER):
            variables["LD_PRELOAD"] = self.library
        if setup.startswith(SAMPLER):
            variables["PYPERF_SAMPLER"] = setup[len(SAMPLER) :]
        if setup == ON:
            variables["PYTHONPERFSUPPORT"] = "1"
        return variables, ["-X", "perf"] if setup == NATIVE else []

    def command(self, interpreter, setup, script, *arguments):
        """The variables and the words to run a workload."""
        variables, options = self.setup(setup)
        words = [interpreter.path] + options + [os.path.join(HERE, script)]
        words += [str(argument) for argument in arguments]
        if setup == FLOOR:
            words.append("--floor=" + self.floor(interpreter))
        return variables, words

    def run(self, interpreter, setup, script, *arguments, environment=()):
        """Runs a workload, which prints JSON."""
        variables, words = self.command(interpreter, setup, script, *arguments)
        variables.update(environment)
        return checked(self.execute(words, variables), interpreter, setup)

    def execute(self, command, variables=(), silent=True):
        """The standard output of a command; removes its map file and images."""
        environment = dict(self.environment, **dict(variables))
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            cwd=self.work,
        )
        out, errors = process.communicate()
        self.tidy(process.pid)
        if process.returncode != 0 or (silent and errors):
            raise Failed("%s: %s" % (" ".join(command[:4]), errors.strip()[-300:]))
        return out if silent else out + errors

    def tidy(self, pid):
        for path in ["/tmp/perf-%d.map" % pid, "/tmp/jit-%d.dump" % pid]:
            if os.path.exists(path):
                os.unlink(path)
        images = os.path.join(self.images, "pyperf-%d-*" % pid)
        for path in glob.glob("/tmp/jitted-%d-*.so" % pid) + glob.glob(images):
            os.unlink(path)

    def size_of_images(self):
        """Bytes of what is in that folder: of the sampler its whole profile."""
        return sum(os.path.getsize(path) for path in glob.glob(os.path.join(self.images, "*")))

    def samples_of_perf(self, data):
        """How many a profile of perf has; without unwinding."""
        words = ["perf", "script", "-i", data, "-F", "pid"]
        return len(subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split())

    def clear_images(self):
        """Removes those of processes with unknown ids."""
        for path in glob.glob(os.path.join(self.images, "*")):
            os.unlink(path)

    def floor(self, interpreter):
        """The folder of the extension module floor.c, built for this interpreter."""
        folder = os.path.join(self.build, "bench", "floor-" + interpreter.label.replace(" ", "-"))
        target = os.path.join(folder, "floor.so")
        source = os.path.join(HERE, "floor.c")
        if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
            if not os.path.isdir(folder):
                os.makedirs(folder)
            asked = "import sysconfig; print(sysconfig.get_path('include'))"
            include = self.execute([interpreter.path, "-c", asked]).strip()
            compiler = os.environ.get("CC", "cc").split()
            self.execute(
                compiler
                + ["-O2", "-fPIC", "-fcf-protection", "-fno-plt", "-shared", "-I", include]
                + ["-o", target, source]
            )
        return folder


def with_variables(variables, words):
    """A command for tools that start it: the program alone gets the variables."""
    return ["env"] + ["%s=%s" % pair for pair in sorted(variables.items())] + words


def checked(line, interpreter, setup):
    """A workload's output, if it ran in the right mode."""
    if not line:
        raise Failed("%s, %s: the workload failed" % (interpreter.label, setup))
    result = json.loads(line)
    wanted = {ON: True, NATIVE: True, DORMANT: False}.get(setup)
    if wanted is not None and result["active"] is not wanted:
        raise Failed("%s: %s, but active is %s" % (interpreter.label, setup, result["active"]))
    return result


class Server:
    """A workload that measures on request (workload.serve)."""

    def __init__(self, bench, interpreter, setup, script, *arguments):
        self.bench = bench
        self.name = "%s, %s" % (interpreter.label, setup)
        variables, words = bench.command(interpreter, setup, script, *arguments)
        self.process = subprocess.Popen(
            words,
            env=dict(bench.environment, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            cwd=bench.work,
        )
        checked(self.process.stdout.readline(), interpreter, setup)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed(self.name + ": the workload failed")
        return ast.literal_eval(answer)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.bench.tidy(self.process.pid)


def take_turns(servers, passes, what):
    """The best answer of each server; they are asked in turn, `passes` times."""
    best = [float("inf")] * len(servers)
    for _ in range(passes):
        for number, server in enumerate(servers):
            best[number] = min(best[number], server.ask(what))
    return best


def interleave(rounds, variants, measure):
    """Results of measure(variant) of each round, for each variant."""
    variants = list(variants)
    results = {variant: [] for variant in variants}
    for number in range(rounds):
        first = number % len(variants)
        for variant in variants[first:] + variants[:first]:
            results[variant].append(measure(variant))
    return results


def thirds(values):
    """The thirds of the rounds in order, or single rounds if there are fewer."""
    parts = min(3, len(values))
    return [values[part * len(values) // parts : (part + 1) * len(values) // parts]
            for part in range(parts)]


def figure(function, *results, best=min):
    """A figure from the best of all rounds, and its spread."""
    whole = function(*[best(values) for values in results])
    parts = [function(*[best(part) for part in some]) for some in zip(*map(thirds, results))]
    return Figure(whole, min(parts + [whole]), max(parts + [whole]))


def ratio(on, off):
    return figure(lambda a, b: a / b, on, off)


def difference(on, off, scale=1.0):
    return figure(lambda a, b: (a - b) * scale, on, off)


def typical_ratio(on, off):
    """A figure of rounds with their own processes, each of which gives its best."""
    return figure(lambda a, b: a / b, on, off, best=statistics.median)


def typical_difference(on, off):
    return figure(lambda a, b: a - b, on, off, best=statistics.median)


def percent(one):
    """A ratio as a change: +1.2 % (0.9..1.6)."""
    low, value, high = (100 * (x - 1) for x in (one.low, one.value, one.high))
    return "%+.1f %% (%+.1f..%+.1f)" % (value, low, high)


def amount(one, unit="", digits=1):
    numbers = ["%.*f" % (digits, x) for x in (one.value, one.low, one.high)]
    return "%s%s (%s..%s)" % (numbers[0], " " + unit if unit else "", numbers[1], numbers[2])


def print_table(table, out=sys.stdout):
    judged = any(row.met is not None for row in table.rows)
    header = table.columns + (["must be", ""] if judged else [])
    lines = [header]
    for row in table.rows:
        lines.append(row.cells + ([row.demand, verdict(row.met)] if judged else []))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    out.write("\n%s\n%s\n" % (table.title, "-" * len(table.title)))
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths)]
        out.write("  ".join(padded).rstrip() + "\n")
    for note in table.remarks():
        out.write("  * %s\n" % note)
    out.flush()


def verdict(met):
    return {None: "", True: "ok", False: "NOT MET"}[met]
