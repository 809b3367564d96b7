"""A profile of the sampler: its samples and frames as those of perf (stacks.py), with lines if they are wanted.

A stack is a path in a tree. Each frame is made once, and each stack once for each thread, with the number of its
samples.
"""

from __future__ import division

import array
import bisect
import sys

import elf
import enclosing
import lines
import model
import sample_file
import stacks

EVENT, WALL_EVENT = "cpu-clock", "wall-clock"
STATES = {state: model.Frame(None, name, model.WAITING) for state, name in model.STATE_NAMES.items()}
ENCODINGS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
# A file's name may have lone surrogates, which 2.7 knows no handler for.
LENIENT = "surrogatepass" if sys.version_info[0] > 2 else "replace"


class Recording:
    """How a profile was recorded; records() are its samples: with `locked`, those of threads that had the
    interpreter's lock. files: the roots.Roots in which names are looked for."""

    mode = stacks.INSIDE
    stack_size = max_stack = first = last = command = None  # of perf

    def __init__(self, path, by_line=False, locked=False, files=None):
        self.path, self.locked, self.notes = path, locked, []
        self.names = names = Names(by_line, files)
        self.processes = [Process(part, names) for part in sample_file.parts(path)]
        headers = [one.part.header for one in self.processes]
        self.watched = any(one.flags & sample_file.WATCHED for one in headers)  # has threads that wait
        self.events = (WALL_EVENT if self.watched else EVENT,)
        self.period = headers[0].period if headers else 0
        spans = [(one.part.header.began, one.last) for one in self.processes]
        self.lasted = (max(last for _, last in spans) - min(first for first, _ in spans)) / 1e9 if spans else None
        self.used = [sum(one.used for one in self.processes) / 1e9]
        for one in self.processes:
            self.notes += one.notes()

    @property
    def calls_cut(self):
        """Samples that lack Python functions."""
        seen = [pair for one in self.processes for pair in one.seen.items()]
        return sum(count for (_, _, flags), count in seen if flags & sample_file.CALLS_CUT)

    @property
    def machine_code_cut(self):
        """Samples that have all Python functions, and not all of machine code."""
        return sum(one.machine_code_cut for one in self.processes)

    @property
    def how(self):
        rate = 1e9 / self.period if self.period else 0
        return "taken inside the program at %d Hz%s" % (round(rate), " with the GIL held" if self.locked else "")

    @property
    def began(self):
        """Seconds, of the clock of the samples, and since 1970."""
        header = min((one.part.header for one in self.processes), key=lambda header: header.began)
        return header.began / 1e9, header.began_utc / 1e9

    def first_line(self, name, file):
        return self.names.first_lines.get((name, file))

    def records(self):
        for process in self.processes:
            for sample in process.samples(self.events[0], self.locked):
                yield sample

    def moments(self):
        """Each sample by itself, in the order of time."""
        found = [
            (time, number, at) for number, one in enumerate(self.processes) for time, at in one.moments()
        ]
        found.sort()
        for _, number, at in found:
            sample = self.processes[number].moment(at, self.events[0], self.locked)
            if sample:
                yield sample


class Names:
    """Sources and symbol tables, which the frames of all processes share."""

    def __init__(self, by_line, files):
        self.by_line = by_line
        self.sources, self.symbols = enclosing.Sources(files), elf.Cache(files)
        self.first_lines = {}  # (name, file): the first, where several functions have the name (a property)

    def python(self, code, instruction):
        function, line = (code.qualified(self.sources), code.file), code.lines.line(instruction)
        self.first_lines[function] = min(code.first, self.first_lines.get(function, code.first))
        if self.by_line:
            function += (line,)
        frame = model.Frame(function, model.PYTHON + u":".join(u"%s" % part for part in function), u"")
        frame.line, frame.column, frame.first = line, code.lines.column(instruction), code.first
        return frame

    def native(self, mapping, address):
        if mapping is None:
            return model.Frame(None, model.UNKNOWN, model.UNKNOWN)
        start, _, offset, path, build_id = mapping
        symbol = self.symbols.name(path, build_id, address - start + offset)
        return model.Frame(None, symbol or model.UNKNOWN, path)


