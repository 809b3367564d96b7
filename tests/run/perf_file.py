"""What is in a perf.data, for tests: its records and features, read by their definition (perf.data-file-format.txt, and
perf_event_open(2)) and not by the code that has written them."""

import struct

COMM, FORK, SAMPLE, MMAP2 = 3, 7, 9, 10
BUILD_ID, CMDLINE, EVENT, TIMES = 2, 11, 12, 21
USER = (1 << 64) - 512


def text(data):
    return data.split(b"\0")[0].decode()


class Record:
    """Of a sample: ip, pid, tid, time, period, chain. Of others: kind, pid, tid, time, and what they have."""

    def __init__(self, kind, misc, body):
        self.kind, self.misc = kind, misc
        if kind == SAMPLE:
            self.ip, self.pid, self.tid, self.time, self.period, count = struct.unpack_from("<QIIQQQ", body)
            self.chain = struct.unpack("<%dQ" % count, body[40:])
            return
        self.pid, self.tid = struct.unpack_from("<II", body)
        self.ended = struct.unpack("<IIQ", body[-16:])
        self.time = self.ended[2]
        if kind == COMM:
            self.name = text(body[8:-16])
        elif kind == FORK:
            _, self.parent, self.tid, self.parent_tid, self.began = struct.unpack("<4IQ", body[:-16])
        elif kind == MMAP2:
            _, _, self.start, self.size, self.offset = struct.unpack_from("<IIQQQ", body)
            size = bytearray(body)[32] if misc & 1 << 14 else 0
            self.build_id = body[36 : 36 + size]
            self.protection, self.flags = struct.unpack_from("<II", body, 56)
            self.name = text(body[64:-16])


class File:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, size, attribute_size, at, length, begin, data_size, _, _ = struct.unpack_from("<8s8Q", self.data)
        assert (magic, size, attribute_size, length) == (b"PERFILE2", 104, 128, 128)
        names = "type size config period fields read_format flags".split()
        self.attribute = dict(zip(names, struct.unpack_from("<IIQQQQQ", self.data, at)))
        bits = struct.unpack_from("<4Q", self.data, 72)
        self.records = list(self.read(begin, begin + data_size))
        self.features, at = {}, begin + data_size
        for number in range(256):
            if bits[number // 64] >> number % 64 & 1:
                place, length = struct.unpack_from("<QQ", self.data, at)
                self.features[number] = self.data[place : place + length]
                at += 16
        self.end = place + length

    def read(self, at, end):
        while at < end:
            kind, misc, size = struct.unpack_from("<IHH", self.data, at)
            assert size >= 8 and size % 8 == 0 and at + size <= end, (kind, size)
            yield Record(kind, misc, self.data[at + 8 : at + size])
            at += size

    def of(self, kind):
        return [one for one in self.records if one.kind == kind]

    def build_ids(self):
        """{path: build id}"""
        found, data, at = {}, self.features[BUILD_ID], 0
        while at < len(data):
            _, misc, size = struct.unpack_from("<IHH", data, at)
            assert misc & 1 << 15 and size % 4 == 0
            number = data[at + 12 : at + 32][: bytearray(data)[at + 32]]
            found[text(data[at + 36 : at + size])] = number
            at += size
        return found

    def words(self):
        """The command line."""
        data, at, found = self.features[CMDLINE], 4, []
        for _ in range(struct.unpack_from("<I", data)[0]):
            size = struct.unpack_from("<I", data, at)[0]
            found.append(text(data[at + 4 : at + 4 + size]))
            at += 4 + size
        return found
