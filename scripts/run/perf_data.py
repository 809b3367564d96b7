"""A profile of the sampler as a perf.data, which perf report, perf script and hotspot read: each sample at its own
time, call chains of addresses, the mappings that lead from them to files, and a file made for the names and lines of
Python functions (function_image.py).

One event, cpu-clock, and records in the order of time; perf_format.py has the parts of the file. Any perf from Linux
4.8 on knows what is used here.
"""

import os
import struct

import function_image
import model
from mapped_image import MappedImage, functions, place
from perf_format import (
    COMM, COMM_EXEC, CONTEXT_USER, FEATURE_ARCH, FEATURE_BUILD_ID, FEATURE_COMMAND, FEATURE_CPUS, FEATURE_EVENT,
    FEATURE_HOST, FEATURE_RELEASE, FEATURE_TIME, FEATURE_VERSION, FORK, HEADER, LARGEST, MAGIC, PAIR, RECORD, SAMPLE,
    USER, aligned, build_id, file_of, mapping, record, string, text, write_features,
)

# perf_event_attr as of Linux 4.8, PERF_ATTR_SIZE_VER5: type, size, config, period, kinds of fields in a sample,
# read_format, flags, wakeup_events, bp_type, config1, config2, branch_sample_type, sample_regs_user,
# sample_stack_user, clockid, sample_regs_intr, aux_watermark, sample_max_stack
ATTRIBUTE = struct.Struct("<IIQQQQQIIQQQQIiQIHH")
TYPE_SOFTWARE, CPU_CLOCK = 1, 0  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
FIELDS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5 | 1 << 8  # PERF_SAMPLE_IP, TID, TIME, CALLCHAIN, PERIOD
# disabled, exclude_kernel, mmap, comm, task, sample_id_all, mmap2, comm_exec, use_clockid
FLAGS = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24 | 1 << 25
CLOCK_MONOTONIC = 1

SAMPLE_HEAD = struct.Struct("<QIIQQQ")
MOST = (LARGEST - RECORD.size - SAMPLE_HEAD.size) // 8 - 2  # frames, with the mark before them and the one of a gap
ADDRESSES = (1 << 64) - 1
KNOWN_CHAINS = 4096


class File:
    """recording: of samples.py; path: where the file will be."""

    def __init__(self, recording, path, command):
        self.recording, self.command = recording, command
        processes = recording.processes
        found = functions(
            place(frame)
            for process in processes
            for frame, address in zip(process.frames[1:], process.addresses[1:])
            if address is None
        )
        taken = [row[:2] for process in processes for _, _, row in process.mapped]
        self.functions = MappedImage(found, taken, path)
        self.has_image = bool(found or recording.watched)
        pids = own_pids(processes)
        self.processes = {
            id(one): Process(one, pid, self.values(one)) for one, pid in zip(processes, pids)
        }

    def image(self):
        """The file of Python functions, or None if there are none."""
        return self.functions if self.has_image else None

    def values(self, process):
        """For each frame what a call chain has for it: of machine code a return address."""
        found = [0]
        for frame, address in zip(process.frames[1:], process.addresses[1:]):
            if address is None:
                found.append(self.functions.address(place(frame)))
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
        bits = write_features(out, self.features(attribute, first, last))
        out.seek(0)
        size = ATTRIBUTE.size + PAIR.size
        out.write(HEADER.pack(MAGIC, HEADER.size, size, HEADER.size, size, begin, end - begin, 0, 0, *bits))

    def write_data(self, out):
        """Returns the times of the first and the last sample."""
        events = []
        for one in self.processes.values():
            events += one.events(self.has_image and self.functions.row)
        events.sort(reverse=True)
        first, last = None, 0
        marks = self.functions.marks()
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
        event = struct.pack("<II", 1, len(attribute)) + attribute
        event += struct.pack("<I", 0) + string(self.recording.events[0])
        return [
            (FEATURE_BUILD_ID, b"".join(build_id(path, number) for path, number in self.build_ids())),
            (FEATURE_HOST, string(system[1])),
            (FEATURE_RELEASE, string(system[2])),
            (FEATURE_VERSION, string("pyperf-run")),
            (FEATURE_ARCH, string(system[4])),
            (FEATURE_CPUS, struct.pack("<II", cpus, os.sysconf("SC_NPROCESSORS_ONLN"))),
            (FEATURE_COMMAND, struct.pack("<I", len(words)) + b"".join(words)),
            (FEATURE_EVENT, event),
            (FEATURE_TIME, PAIR.pack(first, last)),
        ]

    def build_ids(self):
        """Of each path the last one."""
        rows = [row for process in self.recording.processes for _, _, row in process.mapped]
        rows += [self.functions.row] if self.has_image else []
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
            found.append((time, len(found), mapping(self.pid, row, self.ending(self.pid, time))))
        if image_row:
            found.append((self.begin, len(found), mapping(self.pid, image_row, self.ending(self.pid, self.begin))))
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
