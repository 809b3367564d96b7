"""Runs until the file that its argument names is there: eight threads that work, wait or start others, and a main thread
in functions that never return. Says at its end whether its answers were right.

    attached.py STOP [fork|sleep]
"""

import json
import os
import sys
import threading
import time

STOP = sys.argv[1]
PART = (sys.argv + [""])[2]
wrong = []


def total(number):
    found = 0
    for one in range(number):
        found += one
    return found


def check(number):
    if total(number) != number * (number - 1) // 2:
        wrong.append(number)


class Worker:
    def work(self):
        while not os.path.exists(STOP):
            for number in range(200):
                check(number)


def allocate():
    while not os.path.exists(STOP):
        parts = [bytearray(number * 100) for number in range(300)]
        if sum(len(part) for part in parts) != 4485000:
            wrong.append("allocate")


def begin_others():
    while not os.path.exists(STOP):
        other = threading.Thread(target=check, args=(1000,))
        other.start()
        other.join()


def wait():
    while not os.path.exists(STOP):
        time.sleep(0.02)


def fork():
    """A child that works, and then one that waits, before it ends."""
    for _ in range(2 if PART == "fork" else 0):
        while not os.path.exists(STOP + ".fork"):
            time.sleep(0.02)
        pid = os.fork()
        if pid == 0:
            in_child()
        with open(STOP + ".child", "w") as out:
            out.write(str(pid))
        os.waitpid(pid, 0)


def in_child():
    while not os.path.exists(STOP):
        check(1000)
    os._exit(0)


def inner():
    while not os.path.exists(STOP):
        for _ in range(20):
            check(1000)


def outer():
    inner()


threads = [threading.Thread(target=Worker().work) for _ in range(3)]
threads += [threading.Thread(target=one) for one in (allocate, begin_others, wait, wait, fork)]
if PART == "sleep":
    threads = []
for thread in threads:
    thread.start()
sys.stdout.write("ready\n")
sys.stdout.flush()
if PART == "sleep":
    while not os.path.exists(STOP):
        time.sleep(1000)
else:
    outer()
for thread in threads:
    thread.join()
sys.stdout.write(json.dumps({"wrong": wrong}) + "\n")
