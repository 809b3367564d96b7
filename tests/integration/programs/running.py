"""running.py FOLDER: two threads are in functions that were called long ago, and call others; they go on when there is a
file "second", and end when there is one "end". A child is forked in between."""

import os
import sys
import threading
import time

FOLDER = sys.argv[1]


def has(name):
    return os.access(os.path.join(FOLDER, name), os.F_OK)


def spin():
    total = 0
    for number in range(20000):
        total += number
    return total


def first():
    while not has("second"):
        spin()


def second():
    while not has("end"):
        spin()


def in_child():
    end = time.time() + 0.7
    while time.time() < end:
        spin()


def outer(forks):
    first()
    if forks:
        child = os.fork()
        if child == 0:
            in_child()
            os._exit(0)
        second()
        os.waitpid(child, 0)
    else:
        second()


def main():
    thread = threading.Thread(target=outer, args=(False,))
    thread.start()
    print("ready")
    sys.stdout.flush()
    outer(True)
    thread.join()
    print("right")


main()
