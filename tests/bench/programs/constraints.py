"""A constraint solver: variables with domains, constraints that prune them, a search with undo."""


class Variable:
    def __init__(self, name, values):
        self.name = name
        self.values = set(values)
        self.constraints = []

    def is_fixed(self):
        return len(self.values) == 1

    def value(self):
        return next(iter(self.values))


class Different:
    """The two values differ by none of the given distances."""

    def __init__(self, one, other, distances):
        self.ends = one, other
        self.distances = distances
        one.constraints.append(self)
        other.constraints.append(self)

    def other(self, variable):
        one, other = self.ends
        return other if variable is one else one

    def forbids(self, value, fixed):
        return abs(value - fixed) in self.distances

    def prune(self, variable, trail):
        target = self.other(variable)
        fixed = variable.value()
        gone = [value for value in target.values if self.forbids(value, fixed)]
        if gone:
            trail.append((target, target.values))
            target.values = target.values.difference(gone)
        return target


class Solver:
    def __init__(self):
        self.variables = []
        self.solutions = 0
        self.checksum = 0

    def variable(self, name, values):
        self.variables.append(Variable(name, values))
        return self.variables[-1]

    def propagate(self, variable, trail):
        queue = [variable]
        while queue:
            current = queue.pop()
            for constraint in current.constraints:
                before = len(constraint.other(current).values)
                target = constraint.prune(current, trail)
                if not target.values:
                    return False
                if len(target.values) < before and target.is_fixed():
                    queue.append(target)
        return True

    def choose(self):
        open_ones = [v for v in self.variables if not v.is_fixed()]
        return min(open_ones, key=self.rank) if open_ones else None

    def rank(self, variable):
        return len(variable.values), variable.name

    def undo(self, trail):
        while trail:
            variable, values = trail.pop()
            variable.values = values

    def search(self):
        variable = self.choose()
        if variable is None:
            self.found()
            return
        for value in sorted(variable.values):
            trail = [(variable, variable.values)]
            variable.values = {value}
            if self.propagate(variable, trail):
                self.search()
            self.undo(trail)

    def found(self):
        self.solutions += 1
        for place, variable in enumerate(self.variables):
            self.checksum = (self.checksum * 31 + place * variable.value()) % 1000003


def queens(size):
    solver = Solver()
    rows = [solver.variable(row, range(size)) for row in range(size)]
    for i, one in enumerate(rows):
        for j in range(i):
            Different(one, rows[j], (0, i - j))
    solver.search()
    return solver


def run():
    solver = queens(8)
    return "%d solutions, %d" % (solver.solutions, solver.checksum)
