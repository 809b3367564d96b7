"""Python functions that spend their time in the kernel and in C libraries."""
import hashlib
import os
import sqlite3
import time

NOISE = os.urandom(1 << 20)
DATABASE = sqlite3.connect(":memory:")
QUERY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
QUERY += "SELECT sum(i) FROM n"


def read_zeros():
    zeros = os.open("/dev/zero", os.O_RDONLY)
    os.read(zeros, 16 << 20)
    os.close(zeros)


def query():
    DATABASE.execute(QUERY).fetchone()


def digest():
    hashlib.md5(NOISE).digest()


def main():
    for function in (read_zeros, query, digest):
        end = time.process_time() + 0.4
        while time.process_time() < end:
            function()


main()
