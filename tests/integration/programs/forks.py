"""Forks twice, in the way that the first argument names, and uses CPU time in each of the three
processes in functions of different names. Prints their pids and the chains of their hot functions
as JSON."""
import ctypes
import json
import os
import sys
import time

HOW, SECONDS = sys.argv[1], float(sys.argv[2])
FORKS = {"os": os.fork, "c": ctypes.PyDLL(None).fork}


def burn(number):
    total = 0
    for i in range(number):
        total += i * i
    return total


def parent_hot():
    return burn(3000)


def child_hot():
    return burn(3001)


def grandchild_hot():
    return burn(3002)


def only_before():
    return burn(1)


def suspended():
    while True:
        yield burn(1)


def in_parent():
    repeat(parent_hot)


def in_child():
    repeat(child_hot)


def in_grandchild():
    repeat(grandchild_hot)


def repeat(function):
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        function()


def child(family):
    pid = FORKS[HOW]()
    if pid == 0:
        next(generator)
        in_grandchild()
        family["grandchild"] = os.getpid()
        print(json.dumps(family))
        sys.stdout.flush()
        os._exit(0)
    in_child()
    next(generator)
    os.waitpid(pid, 0)
    os._exit(0)


def main():
    only_before()
    next(generator)
    family = {"parent": os.getpid()}
    pid = FORKS[HOW]()
    if pid == 0:
        family["child"] = os.getpid()
        child(family)
    in_parent()
    next(generator)
    os.waitpid(pid, 0)


generator = suspended()
main()
