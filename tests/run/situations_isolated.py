"""Interpreters that ignore the environment, in which pyperf-run switches profiling on."""

import os

from harness import Skip, case, finish
from outcome import configuration
from recorded import start_run

CASES = []
WORK = "def hot(): return sum(i * i for i in range(3000000))\nprint(hot())\n"
BEFORE = "Python ignores the environment"
AFTER = "the interpreter ignores the environment"

# As in a program that has Python inside and ignores the environment.
PROGRAM = """
#include <Python.h>
int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    PyConfig_SetBytesString(&config, &config.home, argv[argc - 1]);
    Py_InitializeFromConfig(&config);
    return PyRun_SimpleString(WORK);
}
"""


def seen(bench, *words):
    done = finish(start_run(bench, "--", *words))
    lines = " ".join(done.err.split())
    return [done.status, BEFORE in lines, AFTER in lines, "-X perf" in lines, " hot " in lines]


@case(CASES, needs=("perf",))
def isolated(bench):
    """Status, said before, said afterwards, the remedy, and whether there are names."""
    script = bench.write("work.py", WORK)
    unasked = bench.write("unasked.py", "#!%s -Es\n%s" % (bench.python, WORK))
    os.chmod(unasked, 0o755)
    for words, expected in (
        ([bench.python, script], [0, False, False, False, True]),
        ([bench.python, "-I", script], [0, True, True, True, False]),
        ([unasked], [0, True, True, True, False]),
        (["env", bench.python, "-Es", script], [0, False, True, True, False]),
        (["env", "-i", bench.python, script], [0, False, False, False, False]),
        ([bench.python, "-I", "-X", "perf", script], [0, False, False, False, True]),
    ):
        bench.equal(" ".join(words), expected, seen(bench, *words))


@case(CASES, needs=("perf",))
def isolated_configuration(bench):
    if bench.version < (3, 8):
        raise Skip("PyConfig came with 3.8")
    include, folder, library, prefix = configuration(
        bench, "INCLUDEPY", "LIBDIR", "LDLIBRARY", "prefix"
    )
    if not library.endswith(".so") or not os.path.exists(os.path.join(include, "Python.h")):
        raise Skip("no shared library with headers")
    source = bench.write("isolated.c", "#define WORK %s\n%s" % (c_string(WORK), PROGRAM))
    program = os.path.join(bench.folder, "isolated")
    words = ["cc", "-w", "-I" + include, source, "-o", program, os.path.join(folder, library)]
    done = bench.run(words + ["-Wl,-rpath," + folder])
    bench.equal("compiler's status", 0, done.status)
    bench.equal("PyConfig_InitIsolatedConfig", [0, False, True, True, False], seen(bench, program, prefix))


def c_string(text):
    return '"%s"' % text.replace("\n", "\\n")
