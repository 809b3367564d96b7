#!/usr/bin/env python3
"""What the built files need of a libc: nothing above glibc 2.17, and no other library. Where the archives of
libelf, capstone and liblzma need more, as those of Debian 13 do, the Makefile links two of them to libraries.

usage: test_libc.py --build DIR
"""

import os
import re
import sys

sys.dont_write_bytecode = True

import looks

NEWEST = (2, 17)
FILES = ("libpyperf.so", "libpyperf-plan.so", "pyperf-inspect", "pyperf-unwind", "pyperf-attach")
DEBIAN_12 = "glibc 2.36"  # with whose archives, and earlier ones, it must work


def output(*words):
    return looks.run(*words, check=True).stdout


def number(version):
    """That of "glibc 2.36" or "GLIBC_2.2.5", for a comparison."""
    return tuple(map(int, version[6:].split(".")))


def imports(path):
    """(name, version, whether weak) of each symbol that the file takes from elsewhere."""
    for line in output("objdump", "-T", path).splitlines():
        match = re.match(r"[0-9a-f]+ (.{7}) \*UND\*\s[0-9a-f]+ +\(?(\S*?)\)? +(\S+)$", line)
        if match:
            yield match.group(3), match.group(2), "w" in match.group(1)


def is_newer():
    """Whether this machine is newer than the Debian whose archives need no more than glibc 2.17."""
    return number(os.confstr("CS_GNU_LIBC_VERSION")) > number(DEBIAN_12)


def needs(look):
    build = looks.build_folder(__doc__)
    with open(os.path.join(build, "plan-libraries")) as file:
        by_libraries = "-Bstatic" not in file.read()
    for name in FILES:
        if by_libraries and name != "libpyperf.so" and is_newer():
            look.skip("%s: the archives of this machine need more than glibc 2.17" % name)
            continue
        path = os.path.join(build, name)
        found = list(imports(path))
        numbers = [
            (number(version), symbol) for symbol, version, _ in found if version.startswith("GLIBC_")
        ]
        newer = [symbol for this, symbol in numbers if this > NEWEST]
        # glibc 2.17 ends a program for a weak one that it lacks. Of one without a version objdump says "Base",
        # or nothing.
        weak = [s for s, v, is_weak in found if is_weak and v not in ("", "Base") and s != "__cxa_finalize"]
        libraries = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", path))
        look.equal("%s: takes symbols" % name, True, len(numbers) > 20)
        look.equal("%s: newer than glibc 2.17" % name, [], newer)
        look.equal("%s: weak, with a version" % name, [], weak)
        look.equal("%s: libraries" % name, ["libc.so.6"], libraries)


if __name__ == "__main__":
    sys.exit(looks.main("libc", [needs]))
