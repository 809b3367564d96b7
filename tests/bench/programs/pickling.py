"""Pickles written and read by the pure-Python half of the pickle module."""

import io
import pickle


class Part:
    def __init__(self, name, parts):
        self.name = name
        self.parts = parts
        self.links = {}

    def weight(self):
        return len(self.name) + sum(part.weight() for part in self.parts)


class Reference:
    """Pickled by its own rule."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Reference, (self.target,)


def tree(depth, path):
    part = Part("part " + path, [tree(depth - 1, path + str(i)) for i in range(3 * (depth > 0))])
    part.links = {"self": Reference(part.name), "sizes": (depth, 1.5 * depth, path, None)}
    return part


def run():
    root = tree(4, "")
    total = 0
    for protocol in (2, 3, 2, 3):
        out = io.BytesIO()
        pickle._Pickler(out, protocol).dump(root)
        root = pickle._Unpickler(io.BytesIO(out.getvalue())).load()
        total += root.weight() + len(root.parts[1].links["self"].target)
    return str(total)
