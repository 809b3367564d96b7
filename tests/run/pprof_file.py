"""Reads profiles of pprof (profile.proto), for tests."""

import gzip


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """{number: values} of a message of protocol buffers: numbers, and bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


def packed(data):
    found, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        found.append(value)
    return found


class Decoded:
    """A profile.proto: stacks of (function, file, line), from the innermost outwards, with their values."""

    def __init__(self, data):
        top = fields(gzip.decompress(data))
        self.strings = [text.decode() for text in top[6]]
        functions = {one[1][0]: one for one in map(fields, top[5])}
        locations = {one[1][0]: one for one in map(fields, top[4])}
        self.mappings = {one[1][0]: self.strings[one[5][0]] for one in map(fields, top.get(3, []))}
        self.types = [tuple(self.strings[one[number][0]] for number in (1, 2)) for one in map(fields, top[1])]
        self.time, self.duration, self.period = [top.get(number, [0])[0] for number in (9, 10, 12)]
        self.samples = len(top[2])
        self.stacks, self.columns = {}, set()  # of frames: (function, line, column)
        for one in map(fields, top[2]):
            stack = []
            for number in packed(one[1][0]):
                line = fields(locations[number][4][0])
                function = functions[line[1][0]]
                mapping = locations[number].get(2)
                file = self.mappings[mapping[0]] if mapping else self.strings[function[4][0]]
                self.columns.add((self.strings[function[2][0]], line.get(2, [0])[0], line.get(3, [0])[0]))
                stack.append((self.strings[function[2][0]], file, line.get(2, [0])[0]))
            values = packed(one[2][0])
            before = self.stacks.get(tuple(stack), [0] * len(values))
            self.stacks[tuple(stack)] = [value + more for value, more in zip(values, before)]
        self.labels = {self.strings[fields(label)[1][0]] for one in map(fields, top[2]) for label in one[3]}
