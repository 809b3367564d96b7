#!/usr/bin/env python3
"""pyperf-inspect, on libraries made here in place of libpython.

    test_inspect.py [--build DIR]        (CC names the compiler)

Each case is one line: verdict, case, expected, got.
"""

import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True

import looks

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


def library(evaluator="_PyEval_EvalFrameDefault", count=40, linkage="", others="", own=""):
    """Functions with the evaluator; `own` and `others` are their attributes."""
    functions = [("f%d" % number, "static", others) for number in range(count)]
    return functions + [(evaluator, linkage, own)]


class Test(looks.Look):
    def make(self, name, functions, *options):
        """A library of functions: (name, linkage, attribute)."""
        source, path = self.path(name + ".c"), self.path(name + ".so")
        with open(source, "w") as out:
            out.write("int used(int, char **);\n")
            for number, (function, linkage, attribute) in enumerate(functions):
                out.write(FUNCTION % (attribute, linkage, function, number, number))
            out.write(USE % ", ".join(function for function, _, _ in functions))
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", path, source]
        subprocess.run(command + list(options), check=True)
        return path

    def run(self, *paths):
        inspect = os.path.join(looks.build_folder(__doc__), "pyperf-inspect")
        environment = dict(os.environ, ASAN_OPTIONS="exitcode=99", UBSAN_OPTIONS="exitcode=99")
        return looks.run(inspect, *paths, env=environment, timeout=60)

    def answers(self, *paths):
        return dict(line.split("=", 1) for line in self.run(*paths).stdout.splitlines())

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
                path = self.make(name, functions, option, *more)
                found = self.answers(path)
                what = "%s%s" % (name, "".join(more))
                got = (found.get("frame-pointers"), found.get("share"))
                self.equal(what, expected, got)

    def address_of(self, path, name):
        for line in subprocess.check_output(["nm", "-S", path]).decode().splitlines():
            words = line.split()
            if words[-1] == name:
                return "%#x %d" % (int(words[0], 16), int(words[1], 16))
        return None

    def places(self):
        """The place of the symbol, also in a stripped library."""
        path = self.make("places", library(), NO_FRAMES, "-g")
        where = self.address_of(path, "_PyEval_EvalFrameDefault")
        found = self.answers(path)
        self.equal("exported", ("dynsym", where), (found.get("found"), found.get("evaluator")))
        hidden = '__attribute__((visibility("hidden")))'
        path = self.make("hidden", library(linkage=hidden), FRAMES)
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
        path = self.make("none", library("main_loop"), FRAMES)
        text = self.path("none.c")
        for what in (path, text, "/nonexistent", "/proc/self", "/dev/zero", self.folder):
            done = self.run(what)
            name = os.path.basename(what)
            self.equal("%s: status, output" % name, (1, ""), (done.returncode, done.stdout))
            self.equal("%s: lines" % name, 1, len(done.stderr.splitlines()))
        good = self.make("second", library(), FRAMES)
        self.equal("a later file", good, self.answers(text, path, good).get("file"))

    def long_names(self):
        """19 MiB of names."""
        path = self.make("long", library(count=300), NO_FRAMES)
        names = self.path("names")
        with open(names, "w") as out:
            for number in range(300):
                out.write("f%d %s%d\n" % (number, "f" * (1 << 16), number))
        subprocess.run(["objcopy", "--redefine-syms=" + names, path], check=True)
        self.equal("long names", "0/301", self.answers(path).get("share"))

    def damaged(self):
        """Damaged files give only its defined exit statuses."""
        with open(self.make("whole", library(), NO_FRAMES), "rb") as file:
            whole = file.read()
        choose, statuses = random.Random(1), {}
        headers = list(range(0, 1024)) + list(range(len(whole) - 4096, len(whole)))
        path = self.path("damaged.so")
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


if __name__ == "__main__":
    cases = [Test.frame_pointers, Test.places, Test.none, Test.long_names, Test.damaged]
    sys.exit(looks.main("pyperf-inspect", cases, kind=Test))
