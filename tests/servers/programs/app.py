"""app.py in docs/services.md: two seconds of CPU time, a line on stdout, and an exit status."""

import sys
import time

import orders


def main():
    answers = set()
    while time.process_time() < 2:
        answers.add(orders.answer(1))
    print("answers: %d" % len(answers))
    sys.exit(3)


main()
