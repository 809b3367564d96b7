"""sys.activate_stack_trampoline() and the two other functions: they exist everywhere and from the
first line, with CPython's signatures and messages."""

import functools
import glob
import json
import os

import harness
import interpreters
from harness import case
from outcome import PROGRAM, STATE, look_at_outcome, states, switch_environment

CASES = []
ACTIVATE, DEACTIVATE, IS_ACTIVE = (
    "activate_stack_trampoline",
    "deactivate_stack_trampoline",
    "is_stack_trampoline_active",
)
NAMES = (ACTIVATE, DEACTIVATE, IS_ACTIVE)
NO_TEXT = ACTIVATE + "() argument must be str, not "

# For a machine without 3.12: from its documentation.
DOCUMENTED = {
    ACTIVATE: ("($module, backend, /)", "Activate stack profiler trampoline *backend*."),
    DEACTIVATE: (
        "($module, /)",
        "Deactivate the current stack profiler trampoline backend.\n\n"
        "If no stack profiler is activated, this function has no effect.",
    ),
    IS_ACTIVE: ("($module, /)", "Return *True* if a stack profiler trampoline is active."),
}

# An expression and its result: a type and a text, or the call of a similar function of sys, whose
# message must be the same but for the name.
CALLS = (
    ("sys.activate_stack_trampoline('perf')", ["value", "None"]),
    ("sys.activate_stack_trampoline('perf')", ["value", "None"]),
    ("sys.is_stack_trampoline_active()", ["value", "True"]),
    ("sys.activate_stack_trampoline('nope')", ["ValueError", "invalid backend: nope"]),
    ("sys.is_stack_trampoline_active()", ["value", "True"]),
    ("sys.activate_stack_trampoline('perf_jit')", ["value", "None"]),
    ("sys.is_stack_trampoline_active()", ["value", "True"]),
    ("sys.activate_stack_trampoline(Text('perf'))", ["value", "None"]),
    ("sys.deactivate_stack_trampoline()", ["value", "None"]),
    ("sys.is_stack_trampoline_active()", ["value", "False"]),
    ("sys.deactivate_stack_trampoline()", ["value", "None"]),
    ("sys.is_stack_trampoline_active()", ["value", "False"]),
    ("sys.activate_stack_trampoline('')", ["ValueError", "invalid backend: "]),
    ("sys.activate_stack_trampoline('Perf')", ["ValueError", "invalid backend: Perf"]),
    ("sys.activate_stack_trampoline('perf ')", ["ValueError", "invalid backend: perf "]),
    ("sys.activate_stack_trampoline('perf_jit2')", ["ValueError", "invalid backend: perf_jit2"]),
    ("sys.activate_stack_trampoline('%s%n')", ["ValueError", "invalid backend: %s%n"]),
    ("sys.activate_stack_trampoline('\\u00e9')", ["ValueError", "invalid backend: \u00e9"]),
    ("sys.activate_stack_trampoline('x' * 3000)", ["ValueError", "invalid backend: " + "x" * 3000]),
    ("sys.activate_stack_trampoline('perf\\0x')", ["ValueError", "embedded null character"]),
    (
        "sys.activate_stack_trampoline('\\udc80')",
        [
            "UnicodeEncodeError",
            "'utf-8' codec can't encode character '\\udc80' in position 0: surrogates not allowed",
        ],
    ),
    ("sys.activate_stack_trampoline(None)", ["TypeError", NO_TEXT + "None"]),
    ("sys.activate_stack_trampoline(1)", ["TypeError", NO_TEXT + "int"]),
    ("sys.activate_stack_trampoline(b'perf')", ["TypeError", NO_TEXT + "bytes"]),
    ("sys.activate_stack_trampoline(['perf'])", ["TypeError", NO_TEXT + "list"]),
    (
        "sys.activate_stack_trampoline(type('T' * 60, (), {})())",
        ["TypeError", NO_TEXT + "T" * 50],
    ),
    ("sys.activate_stack_trampoline()", "sys.intern()"),
    ("sys.activate_stack_trampoline('perf', 'perf')", "sys.intern('perf', 'perf')"),
    ("sys.activate_stack_trampoline(backend='perf')", "sys.intern(string='perf')"),
    ("sys.activate_stack_trampoline('perf', x=1)", "sys.intern('perf', x=1)"),
    ("sys.deactivate_stack_trampoline(1)", "sys.getallocatedblocks(1)"),
    ("sys.deactivate_stack_trampoline(x=1)", "sys.getallocatedblocks(x=1)"),
    ("sys.is_stack_trampoline_active(None)", "sys.getallocatedblocks(None)"),
    ("sys.is_stack_trampoline_active(x=1)", "sys.getallocatedblocks(x=1)"),
    ("sys.is_stack_trampoline_active()", ["value", "False"]),
)


