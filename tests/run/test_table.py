#!/usr/bin/env python3
"""scripts/run/table.py on possible output of perf script. One line for each check; the exit status
is 1 if any failed. No perf is needed."""

import os
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import harness

if __name__ == "__main__":
    sys.exit(looks.main("table", harness.cases_in(os.path.join(looks.HERE, "table_*.py"))))
