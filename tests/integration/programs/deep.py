"""Calls deep() so many levels deep, and then hot() for some CPU time. usage: deep.py CALLS
SECONDS"""
import sys
import time


def hot():
    total = 0
    for i in range(3000):
        total += i * i
    return total


def deep(calls, end):
    if calls > 1:
        return deep(calls - 1, end)
    while time.process_time() < end:
        hot()


deep(int(sys.argv[1]), time.process_time() + float(sys.argv[2]))
