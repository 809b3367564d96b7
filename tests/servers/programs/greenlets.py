"""Greenlets in all situations of the C stack: each part prints its result, the same on each run."""
import gc
import sys
import threading
import traceback

import greenlet

HUNDREDS = 400


def descend(depth, bottom):
    """Recursion by Python calls and calls from C in turn."""
    if depth == 0:
        return bottom()
    if depth % 3 == 0:
        return max(map(lambda one: descend(one, bottom), [depth - 1]))
    if depth % 3 == 1:
        return sorted([depth], key=lambda one: descend(one - 1, bottom))[0] + depth
    return descend(depth - 1, bottom) + 1


def to_parent(value=None):
    return greenlet.getcurrent().parent.switch(value)


def switching():
    """Each is left inside its calls and resumed, in changing orders."""

    def work(number):
        total = 0
        for turn in range(4):
            total += descend(number % 41 + turn, lambda: to_parent(number) or 0)
        return "done", number, total

    crowd = [greenlet.greenlet(work) for _ in range(HUNDREDS)]
    waiting, results = list(enumerate(crowd)), []
    for number, one in waiting:
        one.switch(number)
    turn = 0
    while waiting:
        turn += 1
        order = waiting if turn % 2 else waiting[::-1]
        waiting = []
        for number, one in order:
            result = one.switch(turn)
            if one.dead:
                results.append(result)
            else:
                waiting.append((number, one))
        waiting.sort(key=lambda pair: pair[0] * 7919 % 401)
    print(len(results), sum(hash(one[1:]) for one in results) % 1000003, sorted(results)[-3:])


def in_a_ring():
    """Switches from one directly to the next, without the main one."""
    ring, log = [], []
    main = greenlet.getcurrent()

    def work(number):
        for turn in range(20):
            log.append((number, turn))
            following = ring[(number + 1) % len(ring)]
            descend(number % 7, lambda: following.switch((number + 1) % len(ring)) * 0)
        main.switch("end")

    ring += [greenlet.greenlet(work) for _ in range(50)]
    print(ring[0].switch(0), len(log), log[-1])


def throwing():
    """An exception is thrown deep within calls, and is caught half-way, at the top, or nowhere."""

    def half_way():
        try:
            return descend(20, to_parent)
        except ValueError as error:
            return "caught %s, %d frames" % (error, len(traceback.extract_tb(error.__traceback__)))

    def nowhere():
        return descend(30, to_parent)

    for function in (half_way, nowhere):
        one = greenlet.greenlet(function)
        one.switch()
        try:
            print(function.__name__, one.throw(ValueError("thrown")))
        except ValueError as error:
            frames = traceback.extract_tb(error.__traceback__)
            print(function.__name__, repr(error), len(frames), frames[-1].name)
    one = greenlet.greenlet(lambda: descend(9, lambda: len(half_way())))
    one.switch()
    print("inner", one.throw(ValueError("again")), one.dead)
    one = greenlet.greenlet(nowhere)
    try:
        one.throw(KeyError, "not started")
    except KeyError as error:
        print(repr(error), one.dead)


def unfinished():
    """Greenlets that are never resumed run their finally blocks when they are collected."""
    ended = []

    def work(number):
        try:
            descend(number % 31, to_parent)
        except greenlet.GreenletExit:
            ended.append(("exit", number))
            raise
        finally:
            ended.append(("finally", descend(number % 5, lambda: number)))

    crowd = [greenlet.greenlet(work) for _ in range(HUNDREDS)]
    for number, one in enumerate(crowd):
        one.switch(number)
    one = None
    del crowd[::2]
    gc.collect()
    print(len(ended), ended[:3])
    del crowd
    gc.collect()
    print(len(ended), ended[-3:])


def in_threads():
    """Each thread has its own greenlets; some are not finished when their thread ends."""
    results = {}

    def work(number):
        return descend(number % 23, lambda: to_parent(number) or number)

    def thread(which):
        crowd = [greenlet.greenlet(work) for _ in range(60)]
        for turn in range(2):
            for number, one in enumerate(crowd):
                if turn == 0 or number % 3:
                    results[which, number] = one.switch(number)
        assert sum(one.dead for one in crowd) == 40

    for _ in range(3):
        threads = [threading.Thread(target=thread, args=(which,)) for which in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        print(len(results), sum(results.values()))
    descend(5, greenlet.greenlet(lambda: descend(50, lambda: 1)).switch)


def generators():
    """Walks a tree with greenlets in place of generators."""

    def walk(depth):
        if depth:
            walk(depth - 1)
            to_parent(depth)
            walk(depth - 1)

    one = greenlet.greenlet(walk)
    total, value = 0, one.switch(12)
    while not one.dead:
        total += value
        value = one.switch()
    print(total)


def chain(depth, bottom):
    return chain(depth - 1, bottom) + 1 if depth else bottom()


def deep():
    """Deeper than the part of the stack in which calls are profiled: several at once, each on its
    own path, and one that was started at another's bottom."""
    crowd = [greenlet.greenlet(lambda: chain(9000, lambda: to_parent() or 0)) for _ in range(3)]
    for one in crowd:
        one.switch()
    print([one.switch() for one in crowd[::-1]], [one.dead for one in crowd])

    def inner():
        return chain(5000, lambda: to_parent(7) or 0)

    def outer():
        return chain(5000, lambda: sum(greenlet.greenlet(inner).switch() for _ in range(2)))

    print(greenlet.greenlet(outer).switch())
    one = greenlet.greenlet(lambda: chain(9000, to_parent))
    one.switch()
    try:
        one.throw(ValueError("from the bottom"))
    except ValueError as error:
        print(error, len(traceback.extract_tb(error.__traceback__)) > 9000)
    one = greenlet.greenlet(lambda: chain(10 ** 6, int))
    try:
        one.switch()
    except RecursionError as error:
        print(error)


def turn_on_each_level():
    """At each level of a deep one, another one is called from C."""

    def down(depth):
        to_parent()
        return down(depth - 1) + 1 if depth else 0

    one = greenlet.greenlet(down)
    one.switch(900)
    turns = 0
    while not one.dead:
        turns += sum(map(lambda number: number, [1]))
        result = one.switch()
    print(result, turns)


def in_small_threads(part):
    threading.stack_size(128 << 10)
    thread = threading.Thread(target=part)
    thread.start()
    thread.join()
    threading.stack_size(0)


PARTS = [switching, in_a_ring, throwing, unfinished, in_threads, generators, turn_on_each_level]

for one in PARTS:
    print(one.__name__)
    one()
in_small_threads(turn_on_each_level)
sys.setrecursionlimit(20000)
deep()
# 3.12 and 3.13 limit C calls by their number, whatever the stack's size, and overflow a small one.
if not (3, 12) <= sys.version_info < (3, 14):
    in_small_threads(deep)
