"""Makes and drops functions, a pair at a time, so that code objects reuse the addresses of dead
ones.

    dropped.py COUNT look    each inner one checks its own stack: "N looked at", and for each frame
                             with another one's name a line
    dropped.py COUNT         each inner one uses CPU time, for perf
"""

import ctypes
import os
import sys

DEPTH = 40  # return addresses; the innermost trampoline's is among the first dozen
BATCH = 500
TRAMPOLINE = {"x86_64": 16, "aarch64": 32}[os.uname()[4]]  # bytes
PAIR = """
def outer_{0}(work):
    def inner_{0}():
        return work()
    return inner_{0}()
"""


class Looker:
    """The trampolines on the stack, and their names in the map."""

    def __init__(self):
        self.backtrace = ctypes.CDLL(None).backtrace
        self.addresses = (ctypes.c_void_p * DEPTH)()
        self.number = 0
        self.map = open("/tmp/perf-%d.map" % os.getpid(), "rb")
        self.names = {}
        self.seen = []
        self.wrong = []
        self.looked = 0

    def look(self):
        count = self.backtrace(self.addresses, DEPTH)
        self.seen.append((self.number, self.addresses[:count]))

    def read_map(self):
        start = self.map.tell()
        new = self.map.read().rstrip(b"\n")  # its reserved bytes are newlines
        self.map.seek(start + len(new))
        for line in new.decode("utf-8").strip("\n").split("\n"):
            address, size, name = (line or "0 0 ::").split(" ", 2)
            if int(size, 16) == TRAMPOLINE:
                self.names[int(address, 16)] = name.split(":")[2]

    def check(self):
        self.read_map()
        for number, addresses in self.seen:
            trampolines = [self.names.get((address or 0) // TRAMPOLINE * TRAMPOLINE) for address in addresses]
            names = [name for name in trampolines if name is not None]
            expected = ["Looker.look", "outer_%d.<locals>.inner_%d" % (number, number)]
            expected.append("outer_%d" % number)
            self.looked += 1
            if names[:3] != expected:
                self.wrong.append((number, names[:3]))
        self.seen = []


def work():
    total = 0
    for i in range(3000):
        total += i
    return total


def call_pair(number, argument):
    space = {}
    exec(PAIR.format(number), space)
    return space["outer_%d" % number](argument)


def main():
    count = int(sys.argv[1])
    if len(sys.argv) < 3:
        for number in range(count):
            call_pair(number, work)
        return
    looker = Looker()
    for number in range(count):
        looker.number = number
        call_pair(number, looker.look)
        if number % BATCH == BATCH - 1:
            looker.check()
    looker.check()
    sys.stdout.write("%d looked at\n" % looker.looked)
    for one in looker.wrong[:5]:
        sys.stdout.write("%d: %r\n" % one)


main()
