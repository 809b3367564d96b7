"""heavy() and light() use CPU time three to one, below as many calls of dive() as the first
argument says, for as many seconds as the second one says; half of it in a thread."""
import sys
import threading
import time

TURNS = 5
DEPTH, SECONDS = int(sys.argv[1]), float(sys.argv[2])


def heavy(until):
    while time.process_time() < until:
        sum(range(2000))


def light(until):
    while time.process_time() < until:
        sum(range(2000))


def dive(depth):
    if depth > 1:
        dive(depth - 1)
        return
    unit = SECONDS / 2 / TURNS / 4
    for _ in range(TURNS):
        heavy(time.process_time() + 3 * unit)
        light(time.process_time() + unit)


dive(DEPTH)
thread = threading.Thread(target=dive, args=(DEPTH,))
thread.start()
thread.join()
