"""numpy, calling and called. Prints results."""
import functools
import hashlib

import numpy


def show(what, array):
    array = numpy.ascontiguousarray(array)
    print(what, array.shape, array.dtype, hashlib.sha256(array.tobytes()).hexdigest()[:16])


def collatz(number):
    steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


def spread(row):
    return numpy.array([row.max() - row.min(), collatz(int(row[0]) % 1000 + 1), row.sum()])


class Recording(numpy.ndarray):
    """Each operation calls back into Python."""

    seen = []

    def __array_ufunc__(self, function, method, *inputs, **options):
        self.seen.append(function.__name__)
        plain = [one.view(numpy.ndarray) if isinstance(one, Recording) else one for one in inputs]
        return getattr(function, method)(*plain, **options)


def callbacks(numbers):
    show("vectorize", numpy.vectorize(collatz)(numbers[:500] % 997 + 1))
    show("apply_along_axis", numpy.apply_along_axis(spread, 1, numbers.reshape(-1, 10)))
    mixed = numpy.frompyfunc(lambda one, other: one * 3 % (other + 7), 2, 1)
    show("frompyfunc", mixed(numbers, 11).astype(int))
    show("fromiter", numpy.fromiter((collatz(n + 1) for n in range(300)), dtype=int))
    show("fromfunction", numpy.fromfunction(lambda i, j: i * j % 7, (40, 40)))
    halves = [lambda n: n // 2, lambda n: -n]
    show("piecewise", numpy.piecewise(numbers, [numbers % 2 == 0], halves))
    print(sorted(range(20), key=lambda index: collatz(int(numbers[index]) % 500 + 1)))
    order = functools.cmp_to_key(lambda one, other: int(one[1] > other[1]) - int(one[1] < other[1]))
    print(sorted(numbers[:40].reshape(-1, 2).tolist(), key=order)[:5])
    objects = numpy.array([str(number) for number in numbers[:200]], dtype=object)
    objects.sort()
    print(objects[:3], (objects + "!")[-1])


def errors(numbers):
    try:
        numpy.apply_along_axis(lambda row: row[99], 1, numbers.reshape(-1, 10))
    except IndexError as error:
        print(error)
    seen = []
    with numpy.errstate(divide="call"):
        numpy.seterrcall(lambda kind, flag: seen.append(kind))
        numpy.ones(3) / numpy.zeros(3)
    print(seen)


def algebra(numbers):
    matrix = (numbers[:2500].reshape(50, 50) % 101) / 101.0 + numpy.eye(50) * 50
    inverse = numpy.linalg.inv(matrix)
    print(numpy.allclose(matrix @ inverse, numpy.eye(50)), numpy.linalg.matrix_rank(matrix))
    values = numpy.linalg.eigvalsh(matrix + matrix.T)
    print(round(float(values.sum()), 6), round(float(numpy.linalg.det(matrix / 50)), 6))
    parts = numpy.linalg.svd(matrix)
    print(numpy.allclose((parts[0] * parts[1]) @ parts[2], matrix))
    print(numpy.allclose(matrix @ numpy.linalg.solve(matrix, matrix[0]), matrix[0]))


def main():
    numbers = numpy.random.RandomState(7).randint(0, 100000, 5000)
    callbacks(numbers)
    errors(numbers)
    algebra(numbers)
    watched = numbers[:100].view(Recording)
    show("own ufuncs", watched * 2 + watched)
    print(Recording.seen)


main()