class Code:
    """A code object as it was copied from the process."""

    __slots__ = ("name", "file", "qualname", "first", "version", "table", "form", "decoded")

    def __init__(self, data, at, size, version):
        _, self.first, name, file, qualname, table, width, self.form = sample_file.CODE_HEAD.unpack_from(data, at)
        start, end = at + sample_file.CODE_HEAD.size, at + size
        texts = []
        for number, length in enumerate((name, file, qualname)):
            texts.append(text(data[start : min(start + length, end)], width >> 4 * number & 15))
            start += length
        self.name, self.file, self.qualname = texts
        self.version, self.table, self.decoded = version, data[start : min(start + table, end)], None

    @property
    def lines(self):
        if self.decoded is None:
            self.decoded = lines.Table(self.version, self.first, self.table, self.form)
        return self.decoded

    def qualified(self, sources):
        return self.qualname or sources.qualified(self.name, self.file, self.first)


def text(data, width):
    if width in ENCODINGS:
        try:
            return data.decode(ENCODINGS[width], LENIENT)
        except UnicodeDecodeError:
            return data.decode(ENCODINGS[width], "replace")
    return data.decode("utf-8", "pyperf-escaped")


class Mappings:
    """Which file is where in a process. A later one takes the place of what it overlaps."""

    def __init__(self):
        self.starts, self.rows = [], []  # (start, end, offset, path, build id)

    def add(self, row):
        """Whether it has changed what was known."""
        start, end = row[:2]
        kept = [one for one in self.rows if one[1] <= start or one[0] >= end]
        changed = len(kept) < len(self.rows)
        for one in self.rows if changed else ():
            if one[0] < start < one[1]:
                kept.append((one[0], start) + one[2:])
            if one[0] < end < one[1]:
                kept.append((end, one[1], one[2] + end - one[0]) + one[3:])
        self.rows = sorted(kept + [row])
        self.starts = [one[0] for one in self.rows]
        return changed

    def find(self, address):
        at = bisect.bisect_right(self.starts, address) - 1
        return self.rows[at] if at >= 0 and address < self.rows[at][1] else None


class Sample(model.Sample):
    """A node of the tree. What its stack has is found when it is asked for. moment: its time in nanoseconds, if it is
    one alone."""

    __slots__ = ("process", "node", "moment")

    @property
    def stack(self):
        return id(self.process), self.node, self.state

    @property
    def frames(self):
        stack = self.process.stack(self.node)
        return stack if self.state == model.RUNS else [STATES[self.state]] + stack

    @property
    def own(self):
        return self.process.own(self.node)

    @property
    def functions(self):
        return self.process.functions(self.node)


