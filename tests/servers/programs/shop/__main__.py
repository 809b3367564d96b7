""""shop" in docs/services.md: computes for ever and prints a line for each turn."""


def price(number):
    rest = 0
    for step in range(2000):
        rest += step * number % 7
    return rest


def total(order):
    return sum([price(number) for number in order])


def main():
    while True:
        print(sum(total(range(10)) for _ in range(100)), flush=True)


main()
