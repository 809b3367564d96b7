"""Some seconds in Python, in libc, in the kernel, and in threads."""

import os
import threading
import time

zeros = bytearray(1 << 20)


class Order:
    def total(self, depth):
        if depth:
            return self.total(depth - 1)
        for _ in range(50):
            bytearray(zeros)
        return sum(number * number for number in range(20000))


def read():
    source = os.open("/dev/zero", os.O_RDONLY)
    for _ in range(20):
        os.read(source, 1 << 20)
    os.close(source)


def main():
    end = time.time() + 1.5
    while time.time() < end:
        Order().total(12)
        sorted(range(20000), key=str)
        read()


other = threading.Thread(target=main)
other.start()
main()
other.join()
