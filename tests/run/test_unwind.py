#!/usr/bin/env python3
"""pyperf-unwind: perf sees the callers of musl's functions with its copy, and not without; libraries
that it declines; damaged ones.

usage: test_unwind.py --build DIR
"""

import glob
import os
import random
import re
import sys

sys.dont_write_bytecode = True

import looks

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
UNWIND_SH = os.path.join(looks.ROOT, "scripts/run/unwind.sh")
LOADERS = glob.glob("/lib/ld-musl-*.so.1")
ENVIRONMENT = dict(os.environ, LC_ALL="C")


def unwind():
    return os.path.join(looks.build_folder(__doc__), "pyperf-unwind")


def run(*words):
    return looks.run(*words, env=ENVIRONMENT, errors="replace")


def share(folder, *options):
    """Of the stacks that begin in libc or in a system call: how many, and how many percent of them reach
    main. The loader's work before main is some stacks in two hundred."""
    words = ("perf", "script", "-i", os.path.join(folder, "data")) + options
    text = run(*words, "--no-inline", "-F", "ip,sym,dso").stdout
    stacks = [stack for stack in text.split("\n\n") if re.search(r"/(libc\.so|ld-musl)", stack.split(" work ")[0])]
    return len(stacks), 100 * sum(" main " in stack for stack in stacks) // max(1, len(stacks))


def stacks(look):
    program, folder = look.path("program"), look.folder
    with open(program + ".c", "w") as file:
        file.write(SOURCE)
    flags = ["-O1", "-fasynchronous-unwind-tables", "-Wl,--eh-frame-hdr"]
    look.equal("compiled", 0, run("musl-gcc", *flags, "-o", program, program + ".c").returncode)
    data = look.path("data")
    run("perf", "record", "-N", "-B", "-F", "499", "--call-graph", "dwarf,8192", "-o", data, program)
    count, percent = share(folder)
    look.equal("without: 50 stacks or more, whole less than 10 %", (True, True), (count >= 50, percent < 10))
    libc, copy, files = os.path.realpath(LOADERS[0]), look.path("libc"), look.path("its files")
    done = run(unwind(), libc, copy)
    look.equal("made", (0, ""), (done.returncode, done.stderr))
    put = '. "$0" && put_in_place "$@"'
    look.equal("put in place", 0, run("sh", "-c", put, UNWIND_SH, copy, files, libc).returncode)
    count, percent = share(folder, "--symfs", files, "--kallsyms", "/proc/kallsyms")
    look.equal("with: whole, at least 97 %", True, percent >= 97)
    print("     %d stacks, %d %%" % (count, percent))


def damage(look):
    """Sizes, offsets and code changed at random: never a signal, never half a file."""
    with open(LOADERS[0], "rb") as file:
        whole = file.read()
    dice, ended = random.Random(1), set()
    damaged, out = look.path("damaged"), look.path("out")
    for _ in range(20):
        image = bytearray(whole[: dice.choice((len(whole), len(whole), dice.randrange(len(whole))))])
        at = dice.choice((range(0x40), range(0x40, 0x240), range(len(whole) - 2000, len(whole))))
        for _ in range(dice.randrange(1, 9)):
            place = dice.choice(at)
            if 16 <= place < len(image):
                image[place] = dice.randrange(256)
        with open(damaged, "wb") as file:
            file.write(image)
        ended.add(run(unwind(), damaged, out).returncode)
        if os.path.exists(out):
            os.unlink(out)
    look.equal("statuses", True, ended <= {0, 1})


def declined(look):
    out = look.path("declined")
    for path, why in ((sys.executable, "it has unwind data"), (__file__, "it is no ELF file"), ("/", "Invalid")):
        done = run(unwind(), path, out)
        look.equal(why, (1, True, False), (done.returncode, why in done.stderr, os.path.exists(out)))


if __name__ == "__main__":
    skipped = looks.missing("musl-gcc", "perf") or ("" if LOADERS else "no musl (apt-get install musl)")
    sys.exit(looks.main("unwind", [stacks, damage, declined], skipped))
