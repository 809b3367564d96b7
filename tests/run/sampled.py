"""Profiles as the sampler writes them (preload/sampler/sample_format.h), for tests."""

import struct

HEADER, SEGMENT = 4096, 1 << 20
UNFINISHED, PADDING, NATIVE, PYTHON, CODE, MAPPING, SAMPLE, THREAD = range(1, 9)
CUT = WHOLE = 1
MILLISECOND = 1000000
CODECS = {0: "utf-8", 1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}


class Profile:
    """Of one process. Each method that adds a frame or a code object returns its id."""

    def __init__(self, pid=7, python=(3, 9), name="python3", version=b"1", **more):
        self.fields = dict(period=5 * MILLISECOND, began=10 ** 10, ended=12 * 10 ** 9, used=10 ** 9)
        self.fields.update(dict(dict(lost=0, flags=WHOLE), **more))
        self.pid, self.python_version, self.name, self.version = pid, python, name.encode(), version
        self.data = bytearray(HEADER)

    def add(self, kind, body):
        body += b"\0" * (-(len(body) + 4) % 8)
        size = len(body) + 4
        left = SEGMENT - len(self.data) % SEGMENT
        if size > left:
            self.data += struct.pack("<I", PADDING | left // 8 << 8) + b"\0" * (left - 4)
        at = len(self.data)
        self.data += struct.pack("<I", kind | size // 8 << 8) + body
        return at // 8

    def native(self, parent, address):
        return self.add(NATIVE, struct.pack("<IQ", parent, address))

    def python(self, parent, code, instruction=0):
        return self.add(PYTHON, struct.pack("<III", parent, code, instruction))

    def code(self, name, file="/srv/app.py", line=1, table=b"", qualname="", width=(1, 1, 1)):
        texts = [one.encode(CODECS[size], "surrogatepass") for one, size in zip((name, file, qualname), width)]
        widths = width[0] | width[1] << 4 | width[2] << 8
        sizes = [len(one) for one in texts] + [len(table)]
        return self.add(CODE, struct.pack("<7I", line, *(sizes + [widths, 0])) + b"".join(texts) + table)

    def mapping(self, start, end, path, offset=0, build_id=b""):
        body = struct.pack("<IQQQ24s", len(build_id), start, end, offset, build_id)
        return self.add(MAPPING, body + path.encode() + b"\0")

    def sample(self, frame, thread=None, weight=1, flags=0, time=11 * 10 ** 9):
        thread = self.pid if thread is None else thread
        return self.add(SAMPLE, struct.pack("<IIHHQ", frame, thread, weight, flags, time))

    def thread(self, thread, name):
        return self.add(THREAD, struct.pack("<I16s", thread, name.encode()))

    def bytes(self, reserved=0):
        """The file; with bytes of zeros that are reserved behind it, or cut to be one of several."""
        fields = self.fields
        header = struct.pack("<8sQ", b"PYPERFS" + self.version, len(self.data))
        header += struct.pack("<4I", self.pid, 1, self.number, fields["flags"])
        order = ("period", "began", "began", "ended", "used", "lost")
        header += struct.pack("<7Q16s", *([fields[one] for one in order] + [64 << 20, self.name]))
        whole = header + bytes(self.data[len(header) :])
        return whole + b"\0" * (reserved or -len(whole) % HEADER)

    @property
    def number(self):
        return self.python_version[0] << 8 | self.python_version[1]


def simple(**more):
    """main calls work, in two lines; machine code is of no known file. 100 samples of work, 20 of main."""
    made = Profile(**more)
    made.mapping(0x1000, 0x9000, "/opt/bin/python3.9", 0)
    # Line 8 from instruction 4 on.
    main, work = made.code("main", line=20), made.code("work", line=7, table=b"\x04\x01")
    top = made.python(made.native(0, 0x1500), main)
    inner = made.native(top, 0x1700)
    made.sample(inner, weight=20)
    for instruction, count in ((0, 30), (6, 70)):
        leaf = made.native(made.python(inner, work, instruction), 0x1700)
        for _ in range(count):
            made.sample(leaf)
    return made


def two_processes():
    """The first one's function has columns: instructions 0 and 2 are in the same line, at columns 4 and 8 from 0 on,
    and 4 is in the next line. Its second thread's samples are not in the order of time."""
    made = Profile(pid=7, python=(3, 11))
    made.mapping(0x1000, 0x9000, "/opt/bin/python3.11")
    table = bytes(bytearray([0x80 | 10 << 3, 4, 9, 0x80 | 10 << 3, 8, 9, 0x80 | 11 << 3, 0, 5]))
    code = made.code("größe", line=7, table=table, qualname="A.größe")
    made.thread(8, "worker")
    for instruction, thread, time, weight in ((0, 7, 20, 1), (2, 8, 50, 2), (4, 8, 40, 1)):
        leaf = made.native(made.python(made.native(0, 0x1500), code, instruction), 0x1700)
        made.sample(leaf, thread, weight, time=10 ** 10 + time * MILLISECOND)
    made.sample(0, 7, time=10 ** 10 + 90 * MILLISECOND)
    second = Profile(pid=9, python=(2, 7), began=10 ** 10 + 5 * MILLISECOND, name="other")
    code = second.code("f", "<string>", width=(0, 0, 0))
    second.sample(second.python(0, code), time=10 ** 10 + 100 * MILLISECOND)
    return made.bytes() + second.bytes()
