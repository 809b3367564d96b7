"""Reads a perf.data of perf record in binary: its events, its records, its features, and the layout of samples
(perf_output_sample, kernel/events/core.c)."""

import mmap
import os
import struct

import stacks
from perf_format import HEADER, MAGIC, PAIR, RECORD

# PERF_SAMPLE_
IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID, RAW, BRANCH_STACK, REGS_USER, STACK_USER = [
    1 << bit for bit in range(14)
]
IDENTIFIER = 1 << 16
BEFORE_CHAIN = (IDENTIFIER, IP, TID, TIME, ADDR, ID, STREAM_ID, CPU, PERIOD)  # 8 bytes each, in that order
AT_END = (TID, TIME, ID, STREAM_ID, CPU, IDENTIFIER)  # of other records: perf_event__output_id_sample, the same file
SAMPLE_ID_ALL, CHAIN_WITHOUT_USER = 1 << 18, 1 << 22  # flags: sample_id_all, exclude_callchain_user
# PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING are 1 and 2
READ_TIMES, READ_ID, READ_GROUP, READ_LOST = 3, 4, 8, 16
CALL_STACK, HARDWARE_INDEX, COUNTERS = 1 << 11, 1 << 17, 1 << 19  # PERF_SAMPLE_BRANCH_
BRANCH = 24  # bytes, struct perf_branch_entry
# In a perf_event_attr: the period, then sample_type, read_format and flags; branch_sample_type, sample_regs_user and
# sample_stack_user.
ATTRIBUTE_AT, ATTRIBUTE = 16, struct.Struct("<QQQQ")
USER_AT, USER = 72, struct.Struct("<QQI")
PIPE_SIZE = 16  # struct perf_pipe_file_header
FEATURE_DIRECTORY, FEATURE_COMPRESSED = 24, 27  # HEADER_DIR_FORMAT, HEADER_COMPRESSED
# Their data is not in the record: PERF_RECORD_HEADER_TRACING_DATA (of a pipe), AUXTRACE_INFO, AUXTRACE.
WITH_MORE = (66, 70, 71)
COMPRESSED = (81, 83)  # PERF_RECORD_COMPRESSED, COMPRESSED2
U64 = struct.Struct("<Q")


class Event:
    """content: a perf_event_attr."""

    def __init__(self, content):
        self.content = content
        padded = content.ljust(USER_AT + USER.size, b"\0")
        self.period, self.fields, self.read_format, self.flags = ATTRIBUTE.unpack_from(padded, ATTRIBUTE_AT)
        self.branches, registers, _ = USER.unpack_from(padded, USER_AT)
        self.registers = bin(registers).count("1")
        self.places = {}
        for field in BEFORE_CHAIN:
            if self.fields & field:
                self.places[field] = 8 * len(self.places)

    @property
    def has_stacks(self):
        return bool(self.fields & (CALLCHAIN | STACK_USER))

    @property
    def dropped(self):
        """The fields that a call chain replaces; the branches only if they were the stack (--call-graph lbr)."""
        return REGS_USER | STACK_USER | (BRANCH_STACK if self.branches & CALL_STACK else 0)

    def number(self, body, field, default=0):
        """Of a sample."""
        return U64.unpack_from(body, self.places[field])[0] if field in self.places else default

    def parts(self, body):
        """Of a sample: what is before the call chain, the chain as recorded, and what is behind it, without the
        stack."""
        at = 8 * len(self.places)
        at += self.read_size(body, at)
        before, chain = body[:at], ()
        if self.fields & CALLCHAIN:
            count = U64.unpack_from(body, at)[0]
            chain = struct.unpack_from("<%dQ" % count, body, at + 8)
            at += 8 + 8 * count
        begin = at
        if self.fields & RAW:
            at += 4 + struct.unpack_from("<I", body, at)[0]
        raw = at
        at += self.branches_size(body, at)
        kept = body[begin : raw if self.dropped & BRANCH_STACK else at]
        if self.fields & REGS_USER:
            at += 8 + (8 * self.registers if U64.unpack_from(body, at)[0] else 0)
        if self.fields & STACK_USER:
            size = U64.unpack_from(body, at)[0]
            at += 8 + (size + 8 if size else 0)
        if raw % 8 or at % 8 or at > len(body):
            raise struct.error("a field ends between two others")
        return before, chain, kept + body[at:]

    def read_size(self, body, at):
        if not self.fields & READ:
            return 0
        form = self.read_format
        times = bin(form & READ_TIMES).count("1")
        value = 1 + bin(form & (READ_ID | READ_LOST)).count("1")
        if not form & READ_GROUP:
            return 8 * (times + value)
        return 8 * (1 + times + value * U64.unpack_from(body, at)[0])

    def branches_size(self, body, at):
        if not self.fields & BRANCH_STACK:
            return 0
        count = U64.unpack_from(body, at)[0]
        size = 8 + count * BRANCH + (8 if self.branches & HARDWARE_INDEX else 0)
        return size + (8 * count if self.branches & COUNTERS else 0)

    def with_chains(self):
        """The attribute of the same event with call chains."""
        if not self.has_stacks:
            return self.content
        content = bytearray(self.content)
        fields, flags = self.fields & ~self.dropped | CALLCHAIN, self.flags & ~CHAIN_WITHOUT_USER
        ATTRIBUTE.pack_into(content, ATTRIBUTE_AT, self.period, fields, self.read_format, flags)
        if len(content) >= USER_AT + USER.size:
            USER.pack_into(content, USER_AT, 0 if self.dropped & BRANCH_STACK else self.branches, 0, 0)
        return bytes(content)


