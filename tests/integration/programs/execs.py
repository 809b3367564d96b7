"""Starts its own interpreter again: as a child, and by exec."""
import os
import subprocess
import sys

CODE = """
import os
def in_%s(): return os.getpid()
print(in_%s())
"""


def before():
    child = CODE % ("child", "child")
    sys.stdout.write(subprocess.check_output([sys.executable, "-c", child]).decode())
    sys.stdout.flush()


before()
successor = CODE % ("successor", "successor")
os.execv(sys.executable, [sys.executable, "-c", successor])
