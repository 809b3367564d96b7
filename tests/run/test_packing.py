#!/usr/bin/env python3
"""scripts/run/packing.py: packed profiles say what those that they are made of say, in fewer bytes. One line for each
check; the exit status is 1 if any failed. Neither perf nor a sampler is needed."""

import os
import random
import struct
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import sampled
from canned import Canned
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import lines
import packing
import sample_file
import samples
import stacks

CASES = []
VERSIONS = ((2, 7), (3, 6), (3, 9), (3, 10), (3, 11), (3, 15))


def packed(look, data):
    source, target = look.path("x.samples"), look.path("packed.samples")
    with open(source, "wb") as out:
        out.write(data)
    status = packing.main(source, target)
    with open(target, "rb") as file:
        return status, file.read()


def shown(data, *options):
    with Canned() as canned:
        canned.write("perf.data", data)
        seen = canned.run("--width", "200", "--json", canned.path("json"), *options)
        with open(canned.path("json")) as file:
            return seen.status, seen.out, seen.err, file.read().replace(canned.path("perf.data"), "")


def same(look, what, data, small, *options):
    """The same table and numbers; of those that are not, what is different first."""
    for part, one, other in zip(("status", "table", "stderr", "json"), shown(data, *options), shown(small, *options)):
        at = len(os.path.commonprefix([str(one), str(other)]))
        look.that("%s: %s" % (what, part), "the same", one == other, str(other)[max(at - 40, 0) : at + 40])


@case(CASES)
def says_the_same(look):
    for what, data in (("one", sampled.simple().bytes()), ("two", sampled.two_processes())):
        status, small = packed(look, data)
        look.equal(what + ": status", 0, status)
        look.equal(what + ": magic", b"PYPERFS2", small[:8])
        for options in ((), ("--lines",)):
            same(look, "%s %s" % (what, options), data, small, *options)
        look.equal(what + ": packed again", (0, small), packed(look, small))


@case(CASES)
def parts_of_both_kinds(look):
    """A profile of several, of which some are packed."""
    raw, (_, small) = sampled.simple().bytes(), packed(look, sampled.two_processes())
    pairs = [(small, raw), (raw, small), (raw, raw), (small, small)]
    for first, second in pairs:
        with open(look.path("y.samples"), "wb") as out:
            out.write(first + second)
        got = samples.Recording(out.name)
        count = {small: 6, raw: 120}
        look.equal("samples", count[first] + count[second], sum(one.count for one in got.records()))
        look.equal("notes", [], got.notes)


@case(CASES)
def every_line(look):
    """Line tables of any bytes: each instruction that a frame has keeps its line and column."""
    chance = random.Random(1)
    for version in VERSIONS:
        wrong = []
        for _ in range(300):
            data = bytes(bytearray(chance.randrange(256) for _ in range(chance.randrange(60))))
            first = chance.randrange(1, 3000)
            whole = lines.Table(version, first, data)
            used = {chance.randrange(400) for _ in range(chance.randrange(20))} | {lines.NO_INSTRUCTION}
            small = lines.Table(version, first, lines.needed(whole, used), lines.NEEDED)
            for one in used:
                pairs = [(table.line(one), table.column(one)) for table in (whole, small)]
                if pairs[0] != pairs[1]:
                    wrong.append((data, first, one, pairs))
        look.equal("%d.%d: lines and columns that differ" % version, [], wrong[:3])


@case(CASES)
def size(look):
    """Zeros and names take nothing; a table that would grow stays as it is."""
    made = sampled.Profile(python=(3, 9))
    code = made.code("work", table=b"\x02\x01" * 20000)
    short = made.code("short", table=b"\x02\x01")
    for number in range(500):
        made.sample(made.python(0, code, 2 * number), weight=1)
        made.sample(made.python(0, short, 40 * number), weight=1)
    data = made.bytes()
    status, small = packed(look, data)
    look.equal("status", 0, status)
    look.that("bytes", "a fifth of %d" % len(data), len(small) < len(data) // 5, str(len(small)))
    same(look, "what it says", data, small, "--lines")


@case(CASES)
def damaged(look):
    """Any bytes give samples, notes or one line, and never another error."""
    (_, good), chance = packed(look, sampled.simple().bytes()), random.Random(1)
    outcomes = {"read": 0, "refused": 0}
    for number in range(600):
        data = bytearray(good)
        if number % 3:
            for _ in range(chance.choice((1, 3, 30))):
                data[chance.randrange(len(data))] = chance.choice((0, 1, 255, chance.randrange(256)))
        else:
            data = data[: chance.randrange(len(data))]
        with open(look.path("z.samples"), "wb") as out:
            out.write(data)
        try:
            list(samples.Recording(out.name, True).records())
            outcomes["read"] += 1
        except stacks.Failed:
            outcomes["refused"] += 1
    look.equal("600 files", 600, sum(outcomes.values()))
    big = sampled.Profile()
    code = big.code("f")
    for _ in range(3000):
        big.sample(big.python(0, code, random.randrange(10 ** 6)))
    _, whole = packed(look, big.bytes())
    status, out, err, _ = shown(whole[: len(whole) * 3 // 4])
    look.that("cut: a note", "missing", "samples at its end are missing" in " ".join(out.split()), out + err)


@case(CASES)
def failures(look):
    """The profile stays as it is."""
    junk, later = sampled.simple().bytes() + b"junk" * 2000, sampled.simple(version=b"3").bytes()
    for what, data in (("junk behind", junk), ("a later version", later)):
        status, _ = packed(look, data)
        look.equal(what, 1, status)
    look.equal("no such file", 1, packing.main(look.path("nothing"), look.path("out")))
    look.equal("no such folder", 1, packing.main(look.path("x.samples"), look.path("no/out")))
    with open(look.path("large.samples"), "wb") as out:
        out.write(sampled.simple().bytes(reserved=packing.LARGEST))
    look.equal("a large one", 1, packing.main(out.name, look.path("out")))
    found, sample_file.zlib = sample_file.zlib, None
    try:
        look.equal("no zlib", 1, packing.main(look.path("x.samples"), look.path("out")))
        _, good = 0, struct.pack("<8sQQ", b"PYPERFS2", 8, 8)
        with open(look.path("w.samples"), "wb") as out:
            out.write(good + b"\0" * 8)
        try:
            samples.Recording(out.name)
            said = ""
        except stacks.Failed as error:
            said = str(error)
        look.that("no zlib: a packed profile", "a line with zlib", "has no zlib" in said, said)
    finally:
        sample_file.zlib = found


if __name__ == "__main__":
    sys.exit(main("packing", CASES))
