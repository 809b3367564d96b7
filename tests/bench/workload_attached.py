"""A process of eight threads that call Python functions, and four that sleep, until it is killed."""

import sys
import threading
import time


def weigh(number):
    return sum(range(number))


def work():
    while True:
        weigh(200)


def sleep():
    while True:
        time.sleep(0.1)


for target in [work] * 7 + [sleep] * 4:
    thread = threading.Thread(target=target)
    thread.daemon = True
    thread.start()
sys.stdout.write("ready\n")
sys.stdout.flush()
work()
