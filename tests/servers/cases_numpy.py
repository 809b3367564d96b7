"""numpy: Python called from its loops, and its own libraries beside ours."""

import packages
from cases_greenlet import look_at_output
from harness import case

CASES = []
SUBJECT = "numpy"


@case(CASES, needs=("servers",))
def numpy_arrays(bench):
    packages.require_module("numpy")
    look_at_output(bench, "arrays.py")
