"""What is different in Python 2.7: which cases are left out there and why, and how the others ask."""

# What takes the place of -X, which 2.7 has not got, and of -I.
OPTIONS = {
    "perf": ("PYTHONPERFSUPPORT", "1"),
    "perf_jit": ("PYTHON_PERF_JIT_SUPPORT", "1"),
}

NEW_OPTIONS = ("X", "I", "q")
LEFT_OUT = {}


def has_no(words):
    """Whether there is an option among the words that 2.7 has not got."""
    return any(word[0] == "-" and set(word) & set(NEW_OPTIONS) for word in words.split())


MONOTONIC = """time.clock and (lambda c, both: c.CDLL(None).clock_gettime(1, both) or \\
both[0] + both[1] * 1e-9)(__import__("ctypes"), (__import__("ctypes").c_long * 2)())"""
WORDS = (
    ("time.process_time()", "time.clock()"),
    ("time.monotonic()", "(%s)" % MONOTONIC.replace("\\\n", "")),
    (", flush=True)", ")"),
    ("import _thread\n", "import thread as _thread\n"),
    (", encoding=\"utf-8\")", ")"),
)


def translated(text):
    """The program in 2.7's words, on the same lines. What is printed goes out at once (-u)."""
    for new, old in WORDS:
        text = text.replace(new, old)
    if "print(" not in text or "__future__" in text:
        return text
    future = "from __future__ import print_function"
    lines = text.split("\n")
    # Behind the docstring, which has to be first.
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
        elif word == "-I":
            rest += ["-E", "-s"]
        elif word == "-c":
            rest += [word, translated(next(words))]
        else:
            rest.append(word)
    environment["PYTHONUNBUFFERED"] = "1"
    return rest, environment
