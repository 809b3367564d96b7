#!/usr/bin/env python3
"""scripts/pyperf-run in situations of bug reports. One line for each check; the exit status is 1 if
any failed."""

import sys

sys.dont_write_bytecode = True

import recorded
import situations_daemon
import situations_isolated
import situations_killed
import situations_preload
import situations_together
import situations_unpacked

MODULES = (
    situations_together,
    situations_isolated,
    situations_preload,
    situations_daemon,
    situations_unpacked,
    situations_killed,
)

if __name__ == "__main__":
    sys.exit(recorded.main([one for module in MODULES for one in module.CASES], __doc__))
