"""What the benchmark's workloads share. They run on every Python from 3.6 on."""

import json
import sys


def start():
    """The arguments; sets the floor's evaluator when it is asked for."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("--floor=")]
    for word in sys.argv[1:]:
        if word.startswith("--floor="):
            sys.path.insert(0, word[len("--floor=") :])
            __import__("floor")
    return arguments


def serve(measure):
    """Measures once for each line of stdin, the line being what to measure, and answers with a
    number. Several interpreters are asked in turn, a few milliseconds each: what disturbs one
    disturbs all."""
    finish()
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        print("%r" % measure(line.strip()))
        sys.stdout.flush()


def finish(**result):
    """The result as JSON, and whether this process was profiled: a row that compares off with off
    would look very good."""
    active = getattr(sys, "is_stack_trampoline_active", None)
    result["active"] = None if active is None else active()
    print(json.dumps(result))
