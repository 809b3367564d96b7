"""Random steps for program.py, from a seed alone."""

import random

WORK = {
    "compute": lambda r: [r.randrange(40)],
    "recurse": lambda r: [r.choice((10, 200, 900, 4000, 15000))],
    "overflow": lambda r: [r.choice((60, 150, 400))],
    "made": lambda r: [r.choice((3, 60, 400)), r.randrange(8)],
    "dropped": lambda r: [r.randrange(30)],
    "generators": lambda r: [r.randrange(30)],
    "coroutines": lambda r: [r.randrange(30)],
    "sorted_by_c": lambda r: [r.randrange(2, 60)],
    "raised_through_c": lambda r: [r.randrange(20)],
    "traced": lambda r: [r.randrange(6)],
    "libraries": lambda r: [r.randrange(1, 4)],
    "interpreter": lambda r: [r.randrange(8)],
    "at_exit": lambda r: [r.randrange(10)],
}
BACKGROUND = {
    "daemon": lambda r: [r.randrange(1, 4)],
    "toggler": lambda r: [r.randrange(1, 9)],
}
LIMITS = (
    *(("STACK", kibibytes << 10) for kibibytes in (1024, 2048, 6144, 16384)),
    *(("NOFILE", spare) for spare in (2, 8, 64)),
    *(("AS", mebibytes << 20) for mebibytes in (160, 512)),
    *(("FSIZE", size) for size in (0, 4096, 1 << 20)),
)
FORKS = ("fork", "libc", "_Fork", "syscall", "clone")
PLACES = {
    "threads": lambda r: [r.randrange(1, 5), r.choice((0, 512, 1024, 4096))],
    "forked": lambda r: [r.choice(FORKS), r.choice(("exit", "exit", "killed"))],
    "pool": lambda r: [r.randrange(1, 4)],
    "executed": lambda r: [r.choice(("plain", "open", "closed", "preexec"))],
    "fiber": lambda r: [r.choice((256, 1024, 4096)), r.randrange(2)],
    "signals": lambda r: [r.randrange(1, 9)],
    "toggled": lambda r: ["".join(r.choice("01") for _ in range(r.randrange(1, 6)))],
    "limited": lambda r: list(r.choice(LIMITS)),
    "closed": lambda r: [],
    "removed": lambda r: [],
    "sealed": lambda r: [],
}
DEEPEST = 3
# Children of raw system calls have no working threads in some versions of CPython; threads in a fiber run
# on stacks of their own. What Python itself cannot do is seen without us, and the program dropped.


def make(seed):
    r = random.Random(seed)
    return some(r, 0, r.randrange(3, 8))


def some(r, depth, count):
    return [one(r, depth) for _ in range(count)]


def one(r, depth):
    kind = r.random()
    if depth == DEEPEST or kind < 0.45:
        name = r.choice(sorted(WORK))
        return [name] + WORK[name](r)
    if kind < 0.52:
        name = r.choice(sorted(BACKGROUND))
        return [name] + BACKGROUND[name](r)
    name = r.choice(sorted(PLACES))
    return [name] + PLACES[name](r) + [some(r, depth + 1, r.randrange(1, 4))]


def without(steps):
    """The same with one step left out or replaced by what it runs: each way, the largest first."""
    for i, step in enumerate(steps):
        yield steps[:i] + steps[i + 1 :]
        if isinstance(step[-1], list):
            yield steps[:i] + step[-1] + steps[i + 1 :]
            for fewer in without(step[-1]):
                yield steps[:i] + [step[:-1] + [fewer]] + steps[i + 1 :]
