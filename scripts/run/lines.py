"""The line tables of code objects: from an instruction to its line, and its column from 3.11 on.

2.7 to 3.9   co_lnotab, pairs of bytes: how far the bytecode goes on, and the line (Objects/lnotab_notes.txt).
             The line's byte is signed from 3.6 on.
3.10         co_linetable, pairs of bytes: the length of a range, and its line against that of the range before,
             signed, -128 for none (Objects/lnotab_notes.txt)
from 3.11    co_linetable, an entry for each range, of one byte with its kind and length, and others with its
             place (Objects/locations.md)

A packed profile has in its place the instructions that frames need, in ascending order. For each: how far it is
behind the one before, its line against that one's (signed), and its column and 1, or 0 for none (leb128.py).
"""

import bisect

import leb128

WHOLE, NEEDED = 0, 1  # forms of a table: as the interpreter has it, and packed
NO_INSTRUCTION = 0xFFFFFFFF
SHORT, ONE_LINE, NO_COLUMNS, LONG, NONE = 0, 10, 13, 14, 15  # kinds of entries in 3.11: the first of each
UNIT = 2  # bytes of bytecode


class Table:
    """Of a code object of that version, (3, 9), whose first line is `first`; data: bytes of its line table."""

    def __init__(self, version, first, data, form=WHOLE):
        self.first = first
        self.scale = UNIT if version == (3, 10) and form == WHOLE else 1
        data = bytearray(data)
        if form == NEEDED:
            ranges = packed(first, data)
        elif version >= (3, 11):
            ranges = locations(first, data)
        elif version == (3, 10):
            ranges = lines(first, data)
        else:
            ranges = increments(first, data, version >= (3, 6))
        self.ranges = list(ranges)  # (first instruction, line or None, column or None)
        self.starts = [one[0] for one in self.ranges]

    def place(self, instruction):
        """(line, column); either is None where the code has none. instruction: as the interpreter keeps it."""
        if instruction == NO_INSTRUCTION:
            return self.first, None
        at = bisect.bisect_right(self.starts, instruction * self.scale) - 1
        return self.ranges[at][1:] if at >= 0 else (self.first, None)

    def line(self, instruction):
        """A line always: that of the closest code before, where the compiler has made some without one."""
        if instruction == NO_INSTRUCTION:
            return self.first
        at = bisect.bisect_right(self.starts, instruction * self.scale) - 1
        while at >= 0 and self.ranges[at][1] is None:
            at -= 1
        return self.ranges[at][1] if at >= 0 else self.first

    def column(self, instruction):
        """From 1 on, in bytes of UTF-8, as tools count them; None where the instruction has none of its own."""
        line, column = self.place(instruction)
        return None if line is None or column is None else column + 1


def needed(table, instructions):
    """Bytes of a packed table in which those have their lines and columns."""
    out, last, before = b"", 0, table.first
    for instruction in sorted(instructions):
        if instruction == NO_INSTRUCTION:
            continue
        line, column = table.line(instruction), table.column(instruction) or 0
        out += leb128.unsigned(instruction - last) + leb128.signed(line - before) + leb128.unsigned(column)
        last, before = instruction, line
    return out


def packed(first, data):
    at = instruction = 0
    line = first
    while at < len(data):
        step, at = leb128.read_unsigned(data, at)
        lines_further, at = leb128.read_signed(data, at)
        column, at = leb128.read_unsigned(data, at)
        instruction, line = instruction + step, line + lines_further
        yield instruction, line, column - 1 if column else None


def increments(first, data, signed):
    at, line = 0, first
    yield at, line, None
    for length, step in zip(data[::2], data[1::2]):
        at += length
        line += step - 256 if signed and step >= 128 else step
        yield at, line, None


def lines(first, data):
    at, line = 0, first
    for length, step in zip(data[::2], data[1::2]):
        if step != 128:
            line += step - 256 if step > 128 else step
        if length:
            yield at, None if step == 128 else line, None
        at += length


def locations(first, data):
    at, line, end = 0, first, 0
    while end < len(data):
        head, end = data[end], end + 1
        kind, column = head >> 3 & 15, None
        if kind < ONE_LINE:
            column = (kind - SHORT) << 3 | next_byte(data, end) >> 4
            end += 1
        elif kind < NO_COLUMNS:
            line += kind - ONE_LINE
            column = next_byte(data, end)
            end += 2
        elif kind < NONE:
            step, end = signed_number(data, end)
            line += step
            if kind == LONG:
                _, end = number(data, end)  # how many lines further it ends
                column, end = number(data, end)
                column = column - 1 if column else None
                _, end = number(data, end)
        yield at, None if kind == NONE else line, column
        at += ((head & 7) + 1) * UNIT


def next_byte(data, at):
    """0 behind the end of a table that was cut."""
    return data[at] if at < len(data) else 0


def number(data, at):
    """6 bits in each byte, the lowest first; bit 6 says that there are more."""
    value = shift = 0
    while True:
        byte = next_byte(data, at)
        at += 1
        value |= (byte & 63) << shift
        shift += 6
        if not byte & 64:
            return value, at


def signed_number(data, at):
    """The lowest bit is the sign."""
    value, at = number(data, at)
    return -(value >> 1) if value & 1 else value >> 1, at
