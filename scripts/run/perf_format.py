"""The parts of a perf.data, to be written: records, features, and the numbers of both.

    header      where all else is                     struct perf_file_header, tools/perf/util/header.h
    attributes  one for each event                    struct perf_event_attr, include/uapi/linux/perf_event.h
    data        records                               enum perf_event_type, the same file
    features    command line, build ids ...           tools/perf/Documentation/perf.data-file-format.txt
"""

import struct

import python2

MAGIC = b"PERFILE2"
HEADER = struct.Struct("<8sQQQQQQQQ4Q")
PAIR = struct.Struct("<QQ")  # a place in the file and a size
MMAP, COMM, FORK, SAMPLE, MMAP2 = 1, 3, 7, 9, 10  # PERF_RECORD_
USER = 2  # PERF_RECORD_MISC_USER
COMM_EXEC, MMAP_BUILD_ID, BUILD_ID_SIZE = 1 << 13, 1 << 14, 1 << 15  # PERF_RECORD_MISC_
CONTEXT_USER = (1 << 64) - 512  # PERF_CONTEXT_USER
READ_EXECUTE, PRIVATE = 5, 2  # PROT_READ | PROT_EXEC, MAP_PRIVATE
RECORD = struct.Struct("<IHH")
LARGEST = 65528  # bytes of a record: its size has 16 bits, and is a multiple of 8
LONGEST_PATH = 4096  # PATH_MAX
BUILD_ID_ROOM = 20
FEATURE_BUILD_ID, FEATURE_HOST, FEATURE_RELEASE, FEATURE_VERSION, FEATURE_ARCH, FEATURE_CPUS = range(2, 8)
FEATURE_COMMAND, FEATURE_EVENT, FEATURE_TIME = 11, 12, 21
STRING_ALIGNED = 64  # NAME_ALIGN
DELETED = b" (deleted)"
ANONYMOUS = b"//anon"  # what the kernel calls it: perf_event_mmap_event, kernel/events/core.c


def aligned(content, size):
    return content + b"\0" * (-len(content) % size)


def record(kind, misc, body):
    body = aligned(body, 8)
    return RECORD.pack(kind, misc, RECORD.size + len(body)) + body


def text(content):
    return content if isinstance(content, bytes) else python2.bytes_of(content)


def string(content):
    """With its length in front, of 4 bytes."""
    content = aligned(text(content) + b"\0", STRING_ALIGNED)
    return struct.pack("<I", len(content)) + content


def file_of(row):
    """The path of a mapping. What has a build id and was removed may be there again."""
    path, number = row[3:]
    path = text(path) or ANONYMOUS
    return (path[: -len(DELETED)] if number and path.endswith(DELETED) else path)[: LONGEST_PATH - 1]


def mapping(pid, row, ending):
    """row: start, end, offset, path, build id; ending: what sample_id_all puts at the end of each record."""
    start, end, offset, _, number = row
    body = struct.pack("<IIQQQ", pid, pid, start, end - start, offset)
    if number:
        number = number[:BUILD_ID_ROOM]
        body += struct.pack("<BBH20s", len(number), 0, 0, number)
    else:
        body += struct.pack("<IIQQ", 0, 0, 0, 0)  # device, inode and its generation are not known
    body += struct.pack("<II", READ_EXECUTE, PRIVATE) + aligned(file_of(row) + b"\0", 8)
    return record(MMAP2, USER | (MMAP_BUILD_ID if number else 0), body + ending)


def build_id(path, number):
    """struct perf_record_header_build_id (tools/lib/perf/include/perf/event.h). The pid -1 is of no process."""
    number = number[:BUILD_ID_ROOM]
    body = struct.pack("<i20sB3x", -1, number, len(number)) + aligned(path + b"\0", STRING_ALIGNED)
    return RECORD.pack(0, USER | BUILD_ID_SIZE, RECORD.size + len(body)) + body


def write_features(out, features):
    """Behind the data: (number, content) in the order of numbers. Returns the header's bits."""
    place = out.tell() + PAIR.size * len(features)
    bits = [0] * 4
    for number, content in features:
        out.write(PAIR.pack(place, len(content)))
        place += len(content)
        bits[number // 64] |= 1 << number % 64
    for _, content in features:
        out.write(content)
    return bits
