"""A thread that blocks all signals, as those of servers do, and uses the CPU; the main thread waits for it in C."""
import json
import os
import signal
import sys
import threading

SECONDS = 0.5


def burn():
    end = sum(os.times()[:2]) + SECONDS
    while sum(os.times()[:2]) < end:
        sum(range(100))


def work(seen):
    every = signal.valid_signals() if hasattr(signal, "valid_signals") else range(1, signal.NSIG)
    seen["before"] = len(signal.pthread_sigmask(signal.SIG_BLOCK, every))
    seen["all"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    burn()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG, signal.SIGUSR1])
    seen["without"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGURG])))
    seen["one"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_SETMASK, [])))


def inherited():
    """All signals were blocked before the program began."""
    seen = {"first": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))}
    burn()
    print(json.dumps(seen))


def main():
    seen = {}
    thread = threading.Thread(target=work, args=(seen,))
    thread.start()
    thread.join()
    print(json.dumps(seen, sort_keys=True))


inherited() if "inherited" in sys.argv else main()
