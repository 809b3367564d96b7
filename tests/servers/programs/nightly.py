"""What docs/services.md has cron do: two seconds of CPU time."""

import time


def price(number):
    rest = 0
    for step in range(2000):
        rest += step * number % 7
    return rest


def total(orders):
    amount = 0
    for number in orders:
        amount += price(number)
    return amount


def main():
    while time.process_time() < 2:
        total(range(10))


main()
