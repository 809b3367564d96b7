"""Differences of Python 2.7: which cases are left out and why, and how the others are
translated."""

# Replacements of -X, which 2.7 does not have, and of -I.
OPTIONS = {
    "perf": ("PYTHONPERFSUPPORT", "1"),
    "perf_jit": ("PYTHON_PERF_JIT_SUPPORT", "1"),
}

NEW_OPTIONS = ("X", "I", "q")

SHAPES = "generators that delegate, coroutines and the like are Python 3's"
EVALUATORS = "no frame evaluator can be set before PEP 523"
SIGNAL = "PYPERF_TOGGLE_SIGNAL is refused: case toggle-signal-of-python-2"
SCRIPTS = "the parts of pyperf-run want a python3, which it finds beside this interpreter"
SYS = "written for Python 3: case sys-of-python-2"
LEFT_OUT = {
    "same-behaviour": SHAPES,
    "signals-alike": SHAPES,
    "toggle-late": SHAPES,
    "toggle-anywhere": SHAPES,
    "multiprocessing-fork": "multiprocessing has no start methods",
    "children-started": "multiprocessing has no start methods",
    "children-forked": "multiprocessing has no start methods",
    "children-of-children": "there is no -X here",
    "children-of-sys-function": "subprocess.run is Python 3's",
    "recursion": "as deep as the C stack goes, with and without",
    "evaluator-orders": EVALUATORS,
    "evaluator-threads": EVALUATORS,
    "evaluator-at-exit": EVALUATORS,
    "evaluator-that-compiles": EVALUATORS,
    "co-extra-of-others": "code objects have no co_extra",
    "lives-with-another-tool": "code objects have no co_extra",
    "sys-calls": SYS,
    "sys-looks": SYS,
    "sys-in-sub-interpreters": "nothing in Python makes them: case lives-of-sub-interpreters",
    "switch-ways-to-run": "it is about -X",
    "conformance": "CPython's own tests of its perf support are Python 3",
    "pyperf-run": SCRIPTS,
    "table-shares": SCRIPTS,
    "table-of-short-stacks": SCRIPTS,
    "table-of-deep-stacks": SCRIPTS,
    "doctor": SCRIPTS,
    "doctor-without-ctypes": SCRIPTS,
    "doctor-interrupted": SCRIPTS,
    "doctor-unread": SCRIPTS,
    "doctor-of-a-user": SCRIPTS,
    "doctor-of-broken-stacks": SCRIPTS,
    "doctor-under-mdwe": SCRIPTS,
    "doctor-without-unwind-data": SCRIPTS,
}
LEFT_OUT_ALIKE = (("toggle-signal-", SIGNAL),)


def left_out(name):
    """Why a case is not for 2.7; None if it is."""
    for beginning, why in LEFT_OUT_ALIKE:
        if name.startswith(beginning) and not name.endswith("-of-python-2"):
            return why
    return LEFT_OUT.get(name)


def has_no(words):
    """Whether one of the options does not exist in 2.7."""
    return any(word[0] == "-" and set(word) & set(NEW_OPTIONS) for word in words.split())


MONOTONIC = """time.clock and (lambda c, both: c.CDLL(None).clock_gettime(1, both) or \\
both[0] + both[1] * 1e-9)(__import__("ctypes"), (__import__("ctypes").c_long * 2)())"""
WORDS = (
    ("time.process_time()", "time.clock()"),
    ("time.monotonic()", "(%s)" % MONOTONIC.replace("\\\n", "")),
    (", flush=True)", ")"),
    ("import _thread\n", "import thread as _thread\n"),
    (", encoding=\"utf-8\")", ")"),
    (" from error\n", "\n"),
    ("RecursionError", "RuntimeError"),
    ("FileNotFoundError", "OSError"),
    ("from importlib import reload", "reload"),
    ("for _ in range(", "for _ in xrange("),
    ("sys.setswitchinterval(1e-4)", "sys.setcheckinterval(1)"),
    ("error.__traceback__", "sys.exc_info()[2]"),
    # Generators do not delegate, nor return anything.
    ("    result = yield from stubborn()\n    return result\n", "    yield stubborn()\n\n"),
    ("for make in (stubborn, delegating):", "for make in (stubborn,):"),
    ("result = yield from inner()", "result = yield inner()"),
    ("got = yield 1\n        return got\n", "got = yield 1\n\n"),
    ("WORK += [work_closure, work_delegating]", "WORK += [work_closure]"),
)


def translated(text):
    """The program translated to 2.7, on the same lines. Output is not buffered (-u)."""
    for new, old in WORDS:
        text = text.replace(new, old)
    if "print(" not in text or "__future__" in text:
        return text
    future = "from __future__ import print_function"
    lines = text.split("\n")
    # After the docstring, which has to be first.
    if text.startswith('"""'):
        end = next(n for n, line in enumerate(lines) if line.endswith('"""') and len(line) > 3 * (n == 0) + 2)
        lines[end] += "; " + future
        return "\n".join(lines)
    return future + ("" if text[:1] == "\n" else "; ") + text


def asked_for(command, environment):
    """The command without "-X", "perf" and the like, which go into the environment."""
    rest, environment = [], dict(environment)
    words = iter(command)
    for word in words:
        if word == "-X":
            option = next(words)
            if option in OPTIONS:
                name, value = OPTIONS[option]
                environment[name] = value
        elif word in ("-I", "-IS"):
            rest += ["-E", "-s"] + ["-S"] * (word == "-IS")
        elif word == "-c":
            rest += [word, translated(next(words))]
        else:
            rest.append(word)
    environment["PYTHONUNBUFFERED"] = "1"
    return rest, environment
