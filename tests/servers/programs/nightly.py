"""cron's job in docs/services.md: two seconds of CPU time."""

import time

import orders


def main():
    while time.process_time() < 2:
        orders.answer(1)


main()
