"""One thread switches, seven others compute. Prints "right" if all results are right. Arguments:
how many switches, and between which modes."""
import sys
import threading
import traceback

COUNT, BETWEEN = int(sys.argv[1]), sys.argv[2].split(",")
sys.setswitchinterval(1e-4)
done = threading.Event()
wrong = []


def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


def numbers(limit):
    for number in range(limit):
        yield number


def raising(n):
    if n == 0:
        raise KeyError("bottom")
    return raising(n - 1)


class Point:
    def __init__(self, x):
        self.x = x

    def __lt__(self, other):
        return self.x < other.x

    @property
    def double(self):
        return self.x * 2


def work_recursive():
    return recursive(12) == 144


def work_generator():
    return sum(numbers(300)) == 44850


def work_exception():
    try:
        raising(30)
    except KeyError as error:
        return len(traceback.extract_tb(error.__traceback__)) == 32
    return False


def work_sorted():
    points = sorted(Point(n * 7919 % 101) for n in range(101))
    return [point.double for point in points] == list(range(0, 202, 2))


def work_fresh():
    space = {}
    exec("def fresh(a, *b, **c): return (lambda: a + sum(b) + len(c))()", space)
    return space["fresh"](1, 2, 3, d=4) == 7


def work_closure():
    return [add(2) for add in [(lambda n, k=k: n + k) for k in range(5)]] == [2, 3, 4, 5, 6]


def work_delegating():
    def outer():
        result = yield from inner()
        yield result

    def inner():
        got = yield 1
        return got

    generator = outer()
    return (next(generator), generator.send(5)) == (1, 5)


WORK = [work_recursive, work_generator, work_exception, work_sorted, work_fresh]
WORK += [work_closure, work_delegating]


def run(function):
    while not done.is_set():
        if not function():
            wrong.append(function.__name__)


def switch():
    for number in range(COUNT):
        backend = BETWEEN[number % len(BETWEEN)]
        if backend == "off":
            sys.deactivate_stack_trampoline()
        else:
            sys.activate_stack_trampoline(backend)
    done.set()


threads = [threading.Thread(target=run, args=(function,)) for function in WORK]
threads.append(threading.Thread(target=switch))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.deactivate_stack_trampoline()
print("right" if not wrong else sorted(set(wrong)), all(function() for function in WORK))
