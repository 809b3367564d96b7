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


def with_print(text):
    """The program with 3's print, on the same lines."""
    if "print(" not in text or "__future__" in text:
        return text
    return "from __future__ import print_function" + ("" if text[:1] == "\n" else "; ") + text


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
            rest += [word, with_print(next(words))]
        else:
            rest.append(word)
    return rest, environment
