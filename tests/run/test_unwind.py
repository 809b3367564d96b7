#!/usr/bin/env python3
"""pyperf-unwind: perf sees the callers of musl's functions with its copy, and not without; libraries
that it declines; damaged ones.

usage: test_unwind.py --build DIR
"""

import argparse
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))

import harness

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static char from[1 << 15], to[1 << 15];
static int compare(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
__attribute__((noinline)) static int work(int n)
{
    for (int i = 0; i < 20; i++) memcpy(to, from, sizeof to);
    for (int i = 0; i < 200; i++) free(malloc(100 + (size_t)i));
    for (int i = 0; i < 20; i++) lseek(n, 0, SEEK_CUR);
    for (int i = 0; i < 300; i++) to[i] = (char)(i * 7919);
    qsort(to, 300, 1, compare);
    return to[n];
}
int main(void)
{
    int sum = 0;
    while (clock() < CLOCKS_PER_SEC / 2) sum += work(0);
    return sum == 1;
}
"""
UNWIND_SH = os.path.join(HERE, "../../scripts/run/unwind.sh")
ENVIRONMENT = dict(os.environ, LC_ALL="C")


def run(*words):
    return subprocess.run(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def share(folder, *options):
    """Of the stacks that begin in libc or in a system call: how many, and how many percent of them reach
    main. The loader's work before main is some stacks in two hundred."""
    words = ("perf", "script", "-i", os.path.join(folder, "data")) + options
    text = run(*words, "--no-inline", "-F", "ip,sym,dso").stdout.decode("utf-8", "replace")
    stacks = [stack for stack in text.split("\n\n") if re.search(r"/(libc\.so|ld-musl)", stack.split(" work ")[0])]
    return len(stacks), 100 * sum(" main " in stack for stack in stacks) // max(1, len(stacks))


def look_at_stacks(check, unwind, loader, folder):
    program = os.path.join(folder, "program")
    with open(program + ".c", "w") as file:
        file.write(SOURCE)
    flags = ["-O1", "-fasynchronous-unwind-tables", "-Wl,--eh-frame-hdr"]
    check("compiled", 0, run("musl-gcc", *flags, "-o", program, program + ".c").returncode)
    data = os.path.join(folder, "data")
    run("perf", "record", "-N", "-B", "-F", "499", "--call-graph", "dwarf,8192", "-o", data, program)
    stacks, percent = share(folder)
    check("without: 50 stacks or more, whole less than 10 %", (True, True), (stacks >= 50, percent < 10))
    libc, copy, files = os.path.realpath(loader), os.path.join(folder, "libc"), os.path.join(folder, "its files")
    check("made", (0, b""), (lambda done: (done.returncode, done.stderr))(run(unwind, libc, copy)))
    put = '. "$0" && put_in_place "$@"'
    check("put in place", 0, run("sh", "-c", put, UNWIND_SH, copy, files, libc).returncode)
    stacks, percent = share(folder, "--symfs", files, "--kallsyms", "/proc/kallsyms")
    check("with: whole, at least 97 %", True, percent >= 97)
    print("     %d stacks, %d %%" % (stacks, percent))


def look_at_damage(check, unwind, loader, folder):
    """Sizes, offsets and code changed at random: never a signal, never half a file."""
    with open(loader, "rb") as file:
        whole = file.read()
    dice, ended = random.Random(1), set()
    damaged, out = os.path.join(folder, "damaged"), os.path.join(folder, "out")
    for _ in range(20):
        image = bytearray(whole[: dice.choice((len(whole), len(whole), dice.randrange(len(whole))))])
        at = dice.choice((range(0x40), range(0x40, 0x240), range(len(whole) - 2000, len(whole))))
        for _ in range(dice.randrange(1, 9)):
            place = dice.choice(at)
            if 16 <= place < len(image):
                image[place] = dice.randrange(256)
        with open(damaged, "wb") as file:
            file.write(image)
        ended.add(run(unwind, damaged, out).returncode)
        if os.path.exists(out):
            os.unlink(out)
    check("damaged: statuses", True, ended <= {0, 1})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    unwind = os.path.join(os.path.abspath(parser.parse_args().build), "pyperf-unwind")
    harness.clean_up_when_ended()
    tally = harness.Tally("unwind")

    def check(what, expected, got):
        tally.report(what, repr(expected), expected == got, repr(got))

    loaders = glob.glob("/lib/ld-musl-*.so.1")
    if not loaders or shutil.which("musl-gcc") is None or shutil.which("perf") is None:
        tally.skip("unwind: no musl-gcc (apt-get install musl-tools), or no perf")
        print(tally.closing())
        return 0
    with tempfile.TemporaryDirectory(prefix="pyperf-unwind-") as folder:
        look_at_stacks(check, unwind, loaders[0], folder)
        look_at_damage(check, unwind, loaders[0], folder)
        out = os.path.join(folder, "declined")
        for path, why in ((sys.executable, "it has unwind data"), (__file__, "it is no ELF file"), ("/", "Invalid")):
            done = run(unwind, path, out)
            said = done.stderr.decode()
            check("declined, " + why, (1, True, False), (done.returncode, why in said, os.path.exists(out)))
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
