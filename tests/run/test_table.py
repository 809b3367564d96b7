#!/usr/bin/env python3
"""scripts/run/table.py on possible output of perf script. One line for each check; the exit status
is 1 if any failed. No perf is needed."""

import os
import sys

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import canned
import harness

if __name__ == "__main__":
    sys.exit(canned.main("table", harness.cases_in(os.path.join(HERE, "table_*.py"))))