def ask(bench, python, preload=True, options=()):
    """The output of programs/sys_functions.py, and the expected one for each row of CALLS."""
    rows = [call for call, _ in CALLS] + [like for _, like in CALLS if isinstance(like, str)]
    environment = switch_environment(bench, preload=preload)
    command = [python] + list(options) + [bench.program("sys_functions.py"), json.dumps(rows)]
    done = bench.run(command, environment)
    if (done.status, done.err) != (0, ""):
        raise RuntimeError(done.err)
    answer = json.loads(done.out)
    likely = iter(answer["calls"][len(CALLS) :])
    wanted = [like if isinstance(like, list) else next(likely) for _, like in CALLS]
    return answer, wanted


def renamed(expected, call, like):
    """The other function's message with our function's name."""
    if not isinstance(like, str):
        return expected
    own, other = (text.split("(")[0][len("sys.") :] for text in (call, like))
    return [expected[0], expected[1].replace(other + "()", own + "()")]


def look_at_calls(bench, python, preload):
    answer, wanted = ask(bench, python, preload)
    for (call, like), expected, got in zip(CALLS, wanted, answer["calls"]):
        if not preload and "perf_jit'" in call:
            continue  # up to 3.13.0 only by the switches
        bench.equal(call, renamed(expected, call, like), got)


@case(CASES)
def sys_calls(bench):
    look_at_calls(bench, bench.python, preload=True)


@case(CASES, harness.NATIVE)
def sys_calls_native(bench):
    """Checks the table against CPython."""
    try:
        look_at_calls(bench, bench.python, preload=False)
    except RuntimeError as why:
        raise harness.Skip("its own functions do not stand being called that often: %r" % str(why))


@functools.lru_cache(None)
def native():
    """An interpreter that has these functions itself."""
    for one in interpreters.find()[0]:
        if one.series >= (3, 12):
            return one.path
    return None


@case(CASES)
def sys_looks(bench):
    answer, _ = ask(bench, bench.python)
    for name in NAMES:
        looks = answer["looks"][name]
        signature, text = DOCUMENTED[name]
        bench.equal("%s.__text_signature__" % name, signature, looks["__text_signature__"])
        bench.equal("%s.__doc__" % name, text, looks["__doc__"])
        bench.equal("%s.__module__" % name, "sys", looks["__module__"])
    if native() is None:
        bench.skip("native", "no 3.12 or later here to compare with")
        return
    model, _ = ask(bench, native(), preload=False)
    for name in NAMES:
        for attribute, expected in model["looks"][name].items():
            what = "%s, %s as in 3.12 or later" % (name, attribute)
            bench.equal(what, expected, answer["looks"][name][attribute])


@case(CASES)
def sys_scope(bench):
    """sys has exactly three more names, unless it has them already."""
    code = "import sys, json; print(json.dumps([dir(sys), sorted(sys.modules)]))"
    plain = bench.plain("-c", code)
    done = bench.run_python("-c", code, environment=switch_environment(bench))
    (names, modules), (before, modules_before) = json.loads(done.out), json.loads(plain.out)
    bench.equal("names of sys more", [] if bench.interpreter.native else sorted(NAMES), sorted(set(names) - set(before)))
    bench.equal("names of sys less", [], sorted(set(before) - set(names)))
    bench.equal("sys.modules", modules_before, modules)


# Each is run with options, off and on; the name says where the functions are used.
USE = """
import sys
before = sys.is_stack_trampoline_active()
sys.activate_stack_trampoline("perf")
assert sys.is_stack_trampoline_active() is True
sys.deactivate_stack_trampoline()
assert sys.is_stack_trampoline_active() is False
import os
with open(os.environ[%r], "a") as file: file.write("%%d %%s\\n" %% (os.getpid(), before))
""" % STATE
# At the first line os cannot be imported yet.
USE_FIRST = USE.replace("import os\n", "import posix as os\n").replace(
    "os.environ[%r]" % STATE, "os.environ[%r]" % STATE.encode()
)


def user_folder(bench):
    folder = "base/lib/python%d.%d/site-packages" % bench.version
    os.makedirs(os.path.join(bench.folder, folder), exist_ok=True)
    return folder


def before_the_program(bench):
    """A name, the file that is run, and the environment and options for it."""
    os.makedirs(os.path.join(bench.folder, "early"))
    user = user_folder(bench)
    early = {"PYTHONPATH": os.path.join(bench.folder, "early")}
    own_base = {"PYTHONUSERBASE": os.path.join(bench.folder, "base")}
    unfrozen = ["-X", "frozen_modules=off"] if bench.version >= (3, 11) else []
    line = "import sys; exec(%r)\n" % USE
    return (
        ("sitecustomize.py", "early/sitecustomize.py", USE, early, []),
        ("usercustomize.py", user + "/usercustomize.py", USE, own_base, []),
        ("a .pth line", user + "/early.pth", line, own_base, []),
        ("site.py itself", "early/site.py", USE_FIRST, early, unfrozen),
    )


