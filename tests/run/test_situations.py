#!/usr/bin/env python3
"""scripts/pyperf-run in situations of bug reports. One line for each check; the exit status is 1 if
any failed."""

import sys

sys.dont_write_bytecode = True

import recorded
import situations_together

MODULES = (situations_together,)

if __name__ == "__main__":
    sys.exit(recorded.main([one for module in MODULES for one in module.CASES], __doc__))
