"""Calls new functions until it is killed. Each writes its name to the file that the first argument
names: by one write, so that it is complete or missing."""
import os
import sys

OUT = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
TEXT = """
class Class_%d:
    def method(self):
        os.write(OUT, b"Class_%d.method\\n")
def function_%d():
    os.write(OUT, b"function_%d\\n")
    Class_%d().method()
function_%d()
"""


def main():
    number = 0
    while True:
        code = compile(TEXT % ((number,) * 6), "progress-%d.py" % (number % 7), "exec")
        exec(code, {"os": os, "OUT": OUT})
        number += 1


main()
