"""Computes until the file that its argument names is there, while signals come all the time. Prints whether what it sees
of its interpreter has changed meanwhile, and the events that an audit hook saw.

    asked.py STOP
"""

import json
import os
import signal
import sys

events = []
seen = {"cpython.remote_debugger_script", "open", "compile", "exec", "import"}
ticks, before, after, number = [0], None, None, 0


def tick(*_):
    ticks[0] += 1


def looks():
    return {
        "modules": sorted(sys.modules),
        "names": sorted(vars(sys.modules["__main__"])),
        "flags": sys.getdlopenflags(),
    }


def hook(name, arguments):
    if name in seen:
        events.append([name, str(arguments[0])])


before = looks()
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.addaudithook(hook)
while not os.path.exists(sys.argv[1]):
    number += sum(range(1000))
signal.setitimer(signal.ITIMER_REAL, 0)
after = looks()
sys.stdout.write(json.dumps({"changed": before != after, "events": events, "ticks": ticks[0] > 10}) + "\n")
