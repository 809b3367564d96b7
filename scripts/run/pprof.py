"""Samples as a profile for pprof: profile.proto of github.com/google/pprof, compressed, with lines and columns
where they are known. Samples of the same stack and thread are one sample there, with their sum."""

import collections
import gzip
import io
import os
import re

import model
from leb128 import unsigned as varint

# Numbers of fields in profile.proto.
SAMPLE_TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, STRING = range(1, 7)
TIME, DURATION, PERIOD_TYPE, PERIOD = range(9, 13)
LENGTH_DELIMITED = 2  # a wire type


def field(number, value):
    """Zeros are left out."""
    return varint(number << 3) + varint(value) if value else b""


def message(number, content):
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(content)) + content


class Profile:
    """plain: types of samples are identifiers, as stores of profiles want them (stores.py)."""

    each = False

    def __init__(self, plain=False):
        self.plain = plain
        self.strings, self.functions, self.mappings, self.locations = {u"": 0}, {}, {}, {}
        self.known = {}  # a frame: the id of its location
        self.body = []
        self.sums = collections.OrderedDict()  # (locations, thread's name, pid, tid): samples, period
        self.event = None  # samples of one event alone add up
        self.period = 0

    def string(self, text):
        return self.strings.setdefault(text, len(self.strings))

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event != self.event:
            return
        self.period = self.period or sample.period // sample.count
        places = tuple([self.known.get(frame) or self.location(frame) for frame in sample.frames])
        key = (places, sample.comm, sample.pid, sample.tid)
        count, period = self.sums.get(key, (0, 0))
        self.sums[key] = count + sample.count, period + sample.period

    def sample(self, key, values):
        places, comm, pid, tid = key
        labels = message(3, field(1, self.string(u"thread")) + field(2, self.string(u"%s" % comm)))
        for name, number in ((u"pid", pid), (u"tid", tid)):
            labels += message(3, field(1, self.string(name)) + field(3, max(number, 0)))
        summed = b"".join(map(varint, values))
        return message(SAMPLE, message(1, b"".join(map(varint, places))) + message(2, summed) + labels)

    def location(self, frame):
        if frame.function is not None:
            name, file = frame.function[:2]
        else:
            name, file = frame.symbol, u""
        key = (name, file, frame.line, frame.column, frame.object)
        number = self.locations.get(key)
        if number is None:
            number = self.locations[key] = len(self.locations) + 1
            place = field(2, frame.line or 0) + field(3, frame.column or 0)
            line = message(4, field(1, self.function(name, file)) + place)
            mapping = field(2, self.mapping(frame.object)) if frame.function is None else b""
            self.body.append(message(LOCATION, field(1, number) + mapping + line))
        self.known[frame] = number
        return number

    def function(self, name, file):
        number = self.functions.get((name, file))
        if number is None:
            number = self.functions[name, file] = len(self.functions) + 1
            names = field(2, self.string(name)) + field(3, self.string(name)) + field(4, self.string(file))
            self.body.append(message(FUNCTION, field(1, number) + names))
        return number

    def mapping(self, path):
        number = self.mappings.get(path)
        if number is None:
            number = self.mappings[path] = len(self.mappings) + 1
            # has_functions, so that pprof looks for no names.
            content = field(1, number) + field(5, self.string(path)) + field(7, 1) + field(8, 1) + field(9, 1)
            self.body.append(message(MAPPING, content))
        return number

    def content(self, found):
        return self.packed(found.events[0], began(found), int((found.elapsed or 0) * 1e9))

    def packed(self, event, time, duration):
        """The file: of samples of that event, which began at a time since 1970; in nanoseconds."""
        name, unit = type_of(event)
        names = [(u"samples", u"count"), (re.sub(u"[^A-Za-z0-9_]", u"_", name) if self.plain else name, unit)]
        pairs = [field(1, self.string(name)) + field(2, self.string(unit)) for name, unit in names]
        out = [message(SAMPLE_TYPE, pair) for pair in pairs] + self.body
        out += [self.sample(*pair) for pair in self.sums.items()]
        out += [field(TIME, time), field(DURATION, duration)]
        out += [message(PERIOD_TYPE, pairs[1]), field(PERIOD, self.period)]
        texts = sorted(self.strings, key=self.strings.get)
        out += [message(STRING, text.encode("utf-8", "replace")) for text in texts]
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
            file.write(b"".join(out))
        return packed.getvalue()


def type_of(event):
    """Name and unit of what a sample stands for."""
    if event.seconds(0) is None:
        return event.unit, u"count"
    return (u"wall" if event.is_wall else u"cpu"), u"nanoseconds"


def began(found):
    return min(began_of(one.recording, one.times.elapsed) for one in found.parts)


def began_of(recording, elapsed):
    """Nanoseconds since 1970. perf tells no time of day: its profile is complete when the recording has ended."""
    if recording.began:
        return int(recording.began[1] * 1e9)
    return int((os.stat(recording.path).st_mtime - (elapsed or 0)) * 1e9)
