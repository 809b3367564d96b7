"""What is different in Python 2.7: which cases are left out there and why, and how the others ask."""

# What takes the place of -X, which 2.7 has not got, and of -I.
OPTIONS = {
    "perf": ("PYTHONPERFSUPPORT", "1"),
    "perf_jit": ("PYTHON_PERF_JIT_SUPPORT", "1"),
}

LEFT_OUT = {}


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
        else:
            rest.append(word)
    return rest, environment
