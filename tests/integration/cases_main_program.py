"""Which file the main program is: not always the one that was executed."""

import os
import re
import subprocess

from harness import Skip, case
from outcome import MAP, result_of

CASES = []
PROGRAM = "import sys\ndef f(): return sys.is_stack_trampoline_active()\nprint(f())"


def loader(path):
    """The dynamic loader that a program names."""
    words = ["readelf", "-lW", path]
    done = subprocess.run(words, stdout=subprocess.PIPE, universal_newlines=True, check=True)
    found = re.search(r"program interpreter: (\S+)\]", done.stdout)
    if not found or not os.path.exists(found.group(1)):
        raise Skip("its dynamic loader is not on this machine")
    return found.group(1)


@case(CASES)
def started_by_the_loader(bench):
    """ld.so PYTHON: /proc/self/exe is the loader."""
    start = [loader(bench.python), bench.python]
    words, environment = bench.asked(start + ["-c", PROGRAM], bench.environment())
    done = bench.run(words, environment)
    bench.equal("status, output", (0, "True\n", ""), done.seen)
    bench.equal("left in /tmp", MAP, result_of(bench, done.pid))
