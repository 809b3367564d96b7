#!/usr/bin/env python3
"""scripts/pyperf-run in situations of bug reports. One line for each check; the exit status is 1 if
any failed."""

import os
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too

import harness
import recorded

if __name__ == "__main__":
    cases = harness.cases_in(os.path.join(looks.HERE, "situations_*.py"))
    sys.exit(recorded.main(cases, __doc__))
