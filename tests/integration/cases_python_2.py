"""Features of Python 2.7: its form of the sys functions, byte strings, classic classes."""

import harness
from harness import case
from maps import Map
from outcome import switch_environment

CASES = []
ACTIVATE = "activate_stack_trampoline"
NO_TEXT = ACTIVATE + "() argument must be str, not "

# An expression with one of the three functions, and its result.
CALLS = (
    ("sys.activate_stack_trampoline('perf')", "None"),
    ("sys.is_stack_trampoline_active()", "True"),
    ("sys.activate_stack_trampoline(u'perf_jit')", "None"),
    ("sys.deactivate_stack_trampoline()", "None"),
    ("sys.deactivate_stack_trampoline()", "None"),
    ("sys.is_stack_trampoline_active()", "False"),
    ("sys.activate_stack_trampoline('nope')", "ValueError: invalid backend: nope"),
    ("sys.activate_stack_trampoline('%s%n')", "ValueError: invalid backend: %s%n"),
    ("sys.activate_stack_trampoline('perf\\0x')", "ValueError: embedded null character"),
    (
        "sys.activate_stack_trampoline(u'\\xe9')",
        "UnicodeEncodeError: 'ascii' codec can't encode character u'\\xe9' in position 0: ordinal "
        "not in range(128)",
    ),
    ("sys.activate_stack_trampoline(None)", "TypeError: " + NO_TEXT + "None"),
    ("sys.activate_stack_trampoline(1)", "TypeError: " + NO_TEXT + "int"),
    (
        "sys.activate_stack_trampoline()",
        "TypeError: " + ACTIVATE + "() takes exactly one argument (0 given)",
    ),
    (
        "sys.activate_stack_trampoline(backend='perf')",
        "TypeError: " + ACTIVATE + "() takes no keyword arguments",
    ),
    (
        "sys.deactivate_stack_trampoline(1)",
        "TypeError: deactivate_stack_trampoline() takes no arguments (1 given)",
    ),
    ("repr(sys.activate_stack_trampoline)", "'<built-in function %s>'" % ACTIVATE),
    ("sys.activate_stack_trampoline.__module__", "'sys'"),
    ("sys.activate_stack_trampoline.__self__", "None"),
    (
        "sys.activate_stack_trampoline.__doc__.split('\\n')[0]",
        "'activate_stack_trampoline(backend)'",
    ),
)
ASK = """
import sys
for expression in %r:
    try:
        print(repr(eval(expression)))
    except Exception as error:
        print("%%s: %%s" %% (type(error).__name__, error))
"""


@case(CASES, harness.PYTHON_2)
def sys_of_python_2(bench):
    program = bench.write("ask.py", ASK % ([call for call, _ in CALLS],))
    done = bench.run_python(program, environment=switch_environment(bench))
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    for (call, expected), got in zip(CALLS, done.out.splitlines() + [""] * len(CALLS)):
        bench.equal(call, expected, got)


@case(CASES, harness.PYTHON_2)
def toggle_signal_of_python_2(bench):
    """The signal is refused in one line, and ends the program as without libpyperf."""
    code = "import os, signal; assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL; "
    code += "os.kill(os.getpid(), signal.SIGUSR2)"
    environment = switch_environment(bench, PYPERF_TOGGLE_SIGNAL="USR2")
    done = bench.run_python("-c", code, environment=environment)
    bench.equal("status, stdout", (-12, ""), (done.status, done.out))
    said = done.err.splitlines()
    good = len(said) == 1 and said[0].startswith("libpyperf: PYPERF_TOGGLE_SIGNAL is not used: ")
    bench.that("says", "one line", good and "EINTR" in said[0], repr(done.err))


LATE = """
import sys
def top():
    def inner(): return 1
    return inner()
class Old:
    def method(self): return 1
class New(object):
    def method(self):
        def deep(): return 2
        return deep()
    @staticmethod
    def static(): return 3
    @classmethod
    def of_class(cls): return 3
    @property
    def value(self): return 4
class Meta(type):
    def of_meta(cls): return 6
class WithMeta(object):
    __metaclass__ = Meta
    def method(self): return 7
sys.activate_stack_trampoline("perf")
top(), Old().method(), New().method(), New.static(), New.of_class(), New().value
WithMeta.of_meta(), WithMeta().method()
"""
LATE_NAMES = """top top.<locals>.inner Old.method New.method New.method.<locals>.deep New.static
New.of_class New.value Meta.of_meta WithMeta.method"""


@case(CASES, harness.PYTHON_2)
def late_names_of_python_2(bench):
    """Names of functions that were made before profiling was on: found in their classes."""
    program = bench.write("late.py", LATE)
    done = bench.run_python(program, environment=switch_environment(bench))
    bench.equal("status, output", (0, "", ""), done.seen)
    names = Map(bench.map_path(done.pid)).of_file(program)
    bench.equal("names, in order of their first call", LATE_NAMES.split(), names)


UNOPTIMIZED = """
def outer():
    exec "number = 1"
    def enclosed(): return 1
    return enclosed()
def importing():
    from os.path import *
    def enclosed(): return 1
    return enclosed()
def comprehensions():
    return [(lambda: 1)() for _ in (1,)] + list({(lambda: 2)() for _ in (1,)})
class Old:
    exec "number = 2"
    def method(self): return (lambda: self)()
outer(), importing(), comprehensions(), Old().method()
"""
UNOPTIMIZED_NAMES = """<module> Old outer outer.<locals>.enclosed importing
importing.<locals>.enclosed comprehensions comprehensions.<locals>.<lambda>
comprehensions.<locals>.<setcomp> comprehensions.<locals>.<setcomp>.<lambda> Old.method
Old.method.<locals>.<lambda>"""


@case(CASES, harness.PYTHON_2)
def scopes_of_python_2(bench):
    """Functions with exec and import * have the flags of class bodies; list comprehensions have no
    scope."""
    program = bench.write("scopes.py", UNOPTIMIZED)
    done = bench.run_python("-W", "ignore", program)
    bench.equal("status, output", (0, "", ""), done.seen)
    names = Map(bench.map_path(done.pid)).of_file(program)
    bench.equal("names, in order of their first call", UNOPTIMIZED_NAMES.split(), names)
