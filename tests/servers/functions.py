"""Names for functions that have no symbol, from the table of the program's unwind data (.eh_frame_hdr)."""

import bisect
import re
import struct

PREFIX = "function_at_"
NOT_RELOCATED = 2  # ET_EXEC
UNWIND_TABLE = 0x6474E550  # PT_GNU_EH_FRAME
SORTED_OFFSETS = b"\x01\x1b\x03\x3b"  # version 1; the encodings that linkers write


def starts(path):
    """The addresses where functions begin, ascending; none in a program that is position independent, whose addresses
    perf shows as they are in the process."""
    with open(path, "rb") as file:
        text = file.read()
    (kind,) = struct.unpack_from("<H", text, 16)
    (headers,) = struct.unpack_from("<Q", text, 32)
    size, count = struct.unpack_from("<HH", text, 54)
    for header in range(headers, headers + size * count, size):
        segment, _, place, address = struct.unpack_from("<IIQQ", text, header)
        if kind == NOT_RELOCATED and segment == UNWIND_TABLE and text[place : place + 4] == SORTED_OFFSETS:
            (number,) = struct.unpack_from("<I", text, place + 8)
            return [address + at for at, _ in struct.iter_unpack("<ii", text[place + 12 : place + 12 + 8 * number])]
    return []


def name_all(shown, path):
    """The output of perf script, with a name for each function of the program."""
    known = starts(path)

    def name(match):
        # A return address may be the end of its function, where another one begins.
        at = bisect.bisect_left(known, int(match.group(2), 16)) - 1
        return match.group() if at < 0 else "%s %s%x (%s)" % (match.group(1), PREFIX, known[at], path)

    return re.sub(r"^(\s*([0-9a-f]+)) \[unknown\] \(%s\)$" % re.escape(path), name, shown, flags=re.M)


def was_named(symbol):
    return symbol.startswith(PREFIX)
