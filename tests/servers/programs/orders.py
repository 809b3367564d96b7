"""A WSGI application that uses CPU time. CHAIN is the stack meanwhile, from the innermost function
outwards; prices.py is another one, with other kinds of calls."""
import os
import sys


def weigh(number):
    weight = number
    for step in range(2500):
        weight = (weight * 31 + step) % 1000003
    return weight


class Order:
    def __init__(self, number):
        self.number = number

    def lines(self):
        for line in range(5):
            yield weigh(self.number + line)

    def total(self):
        return sum(self.lines())


def answer(number):
    return "order %d: %d\n" % (number, Order(number).total())


CHAIN = ("weigh", "Order.lines", "Order.total", "answer", "application")


def application(environ, start_response):
    body = answer(int(environ["PATH_INFO"].rsplit("/", 1)[1])).encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    headers += [("X-Process", str(os.getpid())), ("X-Interpreter", str(id(sys.modules)))]
    start_response("200 OK", headers)
    return [body]