class Original:
    """Raises stacks.Failed for what is not read here."""

    def __init__(self, path):
        self.path = path
        if os.path.isdir(path):
            self.refuse("is a folder of perf record --threads: record without that option")
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        size = len(self.data)
        fields = HEADER.unpack(self.data[: HEADER.size].ljust(HEADER.size, b"\0"))
        magic, length, self.attribute_size, attributes, attributes_size, self.begin, data_size = fields[:7]
        if magic == MAGIC and length == PIPE_SIZE:
            self.refuse("was written into a pipe: record with -o FILE")
        if magic != MAGIC or length != HEADER.size or self.attribute_size <= USER_AT:
            self.refuse("is of another kind of machine, or damaged")
        # perf that was killed has not written the size.
        self.end = min(self.begin + data_size, size) if data_size else size
        self.features = self.read_features(fields[-4:]) if data_size else []
        for number, what in ((FEATURE_DIRECTORY, "--threads"), (FEATURE_COMPRESSED, "-z")):
            if number in dict(self.features):
                self.refuse("was recorded with %s: record without that option" % what)
        self.events, self.ids = [], []
        for at in range(attributes, min(attributes + attributes_size, size), self.attribute_size):
            end = at + self.attribute_size - PAIR.size
            self.events.append(Event(self.data[at:end]))
            place, length = PAIR.unpack_from(self.data, end)
            self.ids.append(self.data[place : place + length])
        if not any(event.has_stacks for event in self.events):
            self.refuse("has no stacks: record with --call-graph dwarf")
        self.of_id = {}
        for event, numbers in zip(self.events, self.ids):
            for number in struct.unpack("<%dQ" % (len(numbers) // 8), numbers):
                self.of_id[number] = event

    def refuse(self, why):
        raise stacks.Failed("%s %s; --perf-data rewrites a plain file of perf record alone" % (self.path, why))

    def read_features(self, words):
        """(number, content), in the order of numbers."""
        numbers = [64 * at + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1]
        found = []
        for at, number in enumerate(numbers):
            place, size = PAIR.unpack_from(self.data, self.end + PAIR.size * at)
            found.append((number, self.data[place : place + size]))
        return found

    def records(self):
        """(place, kind, misc, body) of each, to one that is cut or damaged, of which perf script has a word."""
        at = self.begin
        while at + RECORD.size <= self.end:
            kind, misc, size = RECORD.unpack_from(self.data, at)
            if size < RECORD.size or size % 8 or at + size > self.end:
                return
            if kind in COMPRESSED:
                self.refuse("was recorded with -z: record without that option")
            if kind in WITH_MORE:
                self.refuse("has data of a CPU's trace: record without that event")
            yield at, kind, misc, self.data[at + RECORD.size : at + size]
            at += size

    def record(self, at):
        """The body of the one at that place."""
        _, _, size = RECORD.unpack_from(self.data, at)
        return self.data[at + RECORD.size : at + size]

    def event_of(self, body):
        """Of a sample."""
        if len(self.events) == 1:
            return self.events[0]
        first = self.events[0]
        field = IDENTIFIER if IDENTIFIER in first.places else ID
        return self.of_id.get(first.number(body, field), first)

    @property
    def end_size(self):
        """Bytes that sample_id_all puts at the end of each record but samples."""
        first = self.events[0]
        return 8 * sum(bool(first.fields & field) for field in AT_END) if first.flags & SAMPLE_ID_ALL else 0

    def time(self, body):
        """Of a record that is no sample. perf makes some up, of time 0, and puts none at the end of some kinds."""
        first = self.events[0]
        if not self.end_size or not first.fields & TIME or len(body) < self.end_size:
            return 0
        return U64.unpack_from(body, len(body) - self.end_size + (8 if first.fields & TID else 0))[0]

    def ending(self, pid, time):
        """The bytes that end a record of ours; events that perf makes up have the id 0, too."""
        first = self.events[0]
        values = {TID: struct.pack("<II", pid, pid), TIME: U64.pack(time)}
        present = [field for field in AT_END if first.fields & field] if self.end_size else []
        return b"".join(values.get(field, b"\0" * 8) for field in present)
