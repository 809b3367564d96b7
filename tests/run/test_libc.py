#!/usr/bin/env python3
"""What the built files need of a libc: nothing above glibc 2.17, and no other library.

usage: test_libc.py --build DIR
"""

import argparse
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
NEWEST = (2, 17)
FILES = ("libpyperf.so", "libpyperf-plan.so", "pyperf-inspect", "pyperf-unwind")


def output(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout


def imports(path):
    """(name, version, whether weak) of each symbol that the file takes from elsewhere."""
    for line in output("objdump", "-T", path).splitlines():
        match = re.match(r"[0-9a-f]+ (.{7}) \*UND\*\s+[0-9a-f]+\s+\(?(\S*?)\)?\s+(\S+)$", line)
        if match:
            yield match.group(3), match.group(2), "w" in match.group(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = parser.parse_args().build
    passed = failed = 0
    for name in FILES:
        path = os.path.join(build, name)
        found = list(imports(path))
        numbers = [
            (tuple(map(int, version[6:].split("."))), symbol)
            for symbol, version, _ in found
            if version.startswith("GLIBC_")
        ]
        newer = [symbol for number, symbol in numbers if number > NEWEST]
        # glibc 2.17 ends a program for a weak one that it lacks.
        weak = [s for s, v, is_weak in found if is_weak and v != "Base" and s != "__cxa_finalize"]
        libraries = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", path))
        for what, expected, got in (
            ("takes symbols", True, len(numbers) > 20),
            ("newer than glibc 2.17", [], newer),
            ("weak, with a version", [], weak),
            ("libraries", ["libc.so.6"], libraries),
        ):
            good = expected == got
            passed, failed = passed + good, failed + (not good)
            verdict = "ok  " if good else "FAIL"
            print("%s libc, %s: %s, expected %s, got %s" % (verdict, name, what, expected, got))
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
