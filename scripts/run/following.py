"""A profile of the sampler that is still being written: at each look, the samples that have come since the last one.

A process may make a file for each span of its time, and processes come and go: a file that is complete, or is not there
any more, is forgotten, so that a look costs as much after a day as at the beginning.
"""

import roots
import sample_file
import samples

LARGEST = 64 << 20  # that is read at once
LOOKS = 3  # for so many a record that is not finished is waited for


class Recording(samples.Recording):
    """folders: a file that names the folders of processes that are being sampled, a line each. watched: whether threads
    that wait are sampled, too."""

    machine_code_cut = 0  # of all that was looked at

    def __init__(self, folders, watched, by_line=False, locked=False, files=None):
        self.folders, self.watched, self.locked, self.notes = folders, watched, locked, []
        self.events = (samples.WALL_EVENT if watched else samples.EVENT,)
        self.names = samples.Names(by_line, files)
        self.period = 0
        self.followed = {}  # path: its Process, or None for one that was read to its end

    def look(self):
        """The samples since the last time."""
        found = []
        with open(self.folders) as lines:
            folders = lines.read().splitlines()
        paths = [path for folder in folders for path in sample_file.files_of(folder)]
        self.followed = {path: self.followed[path] for path in paths if path in self.followed}
        for path in paths:
            process = self.read(path)
            if process is not None:
                self.period = process.part.header.period
                self.machine_code_cut += process.machine_code_cut
                found += process.samples(self.events[0], self.locked)
                process.seen = {}
        return found

    def read(self, path):
        """The process with what has come; None if its file was read to its end, or is not there yet."""
        if path in self.followed and self.followed[path] is None:
            return None
        process = self.followed.get(path)
        try:
            with roots.regular(path) as file:
                header = header_of(file)
                if header is None:
                    return None
                part = Part(header) if process is None else process.part
                part.read(file, header)
        except (IOError, OSError):
            return None  # its process has removed it since
        if process is None:
            process = samples.Process(part, self.names)
        else:
            process.read()
        self.followed[path] = None if part.is_at_end else process
        return process


def header_of(file):
    """None before a process has written it."""
    head = file.read(sample_file.HEADER_SIZE)
    if len(head) < sample_file.HEADER_SIZE or head[: len(sample_file.MAGIC)] != sample_file.MAGIC:
        return None
    return sample_file.header_of(head)


class Part(sample_file.Part):
    """data: what has come since the last time, up to the first record that is not finished."""

    def __init__(self, header):
        self.header, self.data, self.base = header, b"", sample_file.HEADER_SIZE
        self.cut, self.damaged, self.waited = False, 0, 0

    def read(self, file, header):
        self.header = header
        self.base += len(self.data)
        file.seek(self.base)
        data = file.read(min(max(header.length - self.base, 0), LARGEST))
        complete = finished(data)
        # One whose thread was killed is never finished: the reader of files skips it.
        self.waited = self.waited + 1 if data and not complete else 0
        if self.is_whole or self.waited > LOOKS:
            complete = len(data)
        self.data = data[:complete]

    @property
    def is_whole(self):
        return bool(self.header.flags & sample_file.WHOLE)

    @property
    def is_at_end(self):
        return self.is_whole and self.base + len(self.data) >= self.header.length


def finished(data):
    """How many bytes of it are records that are complete."""
    at, unpack = 0, sample_file.WORD.unpack_from
    while at + 8 <= len(data):
        head = unpack(data, at)[0]
        if head & 255 <= sample_file.UNFINISHED:
            return at
        at += max(head >> 8 << 3, 8)
    return min(at, len(data))
