#!/usr/bin/env python3
"""scripts/run/perf_chains.py: what is in the perf.data with call chains that is made of one with stacks; what perf says
of it is in test_chains_read.py. One line for each check; the exit status is 1 if any failed. perf is not needed."""

import os
import random
import struct
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
import perf_recorded
from canned import Canned, header
from looks import case, main
from perf_recorded import (
    BASIC, BRANCH, CHAIN, COMM, DATA_SRC, EVENT_DESC, FINISHED_ROUND, FORK, ID, IDENTIFIER, KERNEL, KERNEL_MODE, LOST,
    MMAP2, RAW, READ, REGISTERS, SAMPLE, STACK, TID, TIME, USER, Recording, attribute, quads, reread,
)

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import elf
import model
import perf_chains
import perf_script
import stacks

CASES = []
LIBRARY = "/opt/lib/libpython3.9.so.1.0"


def shown(address, symbol="f", holder=LIBRARY):
    """A frame as perf script prints it."""
    return perf_script.parse_frame("\t%16x %s (%s)\n" % (address, symbol, holder))


def inserted(name, file="/srv/app.py"):
    return model.Frame((name, file), "py::%s:%s" % (name, file), "")


def rewritten(look, made, samples):
    """samples: (nanoseconds, pid, frames) in the order of time, of perf script."""
    with open(look.path("x.data"), "wb") as out:
        out.write(made.bytes())
    file = perf_chains.File(look.path("x.data"), look.path("y.data"))
    for time, pid, frames in samples:
        seconds = float("%d.%06d" % (time // 10 ** 9, time // 1000 % 10 ** 6))
        sample = model.Sample("python3", pid, pid, seconds, 5, "cycles")
        sample.frames = frames
        file.add(sample)
    image = file.image()
    if image:
        with open(image.path, "wb") as out:
            out.write(image.content)
    with open(look.path("y.data"), "wb") as out:
        file.write(out)
    return reread(look.path("y.data"))


def chains(found, before=32):
    """Of samples whose chain is behind so many bytes: the chain, and what is behind it."""
    got = []
    for kind, _, body in found.records:
        if kind == SAMPLE:
            count = struct.unpack_from("<Q", body, before)[0]
            at = before + 8 + 8 * count
            got.append((list(struct.unpack_from("<%dQ" % count, body, before + 8)), body[at:]))
    return got


def one_process(pid=7):
    made = Recording()
    made.comm(pid, 1000)
    made.mmap(pid, 2000, 0x7F0000, 0x10000, 0, LIBRARY, 1)
    made.mmap(pid, 2000, 0x7F2000, 0x8000, 0x2000, LIBRARY)
    return made


@case(CASES)
def chains_in_place_of_stacks(look):
    made = one_process()
    made.features = {3: b"host", EVENT_DESC: struct.pack("<II", 1, 128) + attribute(BASIC) + struct.pack("<II", 1, 8)}
    made.features[EVENT_DESC] += b"cycles\0\0" + quads(77)
    made.sample(5000, ip=0x7F2100)
    made.sample(6000, chain=(KERNEL, 0xFFFFFFFF81000010), ip=0xFFFFFFFF81000010, misc=KERNEL_MODE)
    made.sample(7000, chain=(KERNEL, 0xFFFFFFFF81000020), misc=KERNEL_MODE)
    made.record(LOST, quads(0, 3) + made.ending(7, 7500))
    made.record(FINISHED_ROUND, b"")
    made.sample(8000, ip=0x7F2300)
    kernel = shown(0xFFFFFFFF81000010, "page_fault", "[kernel.kallsyms]")
    nowhere = shown((1 << 64) - 1, "[unknown]", "[unknown]")
    found = rewritten(look, made, [
        (5000, 7, [shown(0x2100), shown(0x2200), shown(0x1469, "[unknown]", "[unknown]")]),
        (6000, 7, [kernel, shown(0x2200), nowhere]),
        (7000, 7, [kernel]),
    ])
    expected = [[USER, 0x7F2100, 0x7F2200, 0x1469], [KERNEL, 0xFFFFFFFF81000010, USER, 0x7F2200, 0]]
    expected += [[KERNEL, 0xFFFFFFFF81000020], []]
    look.equal("chains, the last one is not in perf script", [(chain, b"") for chain in expected], chains(found))
    others = [one for one in reread(look.path("x.data")).records if one[0] != SAMPLE]
    look.equal("other records", others, [one for one in found.records if one[0] != SAMPLE])
    heads = [[one[2][:32] for one in part.records if one[0] == SAMPLE] for part in (reread(look.path("x.data")), found)]
    look.equal("the fields before the chain", heads[0], heads[1])
    fields, _, flags = struct.unpack_from("<QQQ", found.attributes[0], 24)
    look.equal("fields, flags", (BASIC & ~(STACK | REGISTERS), 1 << 18), (fields, flags))
    look.equal("registers, stack", (0, 0), struct.unpack_from("<QI", found.attributes[0], 80))
    look.equal("the rest of it", attribute(BASIC)[92:], found.attributes[0][92:])
    look.equal("features", [3, EVENT_DESC], sorted(found.features))
    described = struct.pack("<II", 1, 128) + found.attributes[0] + struct.pack("<II", 1, 8) + b"cycles\0\0" + quads(77)
    look.equal("the event's description", (b"host", described), (found.features[3], found.features[EVENT_DESC]))


@case(CASES)
def how_it_was_recorded(look):
    """The table's advice is still that of copied stacks."""
    for option, expected in (("dwarf,16384", ("dwarf", 16384)), ("dwarf", ("dwarf", 8192)), ("fp", ("fp", None))):
        text = header(size=0, kind="CALLCHAIN|PERIOD", command="perf record --call-graph " + option)
        recording = stacks.Recording("x.data", text)
        look.equal(option, expected, (recording.mode, recording.stack_size))


@case(CASES)
def fields_of_any_kind(look):
    """Two events, told apart by their ids; a third one without stacks."""
    every = BASIC | IDENTIFIER | READ | RAW | BRANCH | DATA_SRC | ID
    attributes = [attribute(every, branches=1 << 17, read_format=15), attribute(BASIC | IDENTIFIER)]
    attributes.append(attribute(IDENTIFIER | TID))
    made = Recording(attributes, [[21, 22], [31], [41]])
    head = quads(22, 0x1000, 7 << 32 | 7, 5000, 22, 5)
    read = quads(2, 100, 200, 1, 22, 2, 31)  # a group of two, with both times and ids
    raw, branches = struct.pack("<I", 12) + b"raw of 12 b.", quads(1, 9, 3, 4, 5)
    made.record(SAMPLE, head + read + quads(1, KERNEL) + raw + branches + quads(0) + quads(0) + b"data_src", 2)
    made.record(SAMPLE, quads(31, 0x1000, 7 << 32 | 7, 5001, 5, 0, 0, 8) + b"s" * 8 + quads(8), 2)
    made.record(SAMPLE, quads(41, 7 << 32 | 7), 2)
    order = [(5000 + number, 7, [shown(1 + number, "g", "[unknown]")]) for number in (0, 1)]
    found = rewritten(look, made, order)
    bodies = [body for _, _, body in found.records]
    look.equal("all fields", head + read + quads(3, KERNEL, USER, 1) + raw + branches + b"data_src", bodies[0])
    look.equal("those of the other", quads(31, 0x1000, 7 << 32 | 7, 5001, 5, 2, USER, 2), bodies[1])
    look.equal("without stacks", quads(41, 7 << 32 | 7), bodies[2])
    look.equal("ids", [[21, 22], [31], [41]], found.ids)
    look.equal("its attribute", attributes[2], found.attributes[2])


@case(CASES)
def the_part_of_the_kernel(look):
    """It ends where the user's part begins, or is said to come later; what is behind has any address."""
    made = one_process()
    for time, more in ((5000, [USER, 0x7F2100]), (6000, [(1 << 64) - 640, 99])):
        made.sample(time, chain=[KERNEL, 0xFFFFFFFF81000000] + more, misc=KERNEL_MODE)
    kernel = shown(0xFFFFFFFF81000000, "k", "[kernel.kallsyms]")
    wild = shown(0xFFFFFFFF00000000, "[unknown]", "[unknown]")
    found = rewritten(look, made, [(time, 7, [kernel, shown(0x2100), wild]) for time in (5000, 6000)])
    expected = [KERNEL, 0xFFFFFFFF81000000, USER, 0x7F2100, 0xFFFFFFFF00000000]
    look.equal("chains", [expected] * 2, [chain for chain, _ in chains(found)])


@case(CASES)
def branches_that_were_the_stack(look):
    made = Recording([attribute(TID | TIME | CHAIN | BRANCH, branches=1 << 11)])
    made.record(SAMPLE, quads(7 << 32 | 7, 5000, 0, 2, 1, 2, 3, 4, 5, 6), 2)
    found = rewritten(look, made, [(5000, 7, [shown(0x1, "g", "[unknown]")])])
    look.equal("chain", [([USER, 1], b"")], chains(found, 16))
    look.equal("fields, branches", (TID | TIME | CHAIN, 0), tuple(
        struct.unpack_from("<Q", found.attributes[0], at)[0] for at in (24, 72)))


@case(CASES)
def mappings_of_processes(look):
    """In the order of time, not of the file: a child has those of its parent, exec ends them."""
    made = one_process()
    made.sample(9000)
    made.mmap(8, 8000, 0x992000, 0x8000, 0x2000, LIBRARY)
    made.comm(8, 7000)
    made.fork(8, 7, 3000)
    for time in (4000, 7500, 8000):
        made.sample(time, pid=8)
    made.mmap(7, 8500, 0xAA2000, 0x8000, 0x2000, LIBRARY)
    frames = [shown(0x2100)]
    order = [(4000, 8, frames), (7500, 8, frames), (8000, 8, frames), (9000, 7, frames)]
    got = [chain[1] for chain, _ in chains(rewritten(look, made, order))]
    look.equal("in the file's order", [0xAA2100, 0x7F2100, 0x2100, 0x992100], got)


@case(CASES)
def addresses_in_the_process(look):
    """perf 5.10 and 7.2 print them. Where an address may be a place, too, others tell."""
    made = Recording()
    made.mmap(7, 1, 0x400000, 0x500000, 0, "/opt/bin/python3.9")
    made.mmap(7, 2, 0x7F2000, 0x8000, 0x2000, LIBRARY)
    made.mmap(7, 3, 0x10000, 0x1000, 0x7F0000, "[vdso]")
    static = shown(0x428000, holder="/opt/bin/python3.9")
    for printed, entry in ((0x7F2100, 0x428000), (0x2100, 0x828000)):
        made.records = made.records[:3]
        made.sample(5000)
        vdso = shown(0x10 if printed == 0x2100 else 0x10010, "clock", "[vdso]")
        found = rewritten(look, made, [(5000, 7, [shown(printed), vdso, static])])
        look.equal("%#x" % printed, [[USER, 0x7F2100, 0x10010, entry]], [chain for chain, _ in chains(found)])


@case(CASES)
def functions_without_an_address(look):
    made = one_process()
    made.features[2] = b""
    for time in (9000, 5000, 6000):
        made.sample(time)
    made.comm(7, 7000)
    made.sample(7500)
    frames = [shown(0x2100), inserted("A.größe"), shown(0x2200), inserted("main")]
    order = [(5000, 7, [shown(0x2100)]), (6000, 7, frames), (7500, 7, frames[1:2]), (9000, 7, [])]
    found = rewritten(look, made, order)
    image = os.path.realpath(look.path("y.data")) + ".functions.so"
    kinds = [kind for kind, _, _ in found.records]
    look.equal("kinds", [COMM, MMAP2, MMAP2, SAMPLE, SAMPLE, MMAP2, SAMPLE, COMM, MMAP2, SAMPLE], kinds)
    rows = [(misc, body) for kind, misc, body in found.records if kind == MMAP2 and image.encode() in body]
    expected = [quads(7 << 32 | 7, time) for time in (6000, 7500)]
    look.equal("ids, times: of the first sample, and after exec", expected, [body[-16:] for _, body in rows])
    _, _, start, _, offset = struct.unpack_from("<IIQQQ", rows[0][1])
    number = rows[0][1][36:56]
    symbols = elf.Symbols(open(image, "rb"), number)
    look.equal("build id in the feature", True, number in found.features[2] and image.encode() in found.features[2])
    got = [entry if entry > 0x7F0000 else symbols.name(entry - start + offset) for entry in chains(found)[2][0]]
    expected = [USER, 0x7F2100, "py::A.größe:/srv/app.py", 0x7F2200, "py::main:/srv/app.py"]
    look.equal("names", expected, got)


@case(CASES)
def long_stacks(look):
    """A record has 65,535 bytes at most: the middle is left out."""
    made = one_process()
    for number, count in enumerate((8182, 8183, 20000)):
        made.sample(5000 + 1000 * number, chain=(KERNEL, 1 << 63), misc=KERNEL_MODE)
    order = [(5000 + 1000 * number, 7, [shown(0x2100)] + [shown(0x2200)] * (count - 2) + [shown(0x2300)])
             for number, count in enumerate((8182, 8183, 20000))]
    found = rewritten(look, made, order)
    ends = [(len(chain), chain[3], chain[-1]) for chain, _ in chains(found)]
    look.equal("entries, ends", [(count, 0x7F2100, 0x7F2300) for count in (8185, 8184, 8184)], ends)
    image = os.path.realpath(look.path("y.data")) + ".functions.so"
    body = next(body for kind, _, body in found.records if kind == MMAP2 and image.encode() in body)
    symbols = elf.Symbols(open(image, "rb"), body[36:56])
    marks = {entry for chain, _ in chains(found)[1:] for entry in chain if entry not in (0x7F2100, 0x7F2200, 0x7F2300)}
    names = {symbols.name(entry) for entry in marks if entry < 0x7F0000}
    look.equal("the mark", {"[frames left out]"}, names)


def refused(look, content):
    with open(look.path("x.data"), "wb") as out:
        out.write(content)
    try:
        perf_chains.File(look.path("x.data"), look.path("y.data"))
    except stacks.Failed as why:
        return str(why)
    return ""


@case(CASES)
def refusals(look):
    def recorded(change):
        made = one_process()
        made.sample(5000)
        change(made)
        return made.bytes()

    plain = recorded(lambda made: None)
    rows = (
        ("-z", recorded(lambda made: made.features.update({27: b""})), "recorded with -z"),
        ("compressed, without its feature", recorded(lambda made: made.record(81, b"8 bytes.")), "recorded with -z"),
        ("a trace", recorded(lambda made: made.record(71, b"8 bytes.")), "trace"),
        ("--threads", recorded(lambda made: made.features.update({24: b""})), "--threads"),
        ("a pipe", b"PERFILE2" + quads(16) + plain[104:], "pipe"),
        ("another order of bytes", b"2ELIFREP" + plain[8:], "another kind of machine"),
        ("no more than its name", b"PERFILE2", "damaged"),
        ("no stacks", Recording([attribute(TID | TIME)]).bytes(), "no stacks"),
        ("a sample that is cut", recorded(lambda made: made.record(SAMPLE, quads(1, 7 << 32 | 7), 2)), "damaged"),
        ("as it should be", plain, ""),
    )
    for what, content, expected in rows:
        why = refused(look, content)
        good = expected in why and bool(expected) == bool(why) and "\n" not in why
        look.that(what, repr(expected), good, repr(why))
    os.mkdir(look.path("folder"))
    with Canned("", head=header()) as canned:
        canned.write("perf.data", plain)
        for data, words, said in (
            (canned.data, ["--perf-data", "perf.data"], "the profile itself"),
            (look.path("folder"), ["--perf-data", look.path("y.data")], "--threads"),
        ):
            canned.data = data
            seen = canned.run(*words)
            look.that(said, "one line", (seen.status, seen.err.count("\n"), said in seen.err) == (1, 1, True), seen.err)


@case(CASES)
def damaged_profiles(look):
    """Any bytes give a file or one line."""
    made = one_process()
    made.fork(8, 7, 3000)
    for time in range(5000, 60000, 1000):
        made.sample(time, chain=(KERNEL, 1 << 63))
    good, chance, outcomes = made.bytes(), random.Random(3), {True: 0, False: 0}
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.choice((1, 3, 10))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 8, 255))
        frames = [shown(0x2100), inserted("f")]
        try:
            made.bytes = lambda: bytes(data)
            rewritten(look, made, [(time, 7, frames) for time in range(5000, 60000, 1000)])
            outcomes[True] += 1
        except stacks.Failed:
            outcomes[False] += 1
    look.that("150 files", "some are read, some refused", min(outcomes.values()) > 10, repr(outcomes))


@case(CASES)
def other_pythons(look):
    """By table.py, with what perf script prints."""
    made = one_process()
    made.sample(10500000000)
    text = "python3  7/7  10.500000:    5 cycles: \n\t2100 f (%s)\n\t2200 py::größe:/a b.py (%s)\n\n"
    results = []
    found = {one.series: one.path for one in interpreters.find()[0]}
    for series in (None, (2, 7), (3, 6)):
        if series and series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        with Canned(text % (LIBRARY, LIBRARY)) as canned:
            canned.write("perf.data", made.bytes())
            more = {"python": found[series]} if series else {}
            seen = canned.run("--perf-data", look.path("y.data"), **more)
        look.equal("%s: status, stderr" % (series,), (0, ""), (seen.status, seen.err))
        results.append(open(look.path("y.data"), "rb").read())
        look.equal("chain", [([USER, 0x7F2100, 0x7F2200], b"")], chains(reread(look.path("y.data"))))
    look.equal("all the same", 1, len(set(results)))


if __name__ == "__main__":
    sys.exit(main("perf_chains", CASES))
