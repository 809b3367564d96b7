#!/usr/bin/env python3
"""pyperf-inspect, on libraries made here in place of libpython.

Usage: test_inspect.py PYPERF-INSPECT        (CC names the compiler)

Each case is one line: verdict, case, expected, got.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness

# Calls and loops, so that each needs callee-saved registers, and no two are alike.
FUNCTION = """
__attribute__((noinline%s)) %s int %s(int count, char **texts)
{
    int sum = %d;
    for (int i = 0; i < count; i++)
        if (texts[i])
            sum += used(i, texts) * sum + used(sum, texts + %d);
    return sum * count + used(count, texts);
}
"""
USE = 'int used(int, char **);\nint (*const all[])(int, char **) = {%s};\n'
FRAMES, NO_FRAMES = "-fno-omit-frame-pointer", "-fomit-frame-pointer"
FLIPS = 300


class Maker:
    """Makes libraries of functions: (name, linkage, attribute)."""

    def __init__(self, folder):
        self.folder = folder

    def make(self, name, functions, *options):
        source, path = self.path(name + ".c"), self.path(name + ".so")
        with open(source, "w") as out:
            out.write("int used(int, char **);\n")
            for number, (function, linkage, attribute) in enumerate(functions):
                out.write(FUNCTION % (attribute, linkage, function, number, number))
            out.write(USE % ", ".join(function for function, _, _ in functions))
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", path, source]
        subprocess.run(command + list(options), check=True)
        return path

    def path(self, name):
        return os.path.join(self.folder, name)


def library(evaluator="_PyEval_EvalFrameDefault", count=40, linkage="", others="", own=""):
    """Functions with the evaluator; `own` and `others` are their attributes."""
    functions = [("f%d" % number, "static", others) for number in range(count)]
    return functions + [(evaluator, linkage, own)]


class Test:
    def __init__(self, inspect, maker):
        self.inspect, self.maker = inspect, maker
        self.tally = harness.Tally("pyperf-inspect")

    def run(self, *paths):
        return subprocess.run(
            [self.inspect] + list(paths),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, ASAN_OPTIONS="exitcode=99", UBSAN_OPTIONS="exitcode=99"),
            universal_newlines=True,
            timeout=60,
        )

    def answers(self, *paths):
        return dict(line.split("=", 1) for line in self.run(*paths).stdout.splitlines())

    def equal(self, case, expected, got):
        self.tally.report(case, repr(expected), expected == got, repr(got))

    def frame_pointers(self):
        keep = ', optimize("no-omit-frame-pointer")'
        for name, functions, option, expected in (
            ("with", library(), FRAMES, ("yes", "41/41")),
            ("without", library(), NO_FRAMES, ("no", "0/41")),
            ("evaluator-alone", library(own=keep), NO_FRAMES, ("partly", "1/41")),
            ("all-but-evaluator", library(others=keep), NO_FRAMES, ("partly", "40/41")),
            ("of-2.7", library("PyEval_EvalFrameEx"), FRAMES, ("yes", "41/41")),
        ):
            for more in ((), ("-fcf-protection=full",)):
                path = self.maker.make(name, functions, option, *more)
                found = self.answers(path)
                what = "%s%s" % (name, "".join(more))
                got = (found.get("frame-pointers"), found.get("share"))
                self.equal("frame pointers, " + what, expected, got)

    def address_of(self, path, name):
        for line in subprocess.check_output(["nm", "-S", path]).decode().splitlines():
            words = line.split()
            if words[-1] == name:
                return "%#x %d" % (int(words[0], 16), int(words[1], 16))
        return None

    def places(self):
        """The place of the symbol, also in a stripped library."""
        path = self.maker.make("places", library(), NO_FRAMES, "-g")
        where = self.address_of(path, "_PyEval_EvalFrameDefault")
        found = self.answers(path)
        self.equal("exported", ("dynsym", where), (found.get("found"), found.get("evaluator")))
        hidden = '__attribute__((visibility("hidden")))'
        path = self.maker.make("hidden", library(linkage=hidden), FRAMES)
        where = self.address_of(path, "_PyEval_EvalFrameDefault")
        found = self.answers(path)
        self.equal("hidden", ("symtab", where), (found.get("found"), found.get("evaluator")))
        debug = path + ".debug"
        subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
        subprocess.run(["strip", "--strip-all", path], check=True)
        self.equal("stripped", 1, self.run(path).returncode)
        subprocess.run(["objcopy", "--add-gnu-debuglink=" + debug, path], check=True)
        found = self.answers(path)
        got = tuple(found.get(key) for key in ("found", "evaluator", "frame-pointers", "share"))
        self.equal("in a debug file", ("debug file", where, "yes", "1/1"), got)
        subprocess.run(["objcopy", "--remove-section=.gnu_debuglink", path], check=True)
        subprocess.run(["xz", "-k", debug], check=True)
        packed = ".gnu_debugdata=%s.xz" % debug
        subprocess.run(["objcopy", "--add-section", packed, path], check=True)
        found = self.answers(path)
        self.equal("packed", ("gnu_debugdata", where), (found.get("found"), found.get("evaluator")))

    def none(self):
        path = self.maker.make("none", library("main_loop"), FRAMES)
        text = self.maker.path("none.c")
        for what in (path, text, "/nonexistent", "/proc/self", "/dev/zero", self.maker.folder):
            done = self.run(what)
            name = os.path.basename(what)
            self.equal("%s: status, output" % name, (1, ""), (done.returncode, done.stdout))
            self.equal("%s: lines" % name, 1, len(done.stderr.splitlines()))
        good = self.maker.make("second", library(), FRAMES)
        self.equal("a later file", good, self.answers(text, path, good).get("file"))

    def long_names(self):
        """19 MiB of names."""
        path = self.maker.make("long", library(count=300), NO_FRAMES)
        names = self.maker.path("names")
        with open(names, "w") as out:
            for number in range(300):
                out.write("f%d %s%d\n" % (number, "f" * (1 << 16), number))
        subprocess.run(["objcopy", "--redefine-syms=" + names, path], check=True)
        self.equal("long names", "0/301", self.answers(path).get("share"))

    def damaged(self):
        """Damaged files give only its defined exit statuses."""
        with open(self.maker.make("whole", library(), NO_FRAMES), "rb") as file:
            whole = file.read()
        choose, statuses = random.Random(1), {}
        headers = list(range(0, 1024)) + list(range(len(whole) - 4096, len(whole)))
        path = self.maker.path("damaged.so")
        for number in range(FLIPS):
            bytes_of = bytearray(whole)
            for _ in range(choose.randint(1, 8)):
                bytes_of[choose.choice(headers)] = choose.choice((0, 1, 127, 128, 255))
            if number % 10 == 0:
                del bytes_of[choose.randrange(len(whole)) :]
            with open(path, "wb") as out:
                out.write(bytes_of)
            status = self.run(path).returncode
            statuses[status] = statuses.get(status, 0) + 1
        self.equal("%d damaged files: statuses" % FLIPS, [0, 1], sorted(statuses))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    harness.clean_up_when_ended()
    folder = tempfile.mkdtemp(prefix="pyperf-test-inspect-")
    test = Test(os.path.realpath(sys.argv[1]), Maker(folder))
    try:
        test.frame_pointers()
        test.places()
        test.none()
        test.long_names()
        test.damaged()
    finally:
        shutil.rmtree(folder)
    print(test.tally.closing())
    return 1 if test.tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
