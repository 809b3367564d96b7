#!/usr/bin/env python3
"""scripts/run/table.py on what perf script may print. A line for each thing looked at; the exit
status is 1 when one of them was not as expected. No perf is needed."""

import os
import sys
import traceback

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness
import table_advice
import table_numbers
import table_text
import table_use

MODULES = (table_numbers, table_advice, table_text, table_use)


class Look:
    def __init__(self, name, tally):
        self.name, self.tally = name, tally

    def equal(self, what, expected, got):
        self.that(what, repr(expected), expected == got, repr(got))

    def that(self, what, expected, good, got):
        self.tally.report("%s: %s" % (self.name, what), expected, good, got)


def main():
    tally = harness.Tally("table")
    for module in MODULES:
        for function in module.CASES:
            look = Look(function.__name__.replace("_", " "), tally)
            try:
                function(look)
            except Exception:  # whatever it is, the next case is to be run
                where = " | ".join(traceback.format_exc().strip().split("\n")[-5:])
                look.that("runs", "to its end", False, where)
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
