#!/usr/bin/env python3
"""set-loader, on programs made here.

Usage: test_set_loader.py        (CC names the compiler)

Each case is one line: verdict, case, expected, got.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness

SET_LOADER = os.path.join(ROOT, "scripts", "set-loader")
# The program needs one library, that another, and it opens a third, which needs a fourth.
LIBRARIES = {
    "below": ("int below(void) { return 2; }", ()),
    "needed": ("int below(void); int needed(void) { return 40 + below(); }", ("below",)),
    "under": ("int under(void) { return 7; }", ()),
    "opened": ("int under(void); int opened(void) { return 90 + under(); }", ("under",)),
}
PROGRAM = """
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int needed(void);

int main(void)
{
    static char large[100000];
    char line[4096];
    void *library = dlopen("libopened.so", RTLD_NOW);
    int (*opened)(void) = library ? (int (*)(void))dlsym(library, "opened") : NULL;
    printf("%d %d %d\\n", needed(), opened ? opened() : 0, large[99999]);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, " r-xp ") && strstr(line, "ld-"))
            printf("%s", strchr(line, '/'));
    return 0;
}
"""


class Maker:
    def __init__(self, folder):
        self.folder = folder
        self.libraries = os.path.join(folder, "libraries")
        os.mkdir(self.libraries)
        for name, (text, needs) in LIBRARIES.items():
            self.compile(name + ".c", text, "libraries/lib%s.so" % name, needs, "-shared", "-fPIC")

    def compile(self, source, text, name, needs, *options):
        with open(os.path.join(self.folder, source), "w") as file:
            file.write(text)
        path = os.path.join(self.folder, name)
        command = [os.environ.get("CC", "cc"), "-o", path, os.path.join(self.folder, source)]
        command += ["-L", self.libraries, "-Wl,--allow-shlib-undefined"] + list(options)
        command += ["-l" + one for one in needs]
        subprocess.run(command, check=True)
        return path

    def program(self, name, *options):
        options += "-Wl,-z,separate-code", "-ldl"
        return self.compile("program.c", PROGRAM, name, ("needed",), *options)


def run(*command):
    plain = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    done = subprocess.run(
        command,
        env=plain,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    return done.returncode, done.stdout


def loader_of(path):
    return re.search(r"interpreter: (.*)\]", run("readelf", "-lW", path)[1]).group(1)


def sections(path):
    """Name: address, place in the file, bytes. Without .dynamic, which changes."""
    with open(path, "rb") as file:
        image = file.read()
    found = {}
    form = r"\] (\.\S+) +(\w+) +(\w+) (\w+) (\w+)"
    for name, kind, address, place, size in re.findall(form, run("readelf", "-SW", path)[1]):
        place, size = int(place, 16), int(size, 16)
        content = b"" if kind == "NOBITS" else image[place : place + size]
        if name != ".dynamic":
            found[name] = (address, place, content)
    return found


def segments(path):
    """Of each in memory: its flags, and how much of it is in the file."""
    form = r"LOAD +(?:0x\w+ ){3}(0x\w+) 0x\w+ ([RWE ]{3})"
    shown = run("readelf", "-lW", path)[1]
    return [(flags, int(size, 16)) for size, flags in re.findall(form, shown)]


def grown(before, after):
    return [flags for (flags, old), (_, new) in zip(before, after) if new != old]


def look_at_program(maker, equal, kind):
    """Both paths in the first segment."""
    path = maker.program("program" + kind, kind)
    status, _ = run(path)
    equal("%s, without its libraries" % kind, 127, status)
    before, size = sections(path), segments(path)
    own = os.path.join(maker.folder, "ld-own.so")
    shutil.copy(os.path.realpath(loader_of(path)), own)
    equal("%s, set-loader" % kind, (0, ""), run(SET_LOADER, path, maker.libraries, own))
    equal("%s, started by its path" % kind, (0, "42 97 0\n%s\n" % own), run(path))
    moved = [name for name, what in sections(path).items() if what != before[name]]
    equal("%s, sections that are not as they were" % kind, [], moved)
    equal("%s, the segment that has grown" % kind, ["R  "], grown(size, segments(path)))
    equal("%s, a second time" % kind, 1, run(SET_LOADER, path, maker.libraries, own)[0])
    equal("%s, what a second time does" % kind, 0, run(path)[0])


def look_at_room(maker, equal):
    """The first segment's last page is full: then another's."""
    path = maker.program("narrow", "-no-pie")
    before = segments(path)
    room = -before[0][1] % 4096
    long = maker.libraries + "".join(":/%s" % ("x" * 60) for _ in range(room // 62 + 1))
    equal("no room in the first", (0, ""), run(SET_LOADER, path, long))
    after = segments(path)
    equal("no room in the first, it", before[0], after[0])
    equal("no room in the first, the one that has grown", ["R  "], grown(before, after))
    equal("no room in the first, started", 0, run(path)[0])
    path = maker.program("wide", "-no-pie")
    before = sections(path)
    equal("no room at all", 1, run(SET_LOADER, path, "/" + "x" * 4096)[0])
    equal("no room at all, as it was", True, sections(path) == before)


def look_at_refusals(maker, equal):
    said = {}
    texts = {"empty": b"", "short": b"\x7fELF\x02\x01" + bytes(100), "text": b"#!/bin/sh\n" * 50}
    for name, text in texts.items():
        path = os.path.join(maker.folder, name)
        with open(path, "wb") as file:
            file.write(text)
        status, shown = run(SET_LOADER, path, "/libraries", "/loader")
        said[name] = (status, "Traceback" in shown, shown.count("\n"))
        with open(path, "rb") as file:
            said[name] += (file.read() == text,)
    equal("no programs: one line each", dict.fromkeys(texts, (1, False, 1, True)), said)


def main():
    tally = harness.Tally("set-loader")

    def equal(case, expected, got):
        tally.report(case, repr(expected)[:300], expected == got, repr(got))

    folder = tempfile.mkdtemp(prefix="pyperf-test-")
    try:
        maker = Maker(folder)
        for kind in ("-pie", "-no-pie"):
            look_at_program(maker, equal, kind)
        look_at_room(maker, equal)
        look_at_refusals(maker, equal)
    finally:
        shutil.rmtree(folder)
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
