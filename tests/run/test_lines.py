#!/usr/bin/env python3
"""scripts/run/lines.py against each interpreter found: code objects that it has compiled, its own answers for each
instruction. One line for each check; the exit status is 1 if any failed."""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import lines

CASES = []
MODULES = ("inspect", "tarfile")

# Of 2.7 and later. An instruction stands for what the interpreter keeps: from 3.10 on to 3.10 units of two bytes.
DUMP = r"""
import binascii, dis, json, os, sys
big = "def far(a):\n    x = a(\n        1,\n        2)\n" + "\n" * 300 + "    y = [b for b in x]\n"
big += "    z = (" + " " * 300 + "a or x,\n" + "\n" * 140 + "\n  y)\n" + "    while a: a = lambda: (a,\n  x)\n"
big += "    try:\n        return x\n    finally:\n        y()\n" + "class C: pass\n" * 3
def codes(code):
    yield code
    for one in code.co_consts:
        if hasattr(one, "co_code"):
            for inner in codes(one):
                yield inner
def places(code):
    if hasattr(code, "co_positions"):
        return [(2 * n, p[0], p[2]) for n, p in enumerate(code.co_positions())]
    scale = 2 if sys.version_info >= (3, 10) else 1
    size = len(code.co_code)
    line_at = {}
    if scale == 2:
        for start, end, line in code.co_lines():
            for at in range(start, end):
                line_at[at] = line
    else:
        starts, line = dict(dis.findlinestarts(code)), code.co_firstlineno
        for at in range(size):
            line = line_at[at] = starts.get(at, line)
    return [(at // scale, line_at[at], None) for at in range(0, size, scale)]
texts = [(big, "big")]
for name in sys.argv[1:]:
    path = os.path.join(os.path.dirname(os.__file__), name + ".py")
    texts.append((open(path, "rb").read(), path))
out = []
for text, path in texts:
    for code in codes(compile(text, path, "exec")):
        table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
        out.append((code.co_firstlineno, binascii.hexlify(table).decode(), places(code)))
json.dump(out, sys.stdout)
"""


def answers(interpreter):
    words = [interpreter.path, "-E", "-s", "-W", "ignore", "-c", DUMP] + list(MODULES)
    done = subprocess.run(words, stdout=subprocess.PIPE, env=interpreters.plain_environment(), check=True)
    return json.loads(done.stdout.decode())


@case(CASES)
def each_instruction(look):
    one_each = {one.series: one for one in interpreters.find()[0] if one.supported and not one.debug}
    for interpreter in one_each.values():
        total, wrong = 0, []
        for first, table, places in answers(interpreter):
            decoded = lines.Table(interpreter.series, first, bytes.fromhex(table))
            for instruction, line, column in places:
                total += 1
                if decoded.place(instruction) != (line, column):
                    wrong.append((first, instruction, (line, column), decoded.place(instruction)))
        good = total > 10000 and not wrong
        got = "%d wrong of %d: %r" % (len(wrong), total, wrong[:3])
        look.that(interpreter.label, "all of 10,000 or more", good, got)


@case(CASES)
def not_begun(look):
    """A frame that has run no instruction is at its function's first line; one without a line is at that before."""
    for version in ((2, 7), (3, 9), (3, 10), (3, 11)):
        table = lines.Table(version, 7, b"")
        got = (table.line(lines.NO_INSTRUCTION), table.line(4), table.place(8))
        look.equal("%d.%d" % version, (7, 7, (7, None)), got)
    # 3.10: 4 bytes of line 8, 2 without a line, 2 of line 9
    table = lines.Table((3, 10), 7, b"\x04\x01\x02\x80\x02\x01")
    look.equal("none", [(8, None), (8, None), (None, None), (9, None)], [table.place(number) for number in range(4)])
    look.equal("a line always", [8, 8, 8, 9], [table.line(number) for number in range(4)])


@case(CASES)
def damaged(look):
    """Any bytes are a table."""
    for version in ((2, 7), (3, 9), (3, 10), (3, 11)):
        for size in range(1, 40):
            for byte in (0, 0x7F, 0x80, 0xF1, 0xFF):
                lines.Table(version, 7, bytearray([byte]) * size).line(6)
    look.that("all", "no error", True, "none")


if __name__ == "__main__":
    sys.exit(main("lines", CASES))