class Process:
    """The tree of one process, and how often each of its stacks was seen in each thread."""

    def __init__(self, part, names):
        self.part, self.names, self.name = part, names, command(part.header.name)
        self.last = part.header.began
        self.parents = array.array("I")
        self.numbers = array.array("I")  # of the frames of nodes; 0: it is no node
        self.frames, self.known = [None], {}
        self.addresses = [None]  # of the frames, None of Python's
        self.codes, self.threads, self.mappings = {}, {}, Mappings()
        self.unmapped = {}  # addresses of frames whose mapping may come later
        self.seen, self.orphans = {}, 0  # (node, thread, flags): how often
        self.latest = {}  # thread: node of its last sample, and what that lacks
        self.ready = {}  # place of a sample without frames: the node that it has, and its flags
        self.taken = array.array("I")  # ids of the samples
        self.mapped = []  # (how many samples were before, whether it has replaced others, row)
        self.functions_of = {0: frozenset()}  # nodes
        self.read()

    def read(self):
        """What the part has; of one that grows (following.py), what has come since the last time."""
        self.last = max(self.last, self.part.header.ended)
        more = array.array("I", [0]) * ((self.part.base + len(self.part.data)) // 8 + 1 - len(self.parents))
        self.parents.extend(more)
        self.numbers.extend(more)
        self.read_records()
        for number, address in self.unmapped.items():
            self.frames[number] = self.names.native(self.mappings.find(address), address)

    def read_records(self):
        data, base, node = self.part.data, self.part.base, sample_file.NODE.unpack_from
        for at, kind, size in self.part.records():
            number = base + at >> 3
            if kind == sample_file.NATIVE:
                _, parent, lower, upper = node(data, at)
                self.add_node(number, parent, self.native_number(upper << 32 | lower))
            elif kind == sample_file.PYTHON:
                _, parent, code, instruction = node(data, at)
                self.add_node(number, parent, self.python_number(code, instruction))
            elif kind == sample_file.SAMPLE:
                self.add_sample(base + at, *sample_file.SAMPLE_BODY.unpack_from(data, at)[1:])
            elif kind == sample_file.CODE:
                self.codes[number] = Code(data, at, size, self.part.version)
            elif kind == sample_file.MAPPING:
                self.add_mapping(data, at, size)
            elif kind == sample_file.THREAD:
                _, thread, name = sample_file.THREAD_BODY.unpack_from(data, at)
                self.threads[thread] = command(name)

    def add_node(self, node, parent, number):
        # Records refer to earlier ones alone, so there are no circles.
        if parent and (parent >= node or not self.numbers[parent]):
            self.orphans += 1
        else:
            self.parents[node], self.numbers[node] = parent, number

    def native_number(self, address):
        number = self.known.get(address)
        if number is None:
            mapping = self.mappings.find(address)
            number = self.known[address] = len(self.frames)
            if mapping is None:
                self.unmapped[number] = address
            self.frames.append(mapping and self.names.native(mapping, address))
            self.addresses.append(address)
        return number

    def python_number(self, code, instruction):
        key = (code, instruction)
        number = self.known.get(key)
        if number is None:
            number = self.known[key] = len(self.frames)
            self.addresses.append(None)
            if code in self.codes:
                self.frames.append(self.names.python(self.codes[code], instruction))
            else:
                self.orphans += 1
                self.frames.append(model.Frame((model.UNKNOWN, u""), model.PYTHON + model.UNKNOWN, u""))
        return number

    def add_mapping(self, data, at, size):
        _, id_size, start, end, offset, build_id = sample_file.MAPPING_HEAD.unpack_from(data, at)
        path = data[at + sample_file.MAPPING_HEAD.size : at + size].split(b"\0")[0]
        row = (start, end, offset, path.decode("utf-8", "pyperf-escaped"), build_id[:id_size])
        if start >= end:
            return
        changed = self.mappings.add(row)
        self.mapped.append((len(self.taken), changed, row))
        if changed:
            # An address may be that of another function from now on.
            self.known = {key: number for key, number in self.known.items() if isinstance(key, tuple)}

    def add_sample(self, at, node, thread, weight, flags, time):
        if node >= len(self.numbers) or (node and not self.numbers[node]):
            self.orphans += 1
            return
        self.last = max(self.last, time)
        self.taken.append(at >> 3)
        if flags & sample_file.WAITS_FOR_CPU:
            node, lacks = self.latest.get(thread, (0, 0))
            flags |= lacks
            self.ready[at] = node, flags
        else:
            self.latest[thread] = node, flags & (sample_file.CUT | sample_file.CALLS_CUT)
        key = (node, thread, flags)
        self.seen[key] = self.seen.get(key, 0) + (weight or 1)

    def samples(self, event, locked):
        for (node, thread, flags), count in self.seen.items():
            if locked and not flags & sample_file.HAS_LOCK:
                continue
            one = self.sample(node, thread, flags, count, self.last, event)
            # A thread that has no sample yet, and waits for a CPU, has nothing to lose.
            one.whole = self.is_whole(node, flags) if node else one.state == model.WAITS_FOR_CPU
            yield one

    def sample(self, node, thread, flags, count, time, event):
        header = self.part.header
        one = Sample(self.name_of(thread), header.pid, thread, time / 1e9, count * header.period, event)
        one.process, one.node, one.count, one.moment, one.state = self, node, count, time, state(flags)
        return one

    def name_of(self, thread):
        return self.threads.get(thread) or self.name

    def moments(self):
        """(time, place) of each sample."""
        body, data = sample_file.SAMPLE_BODY.unpack_from, self.part.data
        return ((body(data, number << 3)[-1], number << 3) for number in self.taken)

    def moment(self, at, event, locked):
        """The sample at that place; None if it is not wanted."""
        _, node, thread, weight, flags, time = sample_file.SAMPLE_BODY.unpack_from(self.part.data, at)
        node, flags = self.ready.get(at, (node, flags))
        if locked and not flags & sample_file.HAS_LOCK:
            return None
        return self.sample(node, thread, flags, weight or 1, time, event)

    def is_whole(self, node, flags):
        """Whether all of its Python functions are there, or, if there is none, all of its machine code. The dynamic
        loader runs before _start, as totals.is_whole has it."""
        if flags & sample_file.CALLS_CUT:
            return False
        return not flags & sample_file.CUT or self.own(node) is not None or self.stack(node)[-1].loader

    def stack(self, node):
        found, frames, numbers, parents = [], self.frames, self.numbers, self.parents
        while node:
            found.append(frames[numbers[node]])
            node = parents[node]
        return found

    def own(self, node):
        """The innermost Python function, or None."""
        while node:
            function = self.frames[self.numbers[node]].function
            if function is not None:
                return function
            node = self.parents[node]
        return None

    def functions(self, node):
        """The Python functions from this node outwards: those of its parent, and perhaps one more. Most nodes share
        theirs with others."""
        known, path = self.functions_of, []
        while node not in known:
            path.append(node)
            node = self.parents[node]
        found = known[node]
        for node in reversed(path):
            function = self.frames[self.numbers[node]].function
            if function is not None and function not in found:
                found = found | {function}
            known[node] = found
        return found

    @property
    def machine_code_cut(self):
        """Samples that have all Python functions, and not all of machine code."""
        cut = ((node, flags, count) for (node, _, flags), count in self.seen.items() if flags & sample_file.CUT)
        return sum(count for node, flags, count in cut if self.is_whole(node, flags))

    @property
    def used(self):
        """CPU time in nanoseconds; of a process that was killed as far as there are samples."""
        header = self.part.header
        if header.flags & sample_file.WHOLE:
            return header.used
        return sum(count for (_, _, flags), count in self.seen.items() if state(flags) == model.RUNS) * header.period

    def notes(self):
        """Sentences on what is missing."""
        header, who = self.part.header, "process %d (%s)" % (self.part.header.pid, command(self.part.header.name))
        if header.lost:
            yield "Of %s %s did not fit into its file of %.0f MB: record less often (-F)." % (
                who,
                "{:,} samples".format(header.lost),
                header.limit / 1e6,
            )
        if self.part.cut:
            yield "The profile ends within the part of %s: samples at its end are missing." % who
        if self.part.damaged or self.orphans:
            places = self.part.damaged + self.orphans
            yield "Of %s %d records are damaged, and samples that need them are missing." % (who, places)


def state(flags):
    if not flags & sample_file.WAITS:
        return model.RUNS
    if flags & sample_file.WAITS_FOR_CPU:
        return model.WAITS_FOR_CPU
    return model.WAITS_FOR_LOCK if flags & sample_file.WAITS_FOR_LOCK else model.WAITS


def command(name):
    return name.split(b"\0")[0].decode("utf-8", "pyperf-escaped")
