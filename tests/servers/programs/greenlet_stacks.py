"""A hundred greenlets, each of which repeatedly computes a little and switches. Prints the pid."""
import os
import time

import greenlet

CHAIN = ("compute", "Worker.step.<locals>.<lambda>", "Worker.step", "Worker.turns", "Worker.run")


def compute(number):
    for step in range(2000):
        number = (number * 31 + step) % 1000003
    return number


class Worker:
    def run(self, number):
        for result in self.turns(number):
            number = greenlet.getcurrent().parent.switch(result)

    def turns(self, number):
        while True:
            yield self.step(number)

    def step(self, number):
        return max([number], key=lambda one: compute(one))


def main():
    crowd = [greenlet.greenlet(Worker().run) for _ in range(100)]
    end = time.process_time() + 1.0
    while time.process_time() < end:
        for number, one in enumerate(crowd):
            one.switch(number)


if __name__ == "__main__":
    main()
    print(os.getpid())
