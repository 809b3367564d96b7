"""A profile of the sampler as a perf.data, which perf report, perf script and hotspot read: each sample at its own
time, call chains of addresses, the mappings that lead from them to files, and a file made for the names and lines of
Python functions (function_image.py).

    header      where all else is                     struct perf_file_header, tools/perf/util/header.h
    attribute   of the event, cpu-clock               struct perf_event_attr, include/uapi/linux/perf_event.h
    data        records, in the order of time         enum perf_event_type, the same file
    features    command line, build ids ...           tools/perf/Documentation/perf.data-file-format.txt

Any perf from Linux 4.8 on knows what is used here.
"""

import os
import struct

import function_image
import model
import python2

MAGIC = b"PERFILE2"
HEADER = struct.Struct("<8sQQQQQQQQ4Q")
PAIR = struct.Struct("<QQ")  # a place in the file and a size
# perf_event_attr as of Linux 4.8, PERF_ATTR_SIZE_VER5: type, size, config, period, kinds of fields in a sample,
# read_format, flags, wakeup_events, bp_type, config1, config2, branch_sample_type, sample_regs_user,
# sample_stack_user, clockid, sample_regs_intr, aux_watermark, sample_max_stack
ATTRIBUTE = struct.Struct("<IIQQQQQIIQQQQIiQIHH")
TYPE_SOFTWARE, CPU_CLOCK = 1, 0  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
FIELDS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5 | 1 << 8  # PERF_SAMPLE_IP, TID, TIME, CALLCHAIN, PERIOD
# disabled, exclude_kernel, mmap, comm, task, sample_id_all, mmap2, comm_exec, use_clockid
FLAGS = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24 | 1 << 25
CLOCK_MONOTONIC = 1

COMM, FORK, SAMPLE, MMAP2 = 3, 7, 9, 10  # PERF_RECORD_
USER = 2  # PERF_RECORD_MISC_USER
COMM_EXEC, MMAP_BUILD_ID, BUILD_ID_SIZE = 1 << 13, 1 << 14, 1 << 15  # PERF_RECORD_MISC_
CONTEXT_USER = (1 << 64) - 512  # PERF_CONTEXT_USER
READ_EXECUTE, PRIVATE = 5, 2  # PROT_READ | PROT_EXEC, MAP_PRIVATE
RECORD = struct.Struct("<IHH")
LARGEST = 65528  # bytes of a record: its size has 16 bits, and is a multiple of 8
SAMPLE_HEAD = struct.Struct("<QIIQQQ")
MOST = (LARGEST - RECORD.size - SAMPLE_HEAD.size) // 8 - 2  # frames, with the mark before them and the one of a gap
LONGEST_PATH = 4096  # PATH_MAX
BUILD_ID_ROOM = 20
FEATURE_BUILD_ID, FEATURE_HOST, FEATURE_RELEASE, FEATURE_VERSION, FEATURE_ARCH, FEATURE_CPUS = range(2, 8)
FEATURE_COMMAND, FEATURE_EVENT, FEATURE_TIME = 11, 12, 21
STRING_ALIGNED = 64  # NAME_ALIGN
DELETED = b" (deleted)"
ANONYMOUS = b"//anon"  # what the kernel calls it: perf_event_mmap_event, kernel/events/core.c
PAGE = 4096
ADDRESSES = (1 << 64) - 1
LOWEST = 1 << 16  # address of a mapping: vm.mmap_min_addr is that, or less
FARTHEST = 1 << 26  # in the file of functions: beyond, its places are no longer the addresses
KNOWN_CHAINS = 4096


def aligned(content, size):
    return content + b"\0" * (-len(content) % size)


def record(kind, misc, body):
    body = aligned(body, 8)
    return RECORD.pack(kind, misc, RECORD.size + len(body)) + body


def text(content):
    return content if isinstance(content, bytes) else python2.bytes_of(content)


