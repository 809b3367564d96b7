"""Samples as a profile for pprof: profile.proto of github.com/google/pprof, compressed, with lines and columns
where they are known."""

import gzip
import io

import model
from leb128 import unsigned as varint

# Numbers of fields in profile.proto.
SAMPLE_TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, STRING = range(1, 7)
DURATION, PERIOD_TYPE, PERIOD = range(10, 13)
LENGTH_DELIMITED = 2  # a wire type


def field(number, value):
    """Zeros are left out."""
    return varint(number << 3) + varint(value) if value else b""


def message(number, content):
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(content)) + content


class Profile:
    each = False

    def __init__(self):
        self.strings, self.functions, self.mappings, self.locations = {u"": 0}, {}, {}, {}
        self.known = {}  # a frame: the id of its location
        self.body = []
        self.event = None  # samples of one event alone add up
        self.period = 0

    def string(self, text):
        return self.strings.setdefault(text, len(self.strings))

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event != self.event:
            return
        self.period = self.period or sample.period // sample.count
        places = [self.known.get(frame) or self.location(frame) for frame in sample.frames]
        labels = message(3, field(1, self.string(u"thread")) + field(2, self.string(u"%s" % sample.comm)))
        for name, number in ((u"pid", sample.pid), (u"tid", sample.tid)):
            labels += message(3, field(1, self.string(name)) + field(3, max(number, 0)))
        values = varint(sample.count) + varint(sample.period)
        self.body.append(message(SAMPLE, message(1, b"".join(map(varint, places))) + message(2, values) + labels))

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
        event = found.events[0]
        unit = u"count" if event.seconds(0) is None else u"nanoseconds"
        types = [(u"samples", u"count"), (u"cpu" if unit == u"nanoseconds" else event.unit, unit)]
        pairs = [field(1, self.string(name)) + field(2, self.string(of)) for name, of in types]
        out = [message(SAMPLE_TYPE, pair) for pair in pairs] + self.body
        out += [message(PERIOD_TYPE, pairs[1]), field(PERIOD, self.period)]
        out.append(field(DURATION, int((found.times.elapsed or 0) * 1e9)))
        texts = sorted(self.strings, key=self.strings.get)
        out += [message(STRING, text.encode("utf-8", "replace")) for text in texts]
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
            file.write(b"".join(out))
        return packed.getvalue()
