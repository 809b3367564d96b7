"""Memory of suspended greenlets, and the time of a switch, plain and profiled.

usage: greenlets.py LIBRARY [PYTHON]        PYTHON has the module greenlet; default /usr/bin/python3.11
"""

import json
import os
import subprocess
import sys

COUNT, DEPTHS = 10000, (10, 30, 100)
PROGRAM = """
import json, sys, time
import greenlet
count, depth = int(sys.argv[1]), int(sys.argv[2])
main = greenlet.getcurrent()
def work(left):
    if left > 1:
        return work(left - 1)
    while True:
        main.switch()
crowd = [greenlet.greenlet(work) for _ in range(count)]
for one in crowd:
    one.switch(depth)
resident = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")][0]
times = []
for _ in range(5):
    start = time.process_time()
    for _ in range(20000):
        crowd[0].switch()
    times.append((time.process_time() - start) / 20000)
print(json.dumps([int(resident) / 1024, min(times) * 1e6]))
"""


def measure(python, depth, variables):
    words = [python, "-c", PROGRAM, str(COUNT), str(depth)]
    out = subprocess.run(words, stdout=subprocess.PIPE, check=True, env=dict(os.environ, **variables))
    return json.loads(out.stdout)


def main():
    library = os.path.realpath(sys.argv[1])
    python = sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/python3.11"
    profiled = {"LD_PRELOAD": library, "PYTHONPERFSUPPORT": "1"}
    print("%d suspended greenlets, %s" % (COUNT, python))
    for depth in DEPTHS:
        plain, ours = measure(python, depth, {}), measure(python, depth, profiled)
        rows = (depth, plain[0], ours[0], plain[1], ours[1])
        print("depth %3d: %.0f -> %.0f MiB; a switch there and back %.2f -> %.2f us" % rows)


main()