class File:
    """recording: of samples.py; path: where the file will be. image: content of the file of Python functions, and
    image_path; None if there are no such functions."""

    def __init__(self, recording, path, command):
        self.recording, self.command = recording, command
        self.image = self.image_path = self.image_row = None
        found = functions(recording.processes)
        start = free_place(recording.processes, function_image.largest(found))
        self.functions = function_image.Image(found, start if start <= FARTHEST else LOWEST)
        self.base = start - self.functions.start
        if found or recording.watched:
            self.image, number = self.functions.content()
            self.image_path = os.path.realpath(path) + ".functions.so"
            # As the file system has it, whatever its encoding is.
            name = getattr(os, "fsencode", bytes)(self.image_path)
            size = (self.functions.end - self.functions.start + PAGE - 1) // PAGE * PAGE
            self.image_row = (start, start + size, self.functions.start, name, number)
        pids = own_pids(recording.processes)
        self.processes = {
            id(one): Process(one, pid, self.values(one)) for one, pid in zip(recording.processes, pids)
        }

    def values(self, process):
        """For each frame what a call chain has for it: of machine code a return address."""
        found = [0]
        for frame, address in zip(process.frames[1:], process.addresses[1:]):
            if address is None:
                found.append(self.base + self.functions.places[place(frame)])
            else:
                found.append(address + 1 & ADDRESSES)
        return found

    def write(self, out):
        """Into an empty file."""
        attribute = ATTRIBUTE.pack(
            TYPE_SOFTWARE, ATTRIBUTE.size, CPU_CLOCK, self.recording.period, FIELDS, 0, FLAGS, 0, 0, 0, 0, 0, 0, 0,
            CLOCK_MONOTONIC, 0, 0, 0, 0,
        )
        out.write(b"\0" * HEADER.size + attribute + PAIR.pack(0, 0))
        begin = out.tell()
        first, last = self.write_data(out)
        end = out.tell()
        features = self.features(attribute, first, last)
        place = end + PAIR.size * len(features)
        for _, content in features:
            out.write(PAIR.pack(place, len(content)))
            place += len(content)
        for _, content in features:
            out.write(content)
        bits = sum(1 << number for number, _ in features)
        out.seek(0)
        size = ATTRIBUTE.size + PAIR.size
        out.write(HEADER.pack(MAGIC, HEADER.size, size, HEADER.size, size, begin, end - begin, 0, 0, bits, 0, 0, 0))

    def write_data(self, out):
        """Returns the times of the first and the last sample."""
        events = []
        for one in self.processes.values():
            events += one.events(self.image_row)
        events.sort(reverse=True)
        first, last = None, 0
        marks = {name: self.base + address for name, address in self.functions.marks.items()}
        for sample in self.recording.moments():
            while events and events[-1][0] <= sample.moment:
                out.write(events.pop()[-1])
            out.write(self.processes[id(sample.process)].sample(sample, marks))
            first, last = sample.moment if first is None else first, sample.moment
        return first or 0, last

    def features(self, attribute, first, last):
        """(number, content), in the order of numbers. A profile does not say on which machine it was recorded: this is
        the one that makes the file, without whose CPUs perf 7.2 warns."""
        system, cpus = os.uname(), os.sysconf("SC_NPROCESSORS_CONF")
        words = [string(word) for word in self.command]
        event = struct.pack("<II", 1, len(attribute)) + attribute + struct.pack("<I", 0) + string(self.recording.events[0])
        return [
            (FEATURE_BUILD_ID, b"".join(build_id(path, number) for path, number in self.build_ids())),
            (FEATURE_HOST, string(system[1])),
            (FEATURE_RELEASE, string(system[2])),
            (FEATURE_VERSION, string("pyperf-run")),
            (FEATURE_ARCH, string("x86_64")),
            (FEATURE_CPUS, struct.pack("<II", cpus, os.sysconf("SC_NPROCESSORS_ONLN"))),
            (FEATURE_COMMAND, struct.pack("<I", len(words)) + b"".join(words)),
            (FEATURE_EVENT, event),
            (FEATURE_TIME, PAIR.pack(first, last)),
        ]

    def build_ids(self):
        """Of each path the last one."""
        rows = [row for process in self.recording.processes for _, _, row in process.mapped]
        rows += [self.image_row] if self.image_row else []
        found = {file_of(row): row[4] for row in rows if row[4]}
        return sorted(pair for pair in found.items() if pair[0].startswith(b"/"))


