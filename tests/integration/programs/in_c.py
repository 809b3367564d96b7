"""Python functions that spend their time in the kernel and in C libraries."""
import hashlib
import os
import time
import zlib

NOISE = os.urandom(1 << 20)


def read_zeros():
    zeros = os.open("/dev/zero", os.O_RDONLY)
    os.read(zeros, 16 << 20)
    os.close(zeros)


def compress():
    zlib.compress(NOISE)


def digest():
    hashlib.md5(NOISE).digest()


def main():
    for function in (read_zeros, compress, digest):
        end = time.process_time() + 0.4
        while time.process_time() < end:
            function()


main()
