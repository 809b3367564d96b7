"""What scripts/demo profiles: three seconds of a small shop's bookkeeping.

It calls Python in every way that a profile has to show: methods, generators, closures, recursion,
and functions that C calls back (sorted with a key, re.sub with a function).
"""

import random
import re
import sys
import time


class Order:
    def __init__(self, number, customer, prices):
        self.number = number
        self.customer = customer
        self.prices = prices

    def total(self, discount):
        return sum(discount(price) for price in self.prices)


class Orders:
    def __init__(self, count):
        chance = random.Random(1)
        self.orders = [
            Order(
                number,
                "customer %d" % chance.randrange(50),
                [chance.randrange(1, 100) for _ in range(20)],
            )
            for number in range(count)
        ]

    def large(self, limit):
        for order in self.orders:
            if sum(order.prices) > limit:
                yield order

    def total(self, discount):
        return sum(order.total(discount) for order in self.large(900))

    def by_customer(self):
        def key(order):
            return order.customer.split()[-1], -sum(order.prices)

        return sorted(self.orders, key=key)


class Category:
    def __init__(self, depth):
        self.value = depth
        self.parts = [Category(depth - 1) for _ in range(3)] if depth else []

    def weight(self):
        return self.value + sum(part.weight() for part in self.parts)


def rebate(percent):
    def reduced(price):
        return price * (100 - percent) / 100.0

    return reduced


def letter(orders):
    def fill(match):
        order = orders[int(match.group(1)) % len(orders)]
        return "%s, order %d" % (order.customer.title(), order.number)

    return re.sub(r"<(\d+)>", fill, "Dear <%d>, see also <%d>. " % (7, 11) * 200)


def close_the_month(orders, categories):
    text = letter(orders.by_customer())
    return orders.total(rebate(5)), categories.weight(), len(text)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    orders = Orders(1000)
    categories = Category(6)
    months = 0
    end = time.time() + seconds
    while time.time() < end:
        close_the_month(orders, categories)
        months += 1
    print("closed %d months" % months)


if __name__ == "__main__":
    main()
