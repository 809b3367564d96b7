"""The file of the sampler in a process, as preload/sampler/sample_format.h describes it: its parts, each of one
process, and their records. What was not finished or is damaged is left out and counted."""

import collections
import errno
import glob
import os
import struct
import sys

import stacks

try:
    import zlib
except ImportError:
    zlib = None

FAMILY, VERSION, PACKED = b"PYPERFS", b"1", b"2"
MAGIC = FAMILY + VERSION
HEADER_SIZE = 4096
SEGMENT = 1 << 20
PLACES = 8  # packed parts begin at multiples of it
BLOCK, LARGEST = 1 << 16, 1 << 30
UNFINISHED, PADDING, NATIVE, PYTHON, CODE, MAPPING, SAMPLE, THREAD = range(1, 9)
# Flags of a sample: what it lacks, of machine code and of Python functions; whether its thread waited, and for the
# interpreter's lock; whether it had that lock; whether it waited for a CPU.
CUT, CALLS_CUT, WAITS, WAITS_FOR_LOCK, HAS_LOCK, WAITS_FOR_CPU = 1, 2, 4, 8, 16, 32
WHOLE, WATCHED = 1, 2  # of a process

Header = collections.namedtuple(
    "Header", "magic length pid parent python flags period began began_utc ended used lost limit name"
)
HEADER = struct.Struct("<8sQIIIIQQQQQQQ16s")
WORD = struct.Struct("<I")
NODE = struct.Struct("<IIII")  # of machine code the last two are the address, lower half first
CODE_HEAD = struct.Struct("<8I")
MAPPING_HEAD = struct.Struct("<IIQQQ24s")
PACKED_HEAD = struct.Struct("<8sQQ")  # magic, size, size of what it was made of
SAMPLE_BODY = struct.Struct("<IIIHHQ")
THREAD_BODY = struct.Struct("<II16s")
LEAST = {
    UNFINISHED: 8,
    PADDING: 8,
    NATIVE: NODE.size,
    PYTHON: NODE.size,
    CODE: CODE_HEAD.size,
    MAPPING: MAPPING_HEAD.size,
    SAMPLE: SAMPLE_BODY.size,
    THREAD: THREAD_BODY.size,
}


def recognises(path):
    """Whether it is such a file, or a folder of them; of any version."""
    if os.path.isdir(path):
        return bool(files_of(path))
    try:
        with open(path, "rb") as file:
            return file.read(len(FAMILY)) == FAMILY
    except (IOError, OSError):
        return False


def files_of(path):
    """The files of a folder, as PYPERF_DIR is one."""
    return sorted(glob.glob(os.path.join(path, "*.samples"))) if os.path.isdir(path) else [path]


def parts(path):
    """The parts of a profile: of each process one, or several, of its spans of time. Raises stacks.Failed for one of a
    later version."""
    for name in files_of(path):
        try:
            file = open(name, "rb")
        except (IOError, OSError) as error:
            if error.errno == errno.ENOENT and name != path:
                continue  # its process has removed it since, to keep the last ones
            raise
        with file:
            at = 0
            while True:
                part = read_part(file, at, name)
                if part is None:
                    break
                yield part
                at = file.tell()
                at += -at % (PLACES if part.packed else HEADER_SIZE)


def read_part(file, at, name):
    """The part at that place, behind which the file is left; None if there is none."""
    file.seek(at)
    head = file.read(HEADER_SIZE)
    magic = head[: len(FAMILY) + 1]
    if magic == FAMILY + PACKED:
        return unpacked(file, at, name)
    if magic[:-1] != FAMILY or (len(head) < HEADER_SIZE and not at):
        if magic.strip(b"\0") and at:
            raise stacks.Failed("%s is damaged %d bytes after its beginning" % (name, at))
        if not at and magic.strip(b"\0"):
            raise stacks.Failed("%s is not a complete profile of the sampler: record again" % name)
        return None  # space that was reserved, or a process that was killed before it had a header
    if magic[-1:] != VERSION:
        raise stacks.Failed(
            "%s was recorded by a later version of libpyperf (format %s, known here is %s): read it with the pyperf-run"
            " of that version" % (name, magic[-1:].decode("latin-1"), VERSION.decode("latin-1"))
        )
    more, left = HEADER.unpack_from(head)[1] - HEADER_SIZE, left_in(file)
    return Part(head + file.read(more if 0 <= more < left else left))


def left_in(file):
    return os.fstat(file.fileno()).st_size - file.tell()


def packed(data):
    """A packed part of those bytes of one (packing.py)."""
    deflated = zlib.compress(data, 6)
    deflated += b"\0" * (-len(deflated) % PLACES)
    return PACKED_HEAD.pack(FAMILY + PACKED, len(deflated), len(data)) + deflated


def unpacked(file, at, name):
    """As much of a packed part as is there."""
    if zlib is None:
        raise stacks.Failed(
            "%s is compressed, and %s has no zlib: set PYPERF_PYTHON to another Python" % (name, sys.executable)
        )
    file.seek(at)
    head = file.read(PACKED_HEAD.size)
    _, size, length = PACKED_HEAD.unpack(head.ljust(PACKED_HEAD.size, b"\0"))
    data = inflated(file.read(min(size, left_in(file))), min(length, LARGEST))
    if len(data) < HEADER_SIZE:
        raise stacks.Failed("%s is damaged %d bytes after its beginning" % (name, at))
    return Part(data, True)


def inflated(deflated, length):
    """What is before a fault is kept."""
    stream, found = zlib.decompressobj(), bytearray()
    try:
        for at in range(0, len(deflated), BLOCK):
            if len(found) < length:
                found += stream.decompress(deflated[at : at + BLOCK], length - len(found))
    except zlib.error:
        pass
    return bytes(found)


def header_of(head):
    return Header._make(HEADER.unpack_from(head))


class Part:
    """One process: its header, and its records, whose places count from the header's beginning. base: the place of the
    first byte of the data, where that is a piece (following.py)."""

    base = 0

    def __init__(self, data, packed=False):
        header = header_of(data)
        self.header, self.data, self.packed = header._replace(length=len(data)), data, packed
        self.cut = header.length > len(data)
        self.damaged = 0  # places at which records cannot be read

    @property
    def version(self):
        return self.header.python >> 8, self.header.python & 255

    def records(self):
        """(place in the data, type, size) of each that is complete."""
        data, end, base = self.data, len(self.data), self.base
        at = max(HEADER_SIZE - base, 0)
        unpack, least = WORD.unpack_from, LEAST.get
        while at + 8 <= end:
            head = unpack(data, at)[0]
            if not head:
                at += 8
                continue
            kind, size = head & 255, head >> 8 << 3
            border = (base + at | (SEGMENT - 1)) + 1 - base
            if size < least(kind, 8) or at + size > min(border, end):
                self.damaged += 1
                at = border  # where a record begins again
                continue
            if kind > PADDING:
                yield at, kind, size
            at += size
