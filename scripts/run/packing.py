"""Makes a profile of the sampler smaller: pyperf-run does so when it has made one of the files of all processes. Run
as a program: packing.py FROM TO

    raw part     header, records                   as the process has written it, or had when it was killed
    packed part  magic, sizes, deflate(the same)   sample_file.packed

Most of a raw part are line tables of code objects. A packed one has only the lines that its frames need
(lines.needed), and zeros in the place of the rest, which deflate removes. Python's own zlib does that; without it the
profile stays as it is, and so does one that is so large that whoever has started pyperf-run would notice the time.
"""

import os
import sys

import python2  # noqa: F401  # first
import lines
import sample_file
import stacks

TABLE_SIZE = 20  # of a code object's record, place of its number (sample_format.h)
FORM = 28
LARGEST = 16 << 20  # bytes: some three seconds


def main(source, target):
    try:
        if sample_file.zlib is None or os.path.getsize(source) > LARGEST:
            return 1
        with open(target, "wb") as out:
            for part in sample_file.parts(source):
                out.write(sample_file.packed(shortened(part)))
    except (IOError, OSError, stacks.Failed):
        return 1  # the raw profile stays, and whoever reads it says what is the matter
    return 0


def shortened(part):
    """The part's bytes, with the lines that are needed in the place of line tables."""
    codes, used = {}, {}
    for at, kind, size in part.records():
        if kind == sample_file.CODE:
            codes[at >> 3] = at, size
        elif kind == sample_file.PYTHON:
            code, instruction = sample_file.NODE.unpack_from(part.data, at)[2:]
            used.setdefault(code, set()).add(instruction)
    data = bytearray(part.data)
    for code, (at, size) in codes.items():
        shorten(data, at, size, part.version, used.get(code, ()))
    return bytes(data)


def shorten(data, at, size, version, instructions):
    _, first, name, file, qualname, length, _, form = sample_file.CODE_HEAD.unpack_from(data, at)
    start = at + sample_file.CODE_HEAD.size + name + file + qualname
    if form != lines.WHOLE or start + length > at + size:
        return
    table = lines.Table(version, first, bytes(data[start : start + length]))
    needed = lines.needed(table, instructions)
    if len(needed) <= length:
        data[start : start + length] = needed.ljust(length, b"\0")
        sample_file.WORD.pack_into(data, at + TABLE_SIZE, len(needed))
        sample_file.WORD.pack_into(data, at + FORM, lines.NEEDED)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