@case(CASES)
def sys_before_site(bench):
    for what, path, text, variables, options in before_the_program(bench):
        file = bench.write(path, text)
        for switches, expected in ((["-X", "perf"], "True"), ([], "False")):
            environment = switch_environment(bench, **variables)
            done = bench.run([bench.python] + options + switches + ["-c", "pass"], environment)
            got = (states(environment[STATE]).get(done.pid),) + done.seen
            bench.equal(" ".join([what] + switches), (expected, 0, "", ""), got)
        os.unlink(file)


@case(CASES)
def sys_at_first_line(bench):
    """The functions of site are in the map: profiling starts before."""
    environment = switch_environment(bench)
    done = bench.run_python("-X", "perf", "-c", "pass", environment=environment)
    bench.equal("status, output", (0, "", ""), done.seen)
    with open(bench.map_path(done.pid), encoding="utf-8") as file:
        lines = [line for line in file if "site.py" in line or "<frozen site>" in line]
    bench.equal("site's main() in the map", True, any(" py::main:" in line for line in lines))
    environment = switch_environment(bench, **{STATE: environment[STATE]})
    done = bench.run_python("-S", "-X", "perf", "-c", PROGRAM, environment=environment)
    look_at_outcome(bench, "-S", "map", done, environment)


AGAIN = """
import sys
if sys.version_info > (3,): from importlib import reload
names = %r
wanted = ["exc_info", "getrefcount"] + list(names)
def there(module): return [hasattr(module, name) for name in wanted]
reload(sys)
print(there(sys))
del sys.modules["sys"]
import sys as other
print(there(other))
""" % (NAMES,)


@case(CASES)
def sys_reloaded(bench):
    """A reloaded sys has these functions, as its other ones."""
    done = bench.run_python("-c", AGAIN, environment=switch_environment(bench))
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    for what, line in zip(("reload", "imported again"), done.out.splitlines()):
        bench.equal(what, str([True] * 5), line)


SUB_INTERPRETER = """
import os, sys, time
def run(code):
    if sys.argv[1] == "_testcapi":
        import _testcapi
        return _testcapi.run_in_subinterp(code)
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        import _interpreters as interpreters
    one = interpreters.create()
    try:
        interpreters.run_string(one, code)
    except Exception as error:
        sys.stderr.write("%s\\n" % error)
        return 1
    finally:
        interpreters.destroy(one)
    return 0
CODE = '''
import sys
def inside_NUMBER(): return 1
def use():
    assert sys.is_stack_trampoline_active() is EXPECTED, "before"
    sys.activate_stack_trampoline("perf")
    assert sys.is_stack_trampoline_active() is True, "on"
    inside_NUMBER()
    sys.deactivate_stack_trampoline()
    assert sys.is_stack_trampoline_active() is False, "off"
    assert sys.activate_stack_trampoline.__module__ == "sys"
    if EXPECTED: sys.activate_stack_trampoline("perf")
use()
'''
def outside(): return 1
assert run("pass") == 0
for number in range(6):
    expected = sys.is_stack_trampoline_active()
    code = CODE.replace("NUMBER", str(number)).replace("EXPECTED", str(expected))
    assert run(code) == 0, "%d: expected %s" % (number, expected)
    assert sys.is_stack_trampoline_active() is expected
    sys.deactivate_stack_trampoline() if expected else sys.activate_stack_trampoline("perf")
sys.activate_stack_trampoline("perf")
outside()
print("end")
"""


@case(CASES)
def sys_in_sub_interpreters(bench):
    """Sub-interpreters made while off and while on, in turn: the three functions exist and work."""
    program = bench.write("sub.py", SUB_INTERPRETER)
    for module in ("_testcapi", "_xxsubinterpreters"):
        if bench.plain("-c", "import %s" % module).status != 0:
            bench.skip(module, "this interpreter has no such module")
            continue
        for switches in ([], ["-X", "perf"]):
            environment = switch_environment(bench)
            done = bench.run([bench.python] + switches + [program, module], environment)
            what = " ".join(["by", module] + switches)
            bench.equal("%s: status, output" % what, (0, "end\n", ""), done.seen)
            names = []
            for path in glob.glob(bench.map_path(done.pid)):
                with open(path, encoding="utf-8") as file:
                    names = [line.split("::")[1].split(":")[0] for line in file if "py::" in line]
            wanted = ["inside_%d" % number for number in range(6)] + ["outside"]
            bench.equal("%s: missing in the map" % what, [], sorted(set(wanted) - set(names)))
