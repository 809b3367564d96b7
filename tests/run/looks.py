"""Shared by the tests of this folder that need no interpreter to profile: commands, looks at what they did, and the
runner."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(1, os.path.join(ROOT, "tests", "integration"))

import harness


def run(*words, **more):
    """The ended process: its status, and what it has written."""
    more.setdefault("universal_newlines", True)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(words, **streams, **more)


def make(*words, top=ROOT, **more):
    """Independent of the make that runs this. more: variables of the environment."""
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return run("make", "--no-print-directory", *words, cwd=top, env=dict(environment, **more))


def missing(*tools):
    """Those that are not installed, in the words of a skip; empty if all are."""
    absent = [tool for tool in tools if not shutil.which(tool)]
    return "missing: " + ", ".join(absent) if absent else ""


def build_folder(title):
    """That of the command line's --build."""
    parser = argparse.ArgumentParser(description=title.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build directory")
    return os.path.abspath(parser.parse_args().build)


def case(cases):
    """Adds the function to a module's list."""

    def mark(function):
        cases.append(function)
        return function

    return mark


class Look:
    """What a case has: its results, a line each, and a folder of its own."""

    def __init__(self, name, tally, folder):
        self.name, self.tally, self.folder = name, tally, folder

    def equal(self, what, expected, got):
        self.that(what, repr(expected), expected == got, repr(got))

    def that(self, what, expected, good, got):
        self.tally.report("%s: %s" % (self.name, what), expected, good, got)

    def skip(self, why):
        self.tally.skip("%s, %s: %s" % (self.tally.label, self.name, why))

    def path(self, *names):
        return os.path.join(self.folder, *names)


def main(label, cases, skipped="", kind=Look):
    """Runs all cases, each with a look of its own; none if there is a reason to skip them. Returns the exit status."""
    tally = harness.Tally(label)
    harness.clean_up_when_ended()
    if skipped:
        tally.skip("%s: %s" % (label, skipped))
    for function in cases if not skipped else ():
        with tempfile.TemporaryDirectory(prefix="pyperf-test-") as folder:
            look = kind(function.__name__.replace("_", " "), tally, folder)
            try:
                function(look)
            except harness.Skip as why:
                look.skip(why)
            except Exception:  # any error, so that the next case is run
                where = " | ".join(traceback.format_exc().strip().split("\n")[-5:])
                look.that("runs", "to its end", False, where)
    print(tally.closing())
    return 1 if tally.failed else 0
