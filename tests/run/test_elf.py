#!/usr/bin/env python3
"""scripts/run/elf.py: names of machine code in files of this machine, and in damaged ones. One line for each check; the
exit status is 1 if any failed."""

import ctypes
import os
import random
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import looks
from looks import case, main, missing

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import elf
import roots

CASES = []
SOURCE = """
static __attribute__((noinline)) int hidden(int a) { return a * 7; }
int shown(int a) { __asm__ volatile(""); return hidden(a) + 1; }
extern int other(int) __attribute__((weak, alias("shown")));
"""


def mapped(address):
    """(path, offset) of an address of this process."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split()
            start, end = (int(part, 16) for part in fields[0].split("-"))
            if start <= address < end:
                return fields[-1], address - start + int(fields[2], 16)
    raise ValueError(address)


@case(CASES)
def functions_of_this_process(look):
    cache = elf.Cache()
    python, libc = ctypes.pythonapi, ctypes.CDLL(None)
    for library, name in ((python, "PyObject_Repr"), (python, "PyList_Append"), (libc, "qsort_r"), (libc, "fputs")):
        path, offset = mapped(ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
        got = [(cache.name(path, b"", offset + more) or "").replace("_IO_", "") for more in (0, 3)]
        look.equal("%s in %s" % (name, os.path.basename(path)), [name, name], got)
    got = [cache.name(path, b"", 0), cache.name("[vdso]", b"", 64), cache.name("/none", b"", 64)]
    look.equal("the file's header, [vdso], no file", [None] * 3, got)


def build(look):
    """The library, stripped and not; the offset of `hidden`, its build id."""
    whole, bare = look.path("whole.so"), look.path("bare.so")
    with open(look.path("source.c"), "w") as out:
        out.write(SOURCE)
    words = ["gcc", "-O1", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o", whole, out.name]
    subprocess.run(words, check=True)
    subprocess.run(["strip", "-o", bare, whole], check=True)
    symbols = elf.Symbols(open(whole, "rb"), b"")
    at = {symbols.names[one[3] :].split(b"\0")[0]: one[0] for one in symbols.found}[b"hidden"]
    return whole, bare, in_file(symbols, at), symbols.file.build_id


def in_file(symbols, at):
    """The offset of an address."""
    segments = symbols.file.segments
    return next(start + at - address for start, size, address in segments if address <= at < address + size)


@case(CASES)
def build_ids_and_debug_files(look):
    if missing("gcc", "strip"):
        look.skip(missing("gcc", "strip"))
        return
    whole, bare, offset, number = build(look)
    look.equal("build id", 20, len(number))
    look.equal("whole", ["hidden"] * 2, [elf.Cache().name(whole, known, offset) for known in (number, b"")])
    look.equal("another build", None, elf.Cache().name(whole, b"x" * 20, offset))
    look.equal("removed, the file is there", "hidden", elf.Cache().name(whole + " (deleted)", number, offset))
    look.equal("stripped", None, elf.Cache().name(bare, number, offset))
    text = number.hex()
    folder = look.path("debug", text[:2])
    os.makedirs(folder)
    kept, elf.DEBUG_FILES = elf.DEBUG_FILES, look.path("debug", "%s", "%s.debug")
    try:
        shutil.copy(whole, os.path.join(folder, text[2:] + ".debug"))
        look.equal("stripped, with a debug file", "hidden", elf.Cache().name(bare, number, offset))
        shutil.copy("/bin/sh", os.path.join(folder, text[2:] + ".debug"))
        look.equal("with another's debug file", None, elf.Cache().name(bare, number, offset))
    finally:
        elf.DEBUG_FILES = kept
    shown = elf.Symbols(open(bare, "rb"), number)
    names = {shown.names[one[3] :].split(b"\0")[0] for one in shown.found}
    look.that("of .dynsym", "shown, other", {b"shown", b"other"} <= names, repr(names))
    at = next(one[0] for one in shown.found if shown.names[one[3] :].startswith(b"shown\0"))
    look.equal("the weak one is second", "shown", shown.name(in_file(shown, at)))


@case(CASES)
def damaged_files(look):
    """Any file is read to no other end than a name or none."""
    with open(os.path.realpath("/bin/sh"), "rb") as file:
        good = file.read()
    chance = random.Random(1)
    path = look.path("damaged")
    for number in range(150):
        data = bytearray(good[: chance.choice((10, 64, 1000, 20000, len(good)))])
        for _ in range(chance.choice((0, 1, 30))):
            data[chance.randrange(min(len(data), 4096))] = chance.randrange(256)
        with open(path, "wb") as out:
            out.write(data)
        elf.Cache().name(path, b"", 0x4100)
    look.that("150 files", "no error", True, "none")


@case(CASES)
def other_roots(look):
    """A file of a process with another root is found there, but not through the links of its owner."""
    folder = look.path("root", "srv")
    os.makedirs(folder)
    for name, text in (("there.py", "its"), ("both.py", "its")):
        with open(os.path.join(folder, name), "w") as out:
            out.write(text)
    with open(look.path("ours.py"), "w") as out:
        out.write("ours")
    os.symlink(look.path("ours.py"), os.path.join(folder, "link.py"))
    os.symlink("/", look.path("root", "all"))
    os.mkfifo(os.path.join(folder, "fifo.py"))
    files = roots.Roots([look.path("root"), look.path("none")])
    for path, expected in (
        ("/srv/there.py", ["its"]),
        ("/srv/link.py", []),
        ("/srv", []),
        ("/srv/none.py", []),
        ("/all" + look.path("ours.py"), []),
        (look.path("ours.py"), ["ours"]),
        ("/srv/a\0b.py", []),
        ("/srv/fifo.py", [""]),
    ):
        got = []
        for file in files.opened(path):
            with file:
                got.append(file.read().decode())
        look.equal(repr(path.replace(look.folder, "")), expected, got)


if __name__ == "__main__":
    sys.exit(main("elf", CASES))
