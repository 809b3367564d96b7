"""A profile of perf that is still being written: at each look, the samples that have come since the last one.

perf reads whole files alone. For each look it gets one of its own:

    perf.data    header  MMAP  sample  sample  COMM  sample  MMAP  sample  ...
    first look   header  MMAP  sample  sample
    next look    header  MMAP  COMM  sample  MMAP  sample
"""

import os

import model
import perf_format
import stacks

ROUND_ENDS = 68  # PERF_RECORD_FINISHED_ROUND: perf sorts up to there; without it, all of the file


class Recording:
    """path: what perf writes; scratch: a file of ours, for perf script. Before there is a header, nothing is known."""

    mode = stack_size = max_stack = used = lasted = began = how = None
    events, notes = (), ()

    def __init__(self, path, scratch, files):
        self.path, self.scratch, self.files = path, scratch, files
        self.head, self.others, self.next = b"", [], 0
        self.read = None  # stacks.Recording, for the sources

    def first_line(self, name, file):
        return self.read.first_line(name, file)

    def look(self):
        """The samples since the last time."""
        samples = self.new_samples()
        if not samples:
            return []
        with open(self.scratch, "wb") as out:
            out.write(self.head_of(self.others + samples))
            out.writelines(self.others + samples)
        if self.read is None:
            self.read = stacks.recording(self.scratch, self.files)
        found = []
        try:
            found.extend(one for one in stacks.records(self.scratch) if isinstance(one, model.Sample))
        except stacks.Failed:
            pass  # the last table tells why
        return found

    def new_samples(self):
        """Whole records; the others are kept, for later samples need them."""
        try:
            with open(self.path, "rb") as file:
                if not self.head and not self.read_head(file):
                    return []
                file.seek(self.next)
                data = file.read()
        except (IOError, OSError):
            return []
        at, samples = 0, []
        while at + perf_format.RECORD.size <= len(data):
            kind, _, size = perf_format.RECORD.unpack_from(data, at)
            if size < perf_format.RECORD.size or at + size > len(data):
                break  # not written yet
            if kind != ROUND_ENDS:
                (samples if kind == perf_format.SAMPLE else self.others).append(data[at : at + size])
            at += size
        self.next += at
        return samples

    def head_of(self, records):
        """With their size, and without features, which perf writes behind all records at the end."""
        fields = list(perf_format.HEADER.unpack_from(self.head))
        fields[6:] = [sum(map(len, records)), 0, 0, 0, 0, 0, 0]
        return perf_format.HEADER.pack(*fields) + self.head[perf_format.HEADER.size :]

    def read_head(self, file):
        """Up to the records. Whether it is there."""
        content = file.read(perf_format.HEADER.size)
        if len(content) < perf_format.HEADER.size:
            return False
        fields = perf_format.HEADER.unpack(content)
        begin = fields[5]
        if fields[0] != perf_format.MAGIC or os.fstat(file.fileno()).st_size < begin:
            return False
        file.seek(0)
        self.head, self.next = file.read(begin), begin
        return True
