"""Interpreters in the main program, whose file is not always the executed one, and which may export
nothing."""

import os
import re
import subprocess

from harness import HERE, Skip, case
from outcome import JITDUMP, MAP
from outcome import compile_program, configuration, result_of

CASES = []
TOP = os.path.dirname(HERE)
PROGRAM = "import sys\ndef f(): return sys.is_stack_trampoline_active()\nprint(f())"


def loader(path):
    """The dynamic loader that a program names."""
    words = ["readelf", "-lW", path]
    done = subprocess.run(words, stdout=subprocess.PIPE, universal_newlines=True, check=True)
    found = re.search(r"program interpreter: (\S+)\]", done.stdout)
    if not found or not os.path.exists(found.group(1)):
        raise Skip("its dynamic loader is not on this machine")
    return found.group(1)


@case(CASES)
def started_by_the_loader(bench):
    """"ld.so PYTHON": /proc/self/exe is the loader."""
    start = [loader(bench.python), bench.python]
    words, environment = bench.asked(start + ["-c", PROGRAM], bench.environment())
    done = bench.run(words, environment)
    bench.equal("status, output", (0, "True\n", ""), done.seen)
    bench.equal("left in /tmp", MAP, result_of(bench, done.pid))


SCRIPT = """
import os, sys
def hot():
    for i in range(3000): pass
def main():
    end = sum(os.times()[:2]) + float(os.environ.get("SECONDS", 0))
    while sum(os.times()[:2]) < end: hot()
main()
print(getattr(sys, "is_stack_trampoline_active", lambda: "no such function")())
"""
SWITCHES = (({"support": "1"}, MAP), ({"PYTHON_PERF_JIT_SUPPORT": "1"}, JITDUMP))


def program_with_python(bench, name, *flags):
    """A program that contains the interpreter and exports none of it."""
    names = ("LIBPL", "LIBRARY", "LIBS", "MODLIBS", "SYSLIBS", "prefix")
    folder, library, *libs, prefix = configuration(bench, *names)
    archive = os.path.join(folder, library)
    if not os.path.exists(archive):
        raise Skip("this interpreter has no libpython*.a")
    whole = [archive, "-Wl,--exclude-libs,ALL"] + " ".join(libs).split() + ["-lm"]
    path = compile_program(bench, "inside.c", name, list(flags or ["-no-pie"]) + whole)
    return path, {"PYTHONHOME": prefix, "support": None}


def tool(*words):
    subprocess.run(words, check=True)


@case(CASES)
def static_python(bench):
    """Symbols from .symtab or a debug file, in programs of each layout."""
    script = bench.write("script.py", SCRIPT)
    path, variables = program_with_python(bench, "program")
    joined = program_with_python(bench, "joined", "-no-pie", "-Wl,-z,noseparate-code")[0]
    # Debian's static library is not for position-independent programs.
    pie = program_with_python(bench, "pie", "-pie")[0] if bench.interpreter.kind == "shared" else path
    split = os.path.join(bench.folder, "split")
    tool("objcopy", "--only-keep-debug", path, split + ".debug")
    tool("objcopy", "--strip-all", "--add-gnu-debuglink=" + split + ".debug", path, split)
    for what, command in (
        ("program", [path]),
        ("one segment", [joined]),
        ("position-independent", [pie]),
        ("debug file", [split]),
        ("by the loader", [loader(path), path]),
    ):
        for switches, outcome in SWITCHES:
            environment = bench.environment(**dict(variables, **switches))
            done = bench.run(command + [script], environment)
            named = "%s, %s" % (what, outcome)
            bench.equal("%s: status, output" % named, (0, "True\n", ""), done.seen)
            bench.equal("%s: left in /tmp" % named, outcome, result_of(bench, done.pid))


@case(CASES)
def static_python_declined(bench):
    """Without symbols: one line, if profiling is requested."""
    script = bench.write("script.py", SCRIPT)
    path, variables = program_with_python(bench, "program")
    tool("strip", path)
    said = r"libpyperf: not profiling[^\n]*Python interpreter inside, but no symbols[^\n]*\n$"
    for switches, pattern in (({}, "$"), ({"support": "0"}, "$"), ({"support": "1"}, said)):
        environment = bench.environment(**dict(variables, **switches))
        done = bench.run([path, script], environment)
        del environment["LD_PRELOAD"]
        plain = bench.run([path, script], environment)
        named = str(switches or "no switch")
        bench.equal("%s: status, output" % named, plain.seen[:2], (done.status, done.out))
        good = re.match(pattern, done.err) is not None
        bench.that("%s: stderr" % named, repr(pattern), good, repr(done.err))
        images = [file for file in bench.left(done.pid) if file.endswith(".so")]
        bench.equal("%s: images" % named, [], images)


@case(CASES, needs=("perf",))
def static_python_under_pyperf_run(bench):
    script = bench.write("script.py", SCRIPT)
    path, variables = program_with_python(bench, "program")
    run = os.path.join(os.path.dirname(TOP), "scripts", "pyperf-run")
    data = os.path.join(bench.folder, "profile")
    environment = bench.environment(preload=False, images=False, SECONDS="0.5", **variables)
    environment["PYPERF_LIBRARY"] = bench.library
    done = bench.run([run, "-o", data, path, script], environment)
    bench.equal("status, stdout", (0, "True\n"), (done.status, done.out))
    bench.that("table", "hot", re.search(r"\bhot\b", done.err) is not None, done.err[:500])
    bench.equal("asks for Python", False, "in Python?" in done.err)
