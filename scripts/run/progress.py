"""Shows progress while perf records: time, samples, data written.

usage: progress.py DATA PID [INODE]

Writes one line to stdout, which is a terminal, until perf (PID) has ended, and then erases it. The
cursor stays at the line's beginning, so that the program's output replaces it. INODE is that of an
older profile of this name, which perf renames first.
"""

import os
import struct
import sys
import time

MAGIC = b"PERFILE2"
# perf.data-file-format.txt: magic, sizes of header and attribute, the attributes' offset and size,
# the data's offset
HEADER = struct.Struct("<8s5Q")
RECORD = struct.Struct("<IHH")  # linux/perf_event.h, perf_event_header: type, misc, size
SAMPLE = 9  # PERF_RECORD_SAMPLE
SECONDS = 0.5
READ_AT_ONCE = 256 << 20  # the rest is counted in the next rounds


class Counter:
    """Follows a profile that grows, from record to record."""

    def __init__(self, path):
        self.path = path
        self.file = None
        self.next = 0
        self.samples = 0

    def start(self, older):
        """Whether this run's profile exists."""
        try:
            file = open(self.path, "rb")
        except IOError:
            return False
        header = file.read(HEADER.size)
        if str(os.fstat(file.fileno()).st_ino) == older or header[:8] != MAGIC:
            file.close()
            return False
        self.next = HEADER.unpack(header)[5]
        self.file = file
        return True

    def count(self):
        size = os.fstat(self.file.fileno()).st_size
        end = min(size, self.next + READ_AT_ONCE)
        while self.next + RECORD.size <= end:
            self.file.seek(self.next)
            kind, _, length = RECORD.unpack(self.file.read(RECORD.size))
            if length < RECORD.size or self.next + length > size:
                break  # not written yet
            self.samples += kind == SAMPLE
            self.next += length
        return size


def amount(size):
    return "%.1f MB" % (size / 1e6) if size < 1e9 else "%.2f GB" % (size / 1e9)


def show(counter, started):
    size = counter.count()
    line = "%.1f s, %d samples, %s" % (time.time() - started, counter.samples, amount(size))
    sys.stdout.write("\r%s\033[K\r" % line)
    sys.stdout.flush()


def main(path, pid, older=""):
    started = time.time()
    counter = Counter(path)
    while os.path.exists("/proc/%s/fd" % pid):
        time.sleep(SECONDS)
        if counter.file or counter.start(older):
            show(counter, started)
    sys.stdout.write("\r\033[K")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (KeyboardInterrupt, IOError, OSError, struct.error):
        pass
