"""Reads a jitdump by Linux's tools/perf/Documentation/jitdump-specification.txt, version 1.

Independent of the code that writes it. Raises Damaged for anything that the specification does not
allow, also for a truncated record."""

import struct

MAGIC = 0x4A695444
LOAD, MOVE, DEBUG_INFO, CLOSE, UNWINDING_INFO = range(5)
NAMES = ("load", "move", "debug info", "close", "unwinding info")
HEADER = "IIIIIIQQ"
PREFIX = "IIQ"


class Damaged(Exception):
    pass


class Header:
    def __init__(self, words):
        self.magic, self.version, self.size, self.machine = words[:4]
        self.padding, self.pid, self.timestamp, self.flags = words[4:]


class Record:
    """The fields of all records; those that are parsed have more."""

    def __init__(self, kind, size, timestamp, offset):
        self.kind, self.size, self.timestamp, self.offset = kind, size, timestamp, offset
        self.is_filler = False


class Dump:
    def __init__(self, data):
        self.data = data
        self.order = "<" if data[:4] == struct.pack("<I", MAGIC) else ">"
        self.header = Header(self.unpack(HEADER, 0))
        if self.header.magic != MAGIC:
            raise Damaged("magic %#x" % self.header.magic)
        if self.header.size < struct.calcsize("=" + HEADER):
            raise Damaged("a header of %d bytes" % self.header.size)
        # Debug info without entries fills up pages.
        self.records = [one for one in self.read(self.header.size) if not one.is_filler]
        self.loads = [one for one in self.records if one.kind == LOAD]

    def unpack(self, form, offset):
        form = self.order + form
        if offset + struct.calcsize(form) > len(self.data):
            raise Damaged("the file ends in the middle of %s at %d" % (form, offset))
        return struct.unpack_from(form, self.data, offset)

    def read(self, offset):
        while offset < len(self.data):
            record = Record(*(self.unpack(PREFIX, offset) + (offset,)))
            if record.kind >= len(NAMES):
                raise Damaged("record %d at %d" % (record.kind, offset))
            if offset + record.size > len(self.data):
                raise Damaged("%s at %d ends behind the file" % (NAMES[record.kind], offset))
            if record.size < struct.calcsize("=" + PREFIX):
                raise Damaged("%s of %d bytes at %d" % (NAMES[record.kind], record.size, offset))
            body = offset + struct.calcsize("=" + PREFIX)
            if record.kind == LOAD:
                self.read_load(record, body)
            elif record.kind == UNWINDING_INFO:
                self.read_unwinding(record, body)
            elif record.kind == DEBUG_INFO:
                _, entries = self.unpack("QQ", body)
                record.is_filler = entries == 0
            yield record
            offset += record.size

    def read_load(self, record, body):
        end = record.offset + record.size
        fields = self.unpack("IIQQQQ", body)
        record.pid, record.tid, record.vma, record.address, record.code_size, record.index = fields
        name = body + struct.calcsize("=IIQQQQ")
        stop = self.data.find(b"\0", name, end)
        if stop < 0 or stop + 1 + record.code_size != end:
            raise Damaged("load at %d: name and code are not what is left" % record.offset)
        record.name = self.data[name:stop].decode("utf-8", "surrogateescape")
        record.code = self.data[stop + 1 : end]

    def read_unwinding(self, record, body):
        fields = self.unpack("QQQ", body)
        record.unwinding_size, record.header_size, record.mapped_size = fields
        start = body + struct.calcsize("=QQQ")
        record.unwinding = self.data[start : start + record.unwinding_size]
        rest = record.offset + record.size - start - record.unwinding_size
        if not 0 <= rest < 8:
            raise Damaged("unwinding info at %d: %d bytes of padding" % (record.offset, rest))
        if record.header_size > record.unwinding_size or record.mapped_size < record.unwinding_size:
            raise Damaged("unwinding info at %d: sizes" % record.offset)


def load(path):
    with open(path, "rb") as file:
        return Dump(file.read())
