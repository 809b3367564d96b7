"""A pool of forked workers. Prints the pids of all as JSON, the parent's first."""
import json
import multiprocessing
import os
import time


def only_in_parent():
    return 1


def only_in_worker(number):
    time.sleep(0.05)
    return os.getpid()


def set_up():
    pass


if __name__ == "__main__":
    only_in_parent()
    with multiprocessing.get_context("fork").Pool(2, set_up) as pool:
        workers = sorted(set(pool.map(only_in_worker, range(20), 1)))
    print(json.dumps([os.getpid()] + workers))
