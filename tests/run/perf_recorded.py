"""A perf.data as perf record writes it, for tests: made by its definition (perf.data-file-format.txt and
perf_event_open(2)). reread() takes such a file apart again."""

import collections
import struct

MMAP, LOST, COMM, EXIT, FORK, SAMPLE, MMAP2, FINISHED_ROUND = 1, 2, 3, 4, 7, 9, 10, 68
KERNEL_MODE, USER_MODE, EXEC = 1, 2, 1 << 13
KERNEL, USER = (1 << 64) - 128, (1 << 64) - 512
IP, TID, TIME, ADDR, READ, CHAIN, ID, CPU, PERIOD, STREAM, RAW, BRANCH, REGISTERS, STACK, WEIGHT = [
    1 << bit for bit in range(15)
]
DATA_SRC, IDENTIFIER, TRANSACTION = 1 << 15, 1 << 16, 1 << 17
BASIC = IP | TID | TIME | CHAIN | PERIOD | REGISTERS | STACK
ALL_IDS = 1 << 18  # sample_id_all
NO_USER_CHAIN = 1 << 22
EVENT_DESC = 12


def quads(*numbers):
    return struct.pack("<%dQ" % len(numbers), *numbers)


def attribute(fields, registers=7, branches=0, read_format=0, copied=64):
    """A perf_event_attr of 128 bytes."""
    head = struct.pack("<IIQQQQQ", 1, 128, 0, 4000, fields, read_format, ALL_IDS | NO_USER_CHAIN)
    tail = quads(branches, registers) + struct.pack("<I", copied)
    return (head.ljust(72, b"\1") + tail).ljust(128, b"\2")


def padded(text):
    return text.encode() + b"\0" * (8 - len(text.encode()) % 8)


class Recording:
    """attributes: of the events; ids: for each a list."""

    def __init__(self, attributes=None, ids=None):
        self.attributes = attributes or [attribute(BASIC)]
        self.ids = ids or [[] for _ in self.attributes]
        self.records, self.features = [], {}

    def record(self, kind, body, misc=0, size=None):
        self.records.append(struct.pack("<IHH", kind, misc, size or 8 + len(body)) + body)

    def ending(self, pid, time):
        fields = struct.unpack_from("<Q", self.attributes[0], 24)[0]
        values = ((TID, pid << 32 | pid), (TIME, time), (ID, 0), (STREAM, 0), (CPU, 0), (IDENTIFIER, 0))
        return quads(*[value for field, value in values if fields & field])

    def comm(self, pid, time, misc=EXEC):
        self.record(COMM, struct.pack("<II", pid, pid) + padded("python3") + self.ending(pid, time), misc)

    def fork(self, pid, parent, time):
        self.record(FORK, struct.pack("<IIIIQ", pid, parent, pid, parent, time) + self.ending(parent, time))

    def mmap(self, pid, time, start, size, offset, name, protection=5):
        body = struct.pack("<IIQQQIIQQII", pid, pid, start, size, offset, 0, 0, 0, 0, protection, 2)
        self.record(MMAP2, body + padded(name) + self.ending(pid, time), USER_MODE)

    def sample(self, time, pid=7, tid=None, ip=0x1000, chain=(), misc=USER_MODE, period=5):
        """Of the fields in BASIC, with a stack of 64 bytes."""
        body = quads(ip, (tid or pid) << 32 | pid, time, period, len(chain), *chain)
        self.record(SAMPLE, body + quads(2, 11, 12, 13) + quads(64) + b"s" * 64 + quads(64), misc)

    def bytes(self):
        at, ids, places = 104, b"", []
        for numbers in self.ids:
            places.append((at + len(ids), 8 * len(numbers)))
            ids += quads(*numbers)
        attributes = b"".join(one + quads(*place) for one, place in zip(self.attributes, places))
        data = b"".join(self.records)
        begin = at + len(ids) + len(attributes)
        out = b"PERFILE2" + quads(104, 144, at + len(ids), len(attributes), begin, len(data), 0, 0)
        bits = sum(1 << number for number in self.features)
        out += quads(bits, 0, 0, 0) + ids + attributes + data
        content, place = b"", len(out) + 16 * len(self.features)
        for _, feature in sorted(self.features.items()):
            out += quads(place + len(content), len(feature))
            content += feature
        return out + content


Reread = collections.namedtuple("Reread", "attributes ids records features")


def reread(path):
    """records: (kind, misc, body); features: {number: content}."""
    with open(path, "rb") as file:
        data = file.read()
    magic, size, each, at, length, begin, data_size = struct.unpack_from("<8s6Q", data)
    assert (magic, size) == (b"PERFILE2", 104) and length % each == 0
    attributes, ids = [], []
    for place in range(at, at + length, each):
        attributes.append(data[place : place + each - 16])
        start, count = struct.unpack_from("<QQ", data, place + each - 16)
        ids.append(list(struct.unpack_from("<%dQ" % (count // 8), data, start)))
    records, end, at = [], begin + data_size, begin
    while at < end:
        kind, misc, size = struct.unpack_from("<IHH", data, at)
        assert size >= 8 and size % 8 == 0 and at + size <= end, (kind, size)
        records.append((kind, misc, data[at + 8 : at + size]))
        at += size
    bits, features = struct.unpack_from("<Q", data, 72)[0], {}
    for number in range(64):
        if bits >> number & 1:
            place, length = struct.unpack_from("<QQ", data, at)
            features[number] = data[place : place + length]
            at += 16
    return Reread(attributes, ids, records, features)
