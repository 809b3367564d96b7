"""The file of Python functions (function_image.py) beside a perf.data, and where a process would have it mapped."""

import os

import function_image

PAGE = 4096
LOWEST = 1 << 16  # address of a mapping: vm.mmap_min_addr is that, or less
FARTHEST = 1 << 26  # in the file of functions: beyond, its places are no longer the addresses


class MappedImage:
    """functions: {(name, file, first line): lines}; taken: (start, end) of all mappings of all processes; path: of the
    perf.data."""

    def __init__(self, functions, taken, path):
        start = free_place(taken, function_image.largest(functions))
        self.functions = function_image.Image(functions, start if start <= FARTHEST else LOWEST)
        self.base = start - self.functions.start
        self.content, number = self.functions.content()
        self.path = os.path.realpath(path) + ".functions.so"
        # As the file system has it, whatever its encoding is.
        self.name = getattr(os, "fsencode", bytes)(self.path)
        size = (self.functions.end - self.functions.start + PAGE - 1) // PAGE * PAGE
        self.row = (start, start + size, self.functions.start, self.name, number)

    def address(self, place):
        """place: see place()."""
        return self.base + self.functions.places[place]

    def marks(self):
        """{text: address}"""
        return {name: self.base + address for name, address in self.functions.marks.items()}


def place(frame):
    """The key of a Python frame in the image: its function, and its line, which DWARF has without a sign."""
    return frame.function[:2] + (frame.first,), max(frame.line or 0, 0)


def functions(places):
    """{(name, file, first line): lines}"""
    found = {}
    for function, line in places:
        found.setdefault(function, set()).add(line)
    return found


def free_place(taken, size):
    """The first address from which on no process has a mapping of its own."""
    found = LOWEST
    for start, end in sorted(taken):
        if start < found + size + PAGE and end > found:
            found = (end + PAGE - 1) // PAGE * PAGE
    return found
