"""Another frame evaluator comes and goes while profiling is switched. After each step, new
functions are called from Python and from C. Prints, as JSON, their names, the calls that the other
evaluator has counted, and whether the results are right.

Arguments: the evaluator that the counting one calls, the one that is set after it ("default" or
"previous"), and sequences of steps: + and - switch profiling, s and u set and unset."""
import json
import sys

import counting

NEXT, AFTER, SEQUENCES = sys.argv[1], sys.argv[2], sys.argv[3:]
STEPS = {
    "+": lambda: sys.activate_stack_trampoline("perf"),
    "j": lambda: sys.activate_stack_trampoline("perf_jit"),
    "-": lambda: sys.deactivate_stack_trampoline(),
    "s": lambda: counting.set(NEXT),
    "u": lambda: counting.unset(AFTER),
}


def numbers():
    yield 1
    yield 2


def fails(n):
    if n == 0:
        raise KeyError(n)
    return fails(n - 1)


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def is_right():
    try:
        fails(5)
    except KeyError:
        in_c = sorted([2, 1], key=lambda n: n) == [1, 2]
        return in_c and fibonacci(8) == 21 and sum(numbers()) == 3


def look(name):
    text = "def direct_%s(n): return n + 1\ndef by_c_%s(n): return n + 2"
    space = {}
    exec(compile(text % (name, name), "new.py", "exec"), space)
    direct, by_c = space["direct_" + name], space["by_c_" + name]
    counts = [counting.count()]
    right = direct(1) == 2
    counts.append(counting.count())
    right = right and list(map(by_c, [1, 2])) == [3, 4]
    counts.append(counting.count())
    return [counts[1] - counts[0], counts[2] - counts[1], right and is_right() is True]


def main():
    answer = []
    for number, sequence in enumerate(SEQUENCES):
        rows = []
        for place, step in enumerate(sequence):
            STEPS[step]()
            name = "%d_%d" % (number, place)
            rows.append([name, sys.is_stack_trampoline_active(), counting.is_set()] + look(name))
        answer.append(rows)
        counting.unset("default")
        sys.deactivate_stack_trampoline()
    print(json.dumps(answer))


main()
