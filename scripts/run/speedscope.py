"""Samples as a profile for speedscope.app: https://www.speedscope.app/file-format-schema.json. A profile for each
thread, not in order of time: only its view "Left Heavy" is meaningful."""

import json

import python2
import totals

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Profile:
    each = False

    def __init__(self):
        self.frames, self.numbers, self.known = [], {}, {}
        self.threads = {}  # (pid, thread): its name, stacks, weights
        self.event = None  # samples of one event alone add up

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event != self.event:
            return
        thread = self.threads.setdefault((sample.pid, sample.tid), (sample.comm, [], []))
        thread[1].append([self.number(frame) for frame in reversed(sample.frames)])
        thread[2].append(sample.period)

    def number(self, frame):
        number = self.known.get(frame)
        if number is None:
            shown = shown_frame(frame)
            key = tuple(sorted(shown.items()))
            number = self.known[frame] = self.numbers.setdefault(key, len(self.frames))
            if number == len(self.frames):
                self.frames.append(shown)
        return number

    def content(self, found):
        event = found.events[0]
        unit = "none" if event.seconds(0) is None else "nanoseconds"
        profiles = [
            {
                "type": "sampled",
                "name": "%s (%d, thread %d)" % (name, pid, tid),
                "unit": unit,
                "startValue": 0,
                "endValue": sum(weights),
                "samples": stacks,
                "weights": weights,
            }
            for (pid, tid), (name, stacks, weights) in sorted(self.threads.items())
        ]
        shown = {"$schema": SCHEMA, "name": event.unit, "exporter": "pyperf-run", "activeProfileIndex": 0}
        shown.update(shared={"frames": self.frames}, profiles=profiles)
        return python2.bytes_of(json.dumps(shown, separators=(",", ":")))


def shown_frame(frame):
    """Of Python the function's name and file, and its line and column where rows are lines."""
    if frame.function is None:
        return {"name": totals.label(frame), "file": frame.object}
    shown = {"name": frame.function[0], "file": frame.function[1]}
    if len(frame.function) > 2:
        shown["line"] = frame.function[2]
        if frame.column:
            shown["col"] = frame.column
    return shown
