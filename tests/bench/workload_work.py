"""Does a fixed amount of work, SECONDS of CPU time or so: workload_work.py NAME PASSES [RESULT]. RESULT gets the
CPU time, the elapsed time and the process's number; nothing is printed, for other tools print there."""

import importlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs"))


def main():
    program = importlib.import_module(sys.argv[1])
    began, used = time.time(), sum(os.times()[:2])
    for _ in range(int(sys.argv[2])):
        program.run()
    with open(sys.argv[3], "w") as out:
        json.dump([sum(os.times()[:2]) - used, time.time() - began, os.getpid()], out)


main()
