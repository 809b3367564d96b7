"""Daemon threads that take the interpreter's lock during finalization: each ends in pthread_exit,
which unwinds its stack."""
import threading
import time


def nap():
    time.sleep(0.0001)


class Work:
    def __call__(self):
        for _ in self.forever():
            sorted([2, 1], key=lambda number: nap() or number)

    def forever(self):
        while True:
            yield


class Slow:
    """Releases the lock when the modules are destroyed."""

    sleep = time.sleep

    def __del__(self):
        self.sleep(0.2)


slow = Slow()
for _ in range(8):
    threading.Thread(target=Work(), daemon=True).start()
time.sleep(0.1)
print("end")
