"""Shared by the benchmark's workloads, which run on every Python from 3.6 on."""

import json
import sys


def start():
    """The arguments; sets the floor's evaluator if requested."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("--floor=")]
    for word in sys.argv[1:]:
        if word.startswith("--floor="):
            sys.path.insert(0, word[len("--floor=") :])
            __import__("floor")
    return arguments


def serve(measure):
    """Measures once for each line of stdin, which names what to measure, and answers with a number.
    Several interpreters are asked in turn, a few milliseconds each, so that a disturbance affects
    all."""
    finish()
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        print("%r" % measure(line.strip()))
        sys.stdout.flush()


def finish(**result):
    """Prints the result as JSON, and whether this process was profiled, so that off is not compared
    with off."""
    active = getattr(sys, "is_stack_trampoline_active", None)
    result["active"] = None if active is None else active()
    print(json.dumps(result))
