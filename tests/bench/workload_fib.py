"""fib alone, for counting instructions. usage: workload_fib.py N [--floor=FOLDER]"""

import sys


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


if len(sys.argv) > 2:
    sys.path.insert(0, sys.argv[2][len("--floor=") :])
    import floor  # noqa: F401  (its import sets the evaluator)
fib(int(sys.argv[1]))
