"""The other WSGI application: see orders.py."""
import os
import sys


def scale(number):
    price = number + 1
    for step in range(2500):
        price = (price * 37 + step) % 999983
    return price


def ranking(numbers):
    return sorted(numbers, key=lambda number: scale(number))


def search(number, depth):
    return search(number, depth - 1) if depth else ranking(range(number, number + 5))


def answer(number):
    return "prices from %d: %r\n" % (number, search(number, 3))


CHAIN = ("scale", "ranking.<locals>.<lambda>", "ranking", *["search"] * 4, "answer", "application")


def application(environ, start_response):
    body = answer(int(environ["PATH_INFO"].rsplit("/", 1)[1])).encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    headers += [("X-Process", str(os.getpid())), ("X-Interpreter", str(id(sys.modules)))]
    start_response("200 OK", headers)
    return [body]
