"""A perf.data of perf record with call chains in place of the copied stacks that perf has unwound: small, and read
without unwinding by perf report, perf script and hotspot. Python functions that perf does not name have addresses in a
file of their own (mapped_image.py).

    all records but samples    as they are
    samples                    the kernel's part of the chain as recorded, the user's part as perf script prints it
    attributes                 a call chain in place of registers and stack
    features                   as they are, with the changed attributes, and the build id of the file of functions

The address of a caller is the one that perf prints: within the call, so that a call that does not return has its own
function's name.
"""

import itertools
import struct

import function_image
import perf_records
import recorded_maps
import stacks
from mapped_image import MappedImage, functions, place
from perf_format import (
    CONTEXT_USER, FEATURE_BUILD_ID, FEATURE_EVENT, HEADER, LARGEST, MAGIC, PAIR, RECORD, SAMPLE, build_id, mapping,
    write_features,
)

# From there on, a number is a mark in a chain (PERF_CONTEXT_MAX). perf prints -1 behind a stack that was cut.
CONTEXT_MAX = (1 << 64) - 4095
CONTEXT_USER_DEFERRED = (1 << 64) - 640  # in place of the user's part, which comes in a record of its own
NOWHERE = 0
MICROSECOND = 1000  # in nanoseconds; what perf script prints of times
GAP = (function_image.LEFT_OUT,)  # in place of a function's key


class File:
    """path: of the original; target: where the file will be."""

    def __init__(self, path, target):
        self.target = target
        self.mapped = None  # the file of Python functions
        self.stacks, self.chains = {}, {}  # {stack: itself}, {place of a record: its stack}
        # Of samples with functions that need the file: {place of the record: generation of the process}, and of each
        # generation the pid and the first one's time.
        self.named, self.since = {}, {}
        try:
            self.original = perf_records.Original(path)
            self.samples, changes = {}, []
            self.index(changes)
        except struct.error:
            raise stacks.Failed("%s is damaged: record again" % path)
        self.maps = recorded_maps.Maps(changes)

    def index(self, changes):
        """{(pid, tid, microseconds): [(time, place, period)]} of samples, in the order of time. A damaged one is found
        here."""
        for at, kind, misc, body in self.original.records():
            if kind == SAMPLE:
                event = self.original.event_of(body)
                time = event.number(body, perf_records.TIME)
                task = event.number(body, perf_records.TID)
                key = task & 0xFFFFFFFF, task >> 32, time // MICROSECOND
                period = event.number(body, perf_records.PERIOD, event.period)
                self.samples.setdefault(key, []).append((time, at, period))
                event.parts(body)
            else:
                change = recorded_maps.change(kind, misc, body)
                changes += [(self.original.time(body),) + change] if change else []
        for found in self.samples.values():
            found.sort()

    def add(self, sample):
        """One of perf script, in its order."""
        key = sample.pid & 0xFFFFFFFF, sample.tid & 0xFFFFFFFF, int(round(sample.time * 1000000))
        found = self.samples.get(key)
        if not found:
            return
        row = next((one for one in found if one[2] == sample.period), found[0])
        found.remove(row)
        time, at, _ = row
        body = self.original.record(at)
        event = self.original.event_of(body)
        if not event.has_stacks:
            return
        process = self.maps.process(key[0], time)
        user = itertools.dropwhile(lambda frame: frame.kernel, sample.frames)
        entries = [self.entry(frame, process) for frame in user]
        stack = shortened(entries, event.parts(body))
        self.chains[at] = self.stacks.setdefault(stack, stack)
        if any(isinstance(entry, tuple) for entry in stack):
            self.named[at] = process.generation
            self.since.setdefault(process.generation, (key[0], time))

    def entry(self, frame, process):
        """An address, or the key of a function that has none."""
        if frame.address is None:
            return place(frame)
        address = self.maps.address(process, frame.object, frame.address)
        return address if address < CONTEXT_MAX else NOWHERE

    def image(self):
        """The file of Python functions, or None if there are none, after the last sample."""
        places = {entry for stack in self.stacks for entry in stack if isinstance(entry, tuple)}
        if places:
            self.mapped = MappedImage(functions(one for one in places if one != GAP), self.maps.taken, self.target)
        return self.mapped

    def write(self, out):
        """Into an empty file."""
        original = self.original
        out.write(b"\0" * HEADER.size)
        places = []
        for numbers in original.ids:
            places.append(PAIR.pack(out.tell(), len(numbers)))
            out.write(numbers)
        attributes = out.tell()
        for event, numbers in zip(original.events, places):
            out.write(event.with_chains() + numbers)
        begin = out.tell()
        self.write_records(out)
        end = out.tell()
        bits = write_features(out, self.features())
        out.seek(0)
        size = original.attribute_size
        fields = (HEADER.size, size, attributes, begin - attributes, begin, end - begin, 0, 0)
        out.write(HEADER.pack(MAGIC, *(fields + tuple(bits))))

    def write_records(self, out):
        mapped = set()
        for at, kind, misc, body in self.original.records():
            if kind == SAMPLE:
                generation = self.named.get(at)
                if generation is not None and generation not in mapped:
                    mapped.add(generation)
                    pid, time = self.since[generation]
                    out.write(mapping(pid, self.mapped.row, self.original.ending(pid, time)))
                body = self.sample(at, body)
            out.write(RECORD.pack(kind, misc, RECORD.size + len(body)) + body)

    def sample(self, at, body):
        """Its body with a call chain; one that perf has not shown keeps what was recorded of it."""
        event = self.original.event_of(body)
        if not event.has_stacks:
            return body
        before, recorded, behind = event.parts(body)
        chain = recorded
        if at in self.chains:
            user = [self.address(entry) for entry in self.chains[at]]
            chain = kernel_part(recorded) + ([CONTEXT_USER] + user if user else [])
        return before + struct.pack("<%dQ" % (1 + len(chain)), len(chain), *chain) + behind

    def address(self, entry):
        if not isinstance(entry, tuple):
            return entry
        return self.mapped.marks()[function_image.LEFT_OUT] if entry == GAP else self.mapped.address(entry)

    def features(self):
        found = dict(self.original.features)
        if FEATURE_EVENT in found:
            found[FEATURE_EVENT] = described(found[FEATURE_EVENT])
        if self.mapped:
            number = build_id(self.mapped.name, self.mapped.row[-1])
            found[FEATURE_BUILD_ID] = found.get(FEATURE_BUILD_ID, b"") + number
        return sorted(found.items())


def kernel_part(chain):
    return list(itertools.takewhile(lambda entry: entry not in (CONTEXT_USER, CONTEXT_USER_DEFERRED), chain))


def shortened(stack, parts):
    """As many of its entries as a record has room for, from both ends."""
    before, recorded, behind = parts
    room = (LARGEST - RECORD.size - len(before) - len(behind)) // 8 - len(kernel_part(recorded)) - 2
    if len(stack) > room:
        half = (room - 1) // 2
        stack[half : len(stack) - half] = [GAP]
    return tuple(stack)


def described(content):
    """The feature EVENT_DESC with changed attributes: how many events, the size of an attribute; of each event the
    attribute, how many ids, its name with its length in front, the ids."""
    count, size = struct.unpack_from("<II", content)
    at, found = 8, [content[:8]]
    for _ in range(count):
        found.append(perf_records.Event(content[at : at + size]).with_chains())
        begin = at + size
        ids, length = struct.unpack_from("<II", content, begin)
        at = begin + 8 + length + 8 * ids
        found.append(content[begin:at])
    return b"".join(found)