class Process:
    """What the records of one process have."""

    def __init__(self, process, pid, values):
        self.process, self.pid, self.values = process, pid, values
        self.times = [time for time, _ in process.moments()]
        self.begin = min(self.times + [process.part.header.began])
        self.chains = {}  # of the last stacks

    def events(self, image_row):
        """(time, order, record) of what is not a sample. A mapping that takes the place of another is as late as the
        sample behind it; all others are there from the beginning, since frames may come before their mapping."""
        found = [(self.begin, 0, self.comm(self.pid, self.process.part.header.pid, COMM_EXEC))]
        for sampled in sorted({one for _, one, _ in self.process.seen} - {self.process.part.header.pid}):
            thread = self.thread(sampled)
            number = struct.pack("<IIIIQ", self.pid, self.pid, thread, self.pid, self.begin)
            found.append((self.begin, len(found), record(FORK, 0, number + self.ending(thread, self.begin))))
            found.append((self.begin, len(found), self.comm(thread, sampled, 0)))
        for before, changed, row in self.process.mapped:
            late = changed and before and self.times
            time = self.times[min(before, len(self.times) - 1)] if late else self.begin
            found.append((time, len(found), self.mapping(row, time)))
        if image_row:
            found.append((self.begin, len(found), self.mapping(image_row, self.begin)))
        return found

    def thread(self, sampled):
        """Of a process with another pid than its own the threads have other numbers, too."""
        return sampled + self.pid - self.process.part.header.pid & 0xFFFFFFFF

    def ending(self, thread, time):
        """What the flag sample_id_all puts at the end of each record: TID, TIME."""
        return struct.pack("<IIQ", self.pid, thread, time)

    def comm(self, thread, sampled, misc):
        """A thread's name; `sampled` is its number in the profile."""
        name = aligned(text(self.process.name_of(sampled))[:15] + b"\0", 8)
        return record(COMM, misc, struct.pack("<II", self.pid, thread) + name + self.ending(thread, self.begin))

    def mapping(self, row, time):
        start, end, offset, _, number = row
        body = struct.pack("<IIQQQ", self.pid, self.pid, start, end - start, offset)
        if number:
            number = number[:BUILD_ID_ROOM]
            body += struct.pack("<BBH20s", len(number), 0, 0, number)
        else:
            body += struct.pack("<IIQQ", 0, 0, 0, 0)  # device, inode and its generation are not known
        body += struct.pack("<II", READ_EXECUTE, PRIVATE) + aligned(file_of(row) + b"\0", 8)
        misc = USER | (MMAP_BUILD_ID if number else 0)
        return record(MMAP2, misc, body + self.ending(self.pid, time))

    def sample(self, sample, marks):
        key = (sample.node, sample.state)
        chain = self.chains.get(key)
        if chain is None:
            if len(self.chains) >= KNOWN_CHAINS:
                self.chains.clear()
            chain = self.chains[key] = self.chain(sample.node, model.STATE_NAMES.get(sample.state), marks)
        count, address, packed = chain
        head = SAMPLE_HEAD.pack(address, self.pid, self.thread(sample.tid), sample.moment, sample.period, count)
        return RECORD.pack(SAMPLE, USER, RECORD.size + len(head) + len(packed)) + head + packed

    def chain(self, node, state, marks):
        """How many entries, the first address, and all of them. state: the mark of a thread that waits, or None."""
        process, values = self.process, self.values
        numbers, parents = process.numbers, process.parents
        found = []
        innermost = numbers[node]
        while node:
            found.append(values[numbers[node]])
            node = parents[node]
        if innermost and process.addresses[innermost] is not None:
            found[0] = process.addresses[innermost]
        if state:
            found.insert(0, marks[state])
        if len(found) > MOST:
            found[MOST // 2 : MOST // 2 - MOST] = [marks[function_image.LEFT_OUT]]
        found.insert(0, CONTEXT_USER)
        return len(found), found[1] if found[1:] else 0, struct.pack("<%dQ" % len(found), *found)


def place(frame):
    """The key of a Python frame in the image: its function, and its line, which DWARF has without a sign."""
    return frame.function[:2] + (frame.first,), max(frame.line or 0, 0)


def functions(processes):
    """{(name, file, first line): lines} of all that were sampled."""
    found = {}
    for process in processes:
        for frame, address in zip(process.frames[1:], process.addresses[1:]):
            if address is None:
                function, line = place(frame)
                found.setdefault(function, set()).add(line)
    return found


def free_place(processes, size):
    """The first address from which on no process has a mapping of its own."""
    found = LOWEST
    for start, end, _, _, _ in sorted(row for process in processes for _, _, row in process.mapped):
        if start < found + size + PAGE and end > found:
            found = (end + PAGE - 1) // PAGE * PAGE
    return found


def own_pids(processes):
    """Their pids; another one for a process that ran at the same time as one of the same pid, in another namespace."""
    spans, found = {}, []
    highest = max([0] + [number for one in processes for _, number, _ in one.seen])
    for one in processes:
        pid, span = one.part.header.pid, (one.part.header.began, one.last)
        taken = spans.setdefault(pid, [])
        if any(first < span[1] and span[0] < last for first, last in taken):
            pid = max([highest] + [other.part.header.pid for other in processes]) + 1
            highest = pid + max([0] + [number - one.part.header.pid for _, number, _ in one.seen])
        else:
            taken.append(span)
        found.append(pid)
    return found


def file_of(row):
    """The path of a mapping. What has a build id and was removed may be there again."""
    path, number = row[3:]
    path = text(path) or ANONYMOUS
    return (path[: -len(DELETED)] if number and path.endswith(DELETED) else path)[: LONGEST_PATH - 1]


def string(content):
    """With its length in front, of 4 bytes."""
    content = aligned(text(content) + b"\0", STRING_ALIGNED)
    return struct.pack("<I", len(content)) + content


def build_id(path, number):
    """struct perf_record_header_build_id (tools/lib/perf/include/perf/event.h). The pid -1 is of no process."""
    number = number[:BUILD_ID_ROOM]
    body = struct.pack("<i20sB3x", -1, number, len(number)) + aligned(path + b"\0", STRING_ALIGNED)
    return RECORD.pack(0, USER | BUILD_ID_SIZE, RECORD.size + len(body)) + body
