"""A server and 200 clients in one process: gevent's own server, and the standard library's sockets,
threads and queues, patched. Prints the answers; with an argument, the pid too.
"""
from gevent import monkey

monkey.patch_all()

import hashlib
import os
import queue
import socket
import sys
import threading
import time

import gevent
import gevent.server
import gevent.threadpool

CLIENTS, LINES = 200, 10
CHAIN = ("scramble", "translate", "converse", "handle")


def scramble(text):
    value = 7
    for character in text * 200:
        value = (value * 33 + ord(character)) % 1000003
    return value


def count(text):
    return sum(1 for character in text if character in "aeiou")


def translate(line):
    return b"%d %s\n" % (scramble(line.decode()), line[::-1])


def converse(stream):
    for line in stream:
        stream.write(translate(line.strip()))
        stream.flush()


def handle(connection, address):
    with connection.makefile("rwb") as stream:
        converse(stream)


def client(port, number):
    """Every other one in a thread, which is also a greenlet."""
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        with connection.makefile("rwb") as stream:
            for line in range(LINES):
                stream.write(b"client %d says %d\n" % (number, line * number))
                stream.flush()
                time.sleep(0.0001 * (number % 3))
                digest.update(stream.readline())
    return digest.hexdigest()


def in_thread(port, number):
    result = queue.Queue()
    threading.Thread(target=lambda: result.put(client(port, number))).start()
    return result.get()


def main():
    server = gevent.server.StreamServer(("127.0.0.1", 0), handle, backlog=CLIENTS)
    server.start()
    jobs = [
        gevent.spawn((client, in_thread)[number % 2], server.server_port, number)
        for number in range(CLIENTS)
    ]
    gevent.joinall(jobs, timeout=60, raise_error=True)
    print(len(jobs), hashlib.sha256("".join(job.value for job in jobs).encode()).hexdigest())
    hung = gevent.spawn(gevent.sleep, 1000)
    gevent.sleep(0)
    hung.kill()
    try:
        with gevent.Timeout(0.01):
            gevent.sleep(1000)
    except gevent.Timeout:
        print("timeout", hung.dead)
    pool = gevent.threadpool.ThreadPool(4)
    print(sum(pool.map(count, ["threads of the system"] * 40)))
    server.stop()


if __name__ == "__main__":
    main()
    if sys.argv[1:]:
        print(os.getpid())
