"""Samples as a profile for profiler.firefox.com, each at its own time, in its "processed" format of version 60, which
later ones read: src/types/profile and docs-developer/CHANGELOG-formats.md of github.com/firefox-devtools/profiler."""

from __future__ import division

import json
import os

import python2
import totals

VERSION = 60  # of the processed format
GECKO_VERSION = 33  # of Firefox's own format at that time
# A profile has to have a grey category: it is the one of what has no other.
CATEGORIES = (("Python", "yellow"), ("Native", "blue"), ("Kernel", "orange"), ("Other", "grey"))
PYTHON, NATIVE, KERNEL = range(3)
LIBRARY = 1  # type of a resource
NONE = -1  # no resource, no address


class Table:
    """Columns of the same length. Equal rows are one."""

    def __init__(self, *names):
        self.names, self.rows, self.known = names, [], {}

    def number(self, *row):
        found = self.known.get(row)
        if found is None:
            found = self.known[row] = len(self.rows)
            self.rows.append(row)
        return found

    def shown(self, **constant):
        """With columns that have the same value in each row."""
        columns = {name: [row[at] for row in self.rows] for at, name in enumerate(self.names)}
        columns.update({name: [value] * len(self.rows) for name, value in constant.items()})
        return dict(columns, length=len(self.rows))


class Thread:
    def __init__(self, name):
        self.name = name
        self.stacks, self.times, self.weights = [], [], []


class Profile:
    each = True  # wants each sample by itself

    def __init__(self):
        self.strings = Table("text")
        self.sources, self.resources = Table("filename"), Table("name")
        self.functions = Table("name", "source", "resource", "lineNumber")
        self.frames = Table("func", "category", "line", "column")
        self.stacks = Table("prefix", "frame")
        self.known, self.stacks_known = {}, {None: None}
        self.threads = {}  # (pid, thread)
        self.event = None  # samples of one event alone add up
        self.period = 0

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event != self.event:
            return
        self.period = self.period or sample.period // sample.count
        key = (sample.pid, sample.tid)
        thread = self.threads.get(key)
        if thread is None:
            thread = self.threads[key] = Thread(sample.comm)
        thread.stacks.append(self.stack(sample))
        thread.times.append(sample.time)
        thread.weights.append(sample.period)

    def stack(self, sample):
        """Of the innermost frame; None if there is none."""
        number = self.stacks_known.get(sample.stack) if sample.stack else None
        if number is None:
            for frame in reversed(sample.frames):
                shown = self.known.get(frame)
                if shown is None:
                    shown = self.known[frame] = self.frame(frame)
                number = self.stacks.number(number, shown)
            self.stacks_known[sample.stack] = number
        return number

    def frame(self, frame):
        if frame.function is None:
            category = KERNEL if frame.kernel else NATIVE
            resource = self.resources.number(self.string(os.path.basename(frame.object)))
            function = self.functions.number(self.string(totals.label(frame)), None, resource, None)
        else:
            category = PYTHON
            name, file = frame.function[:2]
            source = self.sources.number(self.string(file))
            function = self.functions.number(self.string(name), source, NONE, frame.first)
        return self.frames.number(function, category, frame.line, frame.column)

    def string(self, text):
        return self.strings.number(u"%s" % text)

    def content(self, found):
        event = found.events[0]
        is_time = event.seconds(0) is not None
        began, began_utc = self.began(found.recording)
        meta = {
            "interval": self.period / 1e6 if is_time else 1,
            "startTime": began_utc * 1e3,
            "processType": 0,
            "product": "pyperf-run",
            "stackwalk": 1,
            "version": GECKO_VERSION,
            "preprocessedProfileVersion": VERSION,
            "symbolicated": True,
            "usesOnlyOneStackType": True,
            "sourceCodeIsNotOnSearchfox": True,
            "markerSchema": [],
            "categories": [{"name": name, "color": colour, "subcategories": ["Other"]} for name, colour in CATEGORIES],
            "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns"},
        }
        threads = [self.thread(key, one, began, is_time) for key, one in sorted(self.threads.items())]
        shown = {"meta": meta, "libs": [], "pages": [], "shared": self.shared(), "threads": threads}
        return python2.bytes_of(json.dumps(shown, separators=(",", ":")))

    def began(self, recording):
        """Seconds, of the samples' clock and since 1970. perf's profiles are written when it ends."""
        if recording.began:
            return recording.began
        times = [time for one in self.threads.values() for time in one.times]
        return min(times), os.stat(recording.path).st_mtime - (max(times) - min(times))

    def thread(self, key, one, began, is_time):
        pid, tid = key
        order = sorted(range(len(one.times)), key=one.times.__getitem__)
        weights = [one.weights[at] for at in order]
        samples = {
            "stack": [one.stacks[at] for at in order],
            "time": [round((one.times[at] - began) * 1e3, 6) for at in order],
            "weight": [weight / 1e6 for weight in weights] if is_time else weights,
            "weightType": "tracing-ms" if is_time else "samples",
            "length": len(order),
        }
        if is_time:
            samples["threadCPUDelta"] = weights
        markers = {name: [] for name in ("data", "name", "startTime", "endTime", "phase", "category")}
        return {
            "name": u"%s" % one.name,
            "processName": u"%s" % self.threads.get((pid, pid), one).name,
            "pid": str(pid),
            "tid": tid,
            "isMainThread": pid == tid,
            "processType": "default",
            "processStartupTime": 0,
            "processShutdownTime": None,
            "registerTime": samples["time"][0],
            "unregisterTime": None,
            "pausedRanges": [],
            "samples": samples,
            "markers": dict(markers, length=0),
        }

    def shared(self):
        nothing = {name: [] for name in ("libIndex", "address", "name", "functionSize")}
        return {
            "stringArray": [text for text, in self.strings.rows],
            "sources": self.sources.shown(uuid=None),
            "resourceTable": self.resources.shown(lib=None, host=None, type=LIBRARY),
            "funcTable": self.functions.shown(isJS=False, relevantForJS=False, columnNumber=None),
            "frameTable": self.frames.shown(
                address=NONE, inlineDepth=0, subcategory=0, nativeSymbol=None, innerWindowID=0
            ),
            "stackTable": self.stacks.shown(),
            "nativeSymbols": dict(nothing, length=0),
        }
