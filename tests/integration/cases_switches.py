"""The truth table of CPython's switches: variables and options, and the result: off, map or
jitdump.

Each table is also checked without libpyperf on interpreters that have the feature (3.12 has no
jitdump): a row that is wrong about CPython fails there.
"""

import glob
import itertools
import os

import harness
import interpreters
import python_2
from harness import case
from outcome import (
    JITDUMP,
    MAP,
    OFF,
    PROGRAM,
    configuration,
    embedding_program,
    look_at_outcome,
    switch_environment,
    written,
)

CASES = []

ON_VALUES = ("1", "2", "-1", " 1", "\t1", "\n 1", "+1", "01", "2147483647", "-2147483648")
OFF_VALUES = (
    *("0", "", "abc", "1x", "1 ", "0x1", "1.0", "1,0", "00", "-0", "+", "-", " ", "- 1", "--1"),
    "1\n",
    *("2147483648", "-2147483649", "9223372036854775808", "99999999999999999999", "True", "\u0661"),
)

# Options of the interpreter, and the mode with neither variable, with PYTHONPERFSUPPORT=1, and with
# PYTHON_PERF_JIT_SUPPORT=1.
OPTIONS = (
    ("", OFF, MAP, JITDUMP),
    ("-E", OFF, OFF, OFF),
    ("-I", OFF, OFF, OFF),
    ("-S", OFF, MAP, JITDUMP),
    ("-s", OFF, MAP, JITDUMP),
    ("-B -O -u -q", OFF, MAP, JITDUMP),
    ("-ES", OFF, OFF, OFF),
    ("-IS", OFF, OFF, OFF),
    ("-sSE", OFF, OFF, OFF),
    ("-X perf", MAP, MAP, JITDUMP),
    ("-Xperf", MAP, MAP, JITDUMP),
    ("-BXperf", MAP, MAP, JITDUMP),
    ("-X perf=0", MAP, MAP, JITDUMP),
    ("-X perf=anything", MAP, MAP, JITDUMP),
    ("-X perf=", MAP, MAP, JITDUMP),
    ("-X perf -X perf=0", MAP, MAP, JITDUMP),
    ("-X dev=x -X perf -X q", MAP, MAP, JITDUMP),
    ("-E -X perf", MAP, MAP, MAP),
    ("-X perf -I", MAP, MAP, MAP),
    ("-S -X perf", MAP, MAP, JITDUMP),
    ("-X perf_jit", JITDUMP, JITDUMP, JITDUMP),
    ("-Xperf_jit", JITDUMP, JITDUMP, JITDUMP),
    ("-X perf_jit=0", JITDUMP, JITDUMP, JITDUMP),
    ("-X perf_jit=anything", JITDUMP, JITDUMP, JITDUMP),
    ("-I -X perf_jit", JITDUMP, JITDUMP, JITDUMP),
    ("-S -X perf_jit", JITDUMP, JITDUMP, JITDUMP),
    ("-X perf -X perf_jit", JITDUMP, JITDUMP, JITDUMP),
    ("-X perf_jit -X perf", JITDUMP, JITDUMP, JITDUMP),
    ("-X perfx", OFF, MAP, JITDUMP),
    ("-X per", OFF, MAP, JITDUMP),
    ("-X Perf", OFF, MAP, JITDUMP),
    ("-X perf-jit", OFF, MAP, JITDUMP),
    ("-X perf_jitx", OFF, MAP, JITDUMP),
    ("-X =perf", OFF, MAP, JITDUMP),
    ("-X x=perf", OFF, MAP, JITDUMP),
    ("-W ignore::UserWarning:perf", OFF, MAP, JITDUMP),
)


def applies(bench, support, jit, expected):
    """3.12 has no jitdump and ignores its switches."""
    return bench.version != (3, 12) or (jit is None and expected != JITDUMP)


def look_at_row(bench, support, jit, words, expected, preload=True, program=("-c", PROGRAM)):
    if bench.version == interpreters.PYTHON_2 and python_2.has_no(words):
        return
    if not preload and not applies(bench, support, jit, expected):
        return
    environment = switch_environment(bench, support, jit, preload=preload)
    command = [bench.python] + words.split() + list(program)
    what = " ".join((written(support, jit), words)).strip()
    look_at_outcome(bench, what, expected, bench.run(command, environment), environment)


def value_rows():
    for values, name in ((ON_VALUES, True), (OFF_VALUES, False)):
        for value in values:
            yield value, None, MAP if name else OFF
            yield None, value, JITDUMP if name else OFF


def order(support, jit, options):
    """A later option overrides an earlier one that is less."""
    if jit == "1" or "perf_jit" in options:
        return JITDUMP
    return MAP if support == "1" or "perf" in options else OFF


def order_rows():
    options = ((), ("perf",), ("perf_jit",), ("perf", "perf_jit"))
    for support, jit, chosen in itertools.product((None, "0", "1"), (None, "0", "1"), options):
        words = " ".join("-X " + option for option in chosen)
        yield support, jit, words, order(support, jit, chosen)


def option_rows():
    for words, alone, with_map, with_jit in OPTIONS:
        yield None, None, words, alone
        yield "1", None, words, with_map
        yield None, "1", words, with_jit


