"""Reads /tmp/perf-PID.map."""

import collections
import os
import re

# The size of a trampoline: trampoline/arch/CPU/arch.h.
SIZE = {"x86_64": 16, "aarch64": 32}[os.uname().machine]
LINE = re.compile(r"^[0-9a-f]+ %x py::.+:.+$" % SIZE)


class Map:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        # Not splitlines, which also splits at other characters.
        text = self.bytes.rstrip(b"\n").decode("utf-8")
        self.lines = text.split("\n") if text else []
        good = [line for line in self.lines if LINE.match(line)]
        self.names = [line.split(" ", 2)[2][len("py::") :] for line in good]
        self.addresses = [line.split(" ")[0] for line in self.lines]

    @property
    def malformed(self):
        return [line for line in self.lines if not LINE.match(line)]

    @property
    def empty_lines_at_end(self):
        return len(self.bytes) - len(self.bytes.rstrip(b"\n")) - 1

    @property
    def repeated_addresses(self):
        counts = collections.Counter(self.addresses)
        return sorted(address for address in counts if counts[address] > 1)

    def of_file(self, file):
        """Qualified names of the functions of one file."""
        return [name[: -len(file) - 1] for name in self.names if name.endswith(":" + file)]


def look_at_form(bench, map_file):
    bench.that("lines", "1 or more", len(map_file.lines) > 0, str(len(map_file.lines)))
    bench.equal("lines not like '%s'" % LINE.pattern, [], map_file.malformed[:5])
    bench.equal("addresses in more than one line", [], map_file.repeated_addresses[:5])
