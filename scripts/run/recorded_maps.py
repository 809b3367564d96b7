"""Where in a process an address is that perf script prints: perf 6.1 prints places in files, perf 5.10 and 7.2
addresses in the process (sample__fprintf_callchain, tools/perf/util/evsel_fprintf.c)."""

import struct

import python2
from perf_format import COMM, COMM_EXEC, FORK, MMAP, MMAP2

DATA = 1 << 13  # PERF_RECORD_MISC_MMAP_DATA
EXECUTE = 4  # PROT_EXEC
PLACE = struct.Struct("<IIQQQ")  # pid, tid, address, size, offset
NAME_AT = {MMAP: PLACE.size, MMAP2: PLACE.size + 32}
PROTECTION_AT = PLACE.size + 24
KERNEL = 0xFFFFFFFF  # the pid of the kernel's mappings
VDSO = u"[vdso]"  # perf takes its offset for 0 (map__new, tools/perf/util/map.c)


class Process:
    """generation: another number after each exec. files: {name: [(executable, start, end, offset)]}, newest last."""

    def __init__(self, generation, files=()):
        self.generation = generation
        self.files = {name: list(rows) for name, rows in dict(files).items()}
        self.known = {}

    def map(self, name, row):
        rows = self.files.setdefault(name, [])
        if row in rows:
            rows.remove(row)
        rows.append(row)
        self.known.clear()

    def readings(self, name, printed):
        """The two addresses that it may be, None for what it cannot be: itself, and that of a place in the file."""
        key = name, printed
        if key not in self.known:
            rows = self.files.get(name, ())
            self.known[key] = found([row for row in rows if row[0]], printed) or found(rows, printed) or (printed, None)
        return self.known[key]


def found(rows, printed):
    itself = place = None
    for _, start, end, offset in rows:
        if start <= printed < end:
            itself = printed
        if offset <= printed < offset + end - start:
            place = start + printed - offset
    return None if itself is None and place is None else (itself, place)


class Maps:
    """Of all processes, as they change. changes: of change(), with the time in front."""

    def __init__(self, changes):
        self.changes = sorted(changes, key=lambda one: one[0])  # those of one time stay in their order
        self.taken = [row[1:3] for _, pid, _, row, _ in self.changes if row and pid != KERNEL]
        self.changes.reverse()
        self.processes, self.generations = {}, 0
        self.places = 0  # how often it was clear that perf prints places, less how often it was clear that it does not

    def process(self, pid, time):
        """As it was at that time, which must not be before that of the last call."""
        while self.changes and self.changes[-1][0] <= time:
            self.apply(*self.changes.pop()[1:])
        return self.processes.get(pid) or self.renew(pid)

    def address(self, process, name, printed):
        itself, place = process.readings(name, printed)
        if name in process.files and (itself is None) != (place is None):
            self.places += 1 if itself is None else -1
        return place if itself is None or place is not None and self.places > 0 else itself

    def renew(self, pid, files=()):
        self.generations += 1
        self.processes[pid] = Process(self.generations, files)
        return self.processes[pid]

    def apply(self, pid, parent, row, name):
        if row:
            (self.processes.get(pid) or self.renew(pid)).map(name, row)
        elif parent is None:
            self.renew(pid)
        elif parent in self.processes and parent != pid:
            self.renew(pid, self.processes[parent].files)


def change(kind, misc, body):
    """The change that a record makes, or None: the process; its parent, if it begins; a mapping (executable, start, end,
    offset), and its name as perf script prints it. With neither of them, the process has called exec."""
    if kind == FORK:
        return struct.unpack_from("<II", body) + (None, None)
    if kind == COMM and misc & COMM_EXEC:
        return struct.unpack_from("<I", body)[0], None, None, None
    if kind not in NAME_AT:
        return None
    pid, _, start, size, offset = PLACE.unpack_from(body)
    executable = not misc & DATA if kind == MMAP else struct.unpack_from("<I", body, PROTECTION_AT)[0] & EXECUTE
    name = python2.escaped_text(body[NAME_AT[kind] :].split(b"\0")[0])
    return pid, None, (bool(executable), start, start + size, 0 if name == VDSO else offset), name
