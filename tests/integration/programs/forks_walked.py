"""Forks repeatedly while another thread walks the loader's list of objects, as profilers do. Each
child calls a new function, for so many seconds. Prints how many children did not end, and the pids
of all."""
import ctypes
import json
import os
import sys
import threading
import time

COUNT, SECONDS, PATIENCE = int(sys.argv[1]), float(sys.argv[2]), 5
libc = ctypes.CDLL(None)
ended = []


def walk():
    while not ended:
        libc.dl_iterate_phdr(libc.sched_yield, None)


def in_child(seconds):
    end = time.time() + seconds
    while True:
        sum(range(20000))
        if time.time() >= end:
            return


def wait_for(pid):
    end = time.time() + SECONDS + PATIENCE
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.time() > end:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.005)
    return True


def main():
    pids, hung = [], 0
    threading.Thread(target=walk).start()
    time.sleep(0.05)
    for _ in range(COUNT):
        pid = os.fork()
        if pid == 0:
            in_child(SECONDS)
            os._exit(0)
        pids.append(pid)
        hung += not wait_for(pid)
    ended.append(True)
    print(json.dumps([hung, os.getpid(), pids]))


main()
