#!/usr/bin/env python3
"""scripts/run/enclosing.py: qualified names from sources, against those of interpreters. One line for each check; the
exit status is 1 if any failed."""

import glob
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import interpreters
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import enclosing

CASES = []
FIRST = (3, 11)  # with qualified names in code objects

DUMP = r"""
import json, sys
def codes(code, depth):
    for one in code.co_consts:
        if hasattr(one, "co_code"):
            nested = depth + (one.co_name[0] == "<")
            yield one.co_name, getattr(one, "co_qualname", ""), one.co_firstlineno, nested
            for inner in codes(one, nested):
                yield inner
out = []
for path in sys.argv[1:]:
    for found in codes(compile(open(path, "rb").read(), path, "exec"), 0):
        out.append((path,) + found)
json.dump(out, sys.stdout)
"""

PYTHON_2 = '''
# -*- coding: latin-1 -*-
def outer(a, key=lambda one: one[0]):
    """A string with def fake(): in it, and 'quotes'
def fake():
    """
    print "def not_this():", `a`, 0777, ur"\\\\"
    x = ("def nor_this(", # '
  lambda: 1)
\tclass Local:
\t    @staticmethod
            # a comment
\t    @wrapped(
    1)
\t    def method(self): return [one for one in self if one]
\t    pick = lambda self: 0
\tdef inner(): exec "1"
    return sorted(a, key=lambda one: \\
        -one)
def second(): return sum(one for one in ())
try:
    class Other(object):
        def method(self):
            if x: raise E, "x"
except E, e:
    def third(): pass
'''.replace("\t", " " * 4)
EXPECTED = """outer <lambda> outer.<locals>.<lambda> outer.<locals>.Local outer.<locals>.Local.method
outer.<locals>.Local.<lambda> outer.<locals>.inner outer.<locals>.<lambda> second second.<locals>.<genexpr>
Other Other.method third""".split()


def codes(path, *files):
    words = [path, "-E", "-s", "-W", "ignore", "-c", DUMP] + list(files)
    done = subprocess.run(words, stdout=subprocess.PIPE, env=interpreters.plain_environment(), check=True)
    return json.loads(done.stdout.decode())


@case(CASES)
def standard_library(look):
    """All functions of some modules, as an interpreter names them that has the names in its code objects."""
    chosen = [one for one in interpreters.find()[0] if one.series >= FIRST and one.supported]
    folder = os.path.dirname(os.__file__)
    files = sorted(glob.glob(os.path.join(folder, "*.py")))[::4] + glob.glob(os.path.join(folder, "asyncio", "*.py"))
    if not chosen:
        look.skip("no Python 3.11 or later here")
        return
    sources, total, wrong = enclosing.Sources(), 0, []
    for path, name, qualname, line, nested in codes(chosen[0].path, *files):
        if nested - (name[0] == "<") > 0:
            continue  # within a lambda or comprehension
        total += 1
        got = sources.qualified(name, path, line)
        if got != qualname:
            wrong.append((path, line, qualname, got))
    # A function that is declared global in another has a name of its own.
    good = total > 2000 and len(wrong) <= 2
    look.that("%d names" % total, "2,000, and 2 wrong at the most", good, "%d: %r" % (len(wrong), wrong[:3]))


@case(CASES)
def python_2(look):
    with open(look.path("two.py"), "w") as out:
        out.write(PYTHON_2)
    chosen = [one for one in interpreters.find()[0] if one.series == (2, 7)]
    if not chosen:
        look.skip("no Python 2.7 here")
        return
    found = codes(chosen[0].path, out.name)
    found.sort(key=lambda one: (one[3], one[1] == "<lambda>"))
    sources = enclosing.Sources()
    look.equal("names", EXPECTED, [sources.qualified(name, path, line) for path, name, _, line, _ in found])


@case(CASES)
def other_files(look):
    """What is not the source of the function gives its bare name."""
    with open(look.path("a.py"), "w") as out:
        out.write("class A:\n    def f(self): pass\n    g = 1\n")
    sources = enclosing.Sources()
    for what, expected, asked in (
        ("there", "A.f", ("f", out.name, 2)),
        ("another line", "f", ("f", out.name, 1)),
        ("another name", "g", ("g", out.name, 2)),
        ("no lambda there", "<lambda>", ("<lambda>", out.name, 3)),
        ("behind the end", "f", ("f", out.name, 99)),
        ("no such file", "f", ("f", look.path("b.py"), 2)),
        ("no file", "f", ("f", "<string>", 2)),
        ("a folder", "f", ("f", look.folder, 2)),
        ("a zero byte", "f", ("f", "/a\0b.py", 2)),
        ("the module", "<module>", ("<module>", out.name, 1)),
    ):
        look.equal(what, expected, sources.qualified(*asked))


if __name__ == "__main__":
    sys.exit(main("enclosing", CASES))
