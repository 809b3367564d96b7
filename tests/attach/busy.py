"""A process of eight threads that allocate, import, load and unload objects, fork, compress, sleep and
recurse, and check what comes out. Runs on every CPython from 2.7 on.

usage: busy.py HELPER.so FOLDER SIGNAL

Prints "ready", works until its standard input ends, and prints a line: how many rounds each thread
has made, how many answers were wrong, and how many signals have come.
"""

from __future__ import print_function

import _ctypes
import binascii
import ctypes
import os
import shutil
import sys
import threading
import time
import zlib

helper = ctypes.CDLL(sys.argv[1])
folder, signal = sys.argv[2], int(sys.argv[3])
rounds, wrong, stop = {}, [], []


def check(what, got, expected):
    if got != expected:
        wrong.append("%s: %r instead of %r" % (what, got, expected))


def allocate(step):
    lists = [[i] * (step % 7 + 1) for i in range(300)]
    check("allocate", sum(map(len, lists)), 300 * (step % 7 + 1))
    check("text", len("".join(str(i) for i in range(500))), 1390)


def load_modules(step):
    for name in ("colorsys", "fractions", "textwrap", "json.decoder", "csv"):
        sys.modules.pop(name, None)
        __import__(name)
        check("import", sys.modules[name].__name__, name)


def load_objects(step):
    path = os.path.join(folder, "helper-%d-%d.so" % (os.getpid(), step % 3))
    if not os.path.exists(path):
        shutil.copy(sys.argv[1], path)
    handle = _ctypes.dlopen(path, 2)
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(_ctypes.dlsym(handle, "helper_answer"))
    check("dlopen", function(step), (3, 3, 5, 4, 4, 3, 5, 5)[step & 7] * step)
    _ctypes.dlclose(handle)


def work_in_child(step):
    try:
        total = sum(deep(6) for _ in range(50)) + len(bytearray(1 << 16))
        os._exit(7 if total == 50 * 13 + 65536 else 8)
    except BaseException:
        os._exit(9)


def fork(step):
    child = os.fork()
    if child == 0:
        work_in_child(step)
    while True:
        try:
            status = os.waitpid(child, 0)[1]
            break
        except OSError:  # EINTR, before 3.5
            pass
    check("fork", status, 7 << 8)
    time.sleep(0.01)


def compress(step):
    data = binascii.hexlify(b"some bytes" * 2000)
    check("zlib", zlib.decompress(zlib.compress(data)), data)


def rest(step):
    lock = threading.Lock()
    lock.acquire()
    timer = threading.Timer(0.002, lock.release)
    timer.start()
    lock.acquire()
    timer.join()
    time.sleep(0.001)


def deep(n):
    return 1 if n < 2 else deep(n - 1) + deep(n - 2)


def recurse(step):
    check("recurse", deep(15), 987)
    try:
        raise ValueError(step)
    except ValueError as error:
        check("exception", error.args, (step,))


def generate(step):
    check("generate", sum(x * y for x in range(20) for y in range(x)), 16815)


def run(work):
    if work in (allocate, recurse):
        helper.helper_take(signal)
    step = 0
    while not stop:
        try:
            work(step)
        except Exception as error:
            wrong.append("%s: %r" % (work.__name__, error))
        step += 1
    rounds[work.__name__] = step


def main():
    helper.helper_start(signal)
    works = [allocate, load_modules, load_objects, fork, compress, rest, recurse, generate]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    print("ready")
    sys.stdout.flush()
    sys.stdin.read()
    stop.append(True)
    for thread in threads:
        thread.join()
    helper.helper_take(signal)
    found = (min(rounds.values()), len(wrong), helper.helper_signals(), "; ".join(wrong[:3]))
    print("rounds %d wrong %d signals %d %s" % found)


main()