def look_at_tables(bench, preload):
    for support, jit, expected in value_rows():
        look_at_row(bench, support, jit, "", expected, preload)
    for support, jit, words, expected in itertools.chain(order_rows(), option_rows()):
        look_at_row(bench, support, jit, words, expected, preload)


@case(CASES)
def switch_table(bench):
    look_at_tables(bench, preload=True)


@case(CASES, harness.NATIVE)
def switch_table_native(bench):
    """Checks the tables against CPython."""
    look_at_tables(bench, preload=False)


@case(CASES, harness.NATIVE)
def switch_table_left_alone(bench):
    """With PYPERF_NATIVE=1 the interpreter's own switches work as without libpyperf."""
    for support, jit, words, expected in order_rows():
        if applies(bench, support, jit, expected):
            environment = switch_environment(bench, support, jit)
            environment["PYPERF_NATIVE"] = "1"
            done = bench.run([bench.python] + words.split() + ["-c", PROGRAM], environment)
            what = " ".join((written(support, jit), words, "PYPERF_NATIVE=1")).strip()
            look_at_outcome(bench, what, expected, done, environment)
            bench.equal(what + ": images", [], glob.glob(bench.images + "/*"))


def ways_to_run(bench):
    """The word that ends the options, and whether the words after it belong to the program."""
    script = bench.write("script.py", PROGRAM)
    bench.write("as_module.py", PROGRAM)
    os.makedirs(os.path.join(bench.folder, "directory"), exist_ok=True)
    bench.write("directory/__main__.py", PROGRAM)
    return (
        ("-c", ["-c", PROGRAM]),
        ("script", [script]),
        ("-m", ["-m", "as_module"]),
        ("directory", [os.path.join(bench.folder, "directory")]),
    )


def look_at_ways(bench, preload):
    for what, words in ways_to_run(bench):
        for options, behind, expected in (
            ("-X perf", [], MAP),
            ("-X perf_jit", [], JITDUMP),
            ("", ["-X", "perf"], OFF),
            ("", ["-X", "perf_jit"], OFF),
            ("-X perf", ["-X", "perf_jit", "-E"], MAP),
        ):
            if not preload and not applies(bench, None, None, expected):
                continue
            environment = switch_environment(bench, preload=preload)
            done = bench.run([bench.python] + options.split() + words + behind, environment)
            named = " ".join([options, what] + behind).strip()
            look_at_outcome(bench, named, expected, done, environment)
    with open(bench.write("script.py", PROGRAM)) as script:
        environment = switch_environment(bench, preload=preload)
        done = bench.run([bench.python, "-X", "perf", "-"], environment, stdin=script)
    look_at_outcome(bench, "-X perf - (from stdin)", MAP, done, environment)


@case(CASES)
def switch_ways_to_run(bench):
    """Options end at the program, in each form."""
    look_at_ways(bench, preload=True)


@case(CASES, harness.NATIVE)
def switch_ways_to_run_native(bench):
    look_at_ways(bench, preload=False)


# How programs/embed.c initialises, the first version, and the mode with neither variable, with
# PYTHONPERFSUPPORT=1, and with PYTHON_PERF_JIT_SUPPORT=1.
EMBEDDED = (
    ("plain", (3, 6), OFF, MAP, JITDUMP),
    ("no-signals", (3, 6), OFF, MAP, JITDUMP),
    ("ignore", (3, 6), OFF, OFF, OFF),
    ("twice", (3, 6), OFF, MAP, JITDUMP),
    ("main-perf", (3, 6), MAP, MAP, JITDUMP),
    ("main-perf_jit", (3, 6), JITDUMP, JITDUMP, JITDUMP),
    ("main-other", (3, 6), OFF, MAP, JITDUMP),
    ("configured", (3, 8), OFF, MAP, JITDUMP),
    ("isolated", (3, 8), OFF, OFF, OFF),
    ("no-environment", (3, 8), OFF, OFF, OFF),
    ("xoption", (3, 8), MAP, MAP, JITDUMP),
    ("xoption-jit", (3, 8), JITDUMP, JITDUMP, JITDUMP),
)


def look_at_embedded(bench, preload):
    program, script = embedding_program(bench, "embed.c"), bench.write("inside.py", PROGRAM)
    # The path of the library's modules: by default it looks beside the program.
    (prefix,) = configuration(bench, "prefix")
    for how, since, alone, with_map, with_jit in EMBEDDED:
        if bench.version < since:
            continue
        rows = ((None, None, alone), ("1", None, with_map), (None, "1", with_jit))
        for support, jit, expected in rows:
            if not preload and not applies(bench, support, jit, expected):
                continue
            environment = switch_environment(bench, support, jit, preload=preload)
            environment["PYTHONHOME"] = prefix
            done = bench.run([program, how, script], environment)
            what = "%s %s" % (written(support, jit), how)
            look_at_outcome(bench, what, expected, done, environment)


@case(CASES)
def switch_embedded(bench):
    look_at_embedded(bench, preload=True)


@case(CASES, harness.NATIVE)
def switch_embedded_native(bench):
    look_at_embedded(bench, preload=False)
