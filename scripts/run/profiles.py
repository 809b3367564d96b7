"""A profile that is read: of perf, or of the sampler. Several are read one after the other."""

from __future__ import division

import os
import sys
import time

import model
import roots
import sample_file
import samples
import stacks
import totals

monotonic = getattr(time, "monotonic", time.time)  # not in 2.7
# When a bar is worth showing: bytes of the profile, or seconds that reading has taken.
LARGE = 8 << 20
LONG = 1.0
BAR_EVERY = 0.1
BAR_WIDTH = 30


class Profile:
    """path: where it is; name: what the user calls it; among: whether there are others."""

    def __init__(self, path, name, view, arguments):
        self.path, self.name, self.among = path, name or path, len(arguments.data) > 1
        stacks.check_readable(path)
        self.recording, self.records = opened(path, arguments)
        used, lasted = arguments.used or self.recording.used, arguments.lasted or self.recording.lasted
        self.found = totals.Totals(self.recording, self.name, view, used, lasted, bool(arguments.collapsed))
        self.bar = Bar(self.recording, os.path.getsize(path)) if arguments.progress else None

    def read(self, files, each, chains):
        """Gives what is shown of the samples to files, of the sampler one by one to each, and all of them to chains.
        Returns why perf did not read to the end: samples before that are still shown."""
        inside = self.recording.mode == stacks.INSIDE
        together = files if inside else files + each
        failure = self.read_records(together, chains)
        if not self.found.events:
            raise failure or stacks.Failed(
                "%s has no samples: the program used too little CPU time, or the event did not"
                " occur; record for longer, or more often (-F)" % self.path
            )
        for sample in self.recording.moments() if inside and each else ():
            shown = self.found.view.shown(sample)
            for made in each if shown else ():
                made.add(shown)
        return failure

    def read_records(self, files, chains):
        try:
            for record in self.records:
                if self.among and isinstance(record, model.Sample):
                    record.event = totals.unit(record.event)
                shown = self.found.add(record)
                if shown is not None:
                    for made in files:
                        made.add(shown)
                if chains and isinstance(record, model.Sample):
                    chains.add(record)
                if self.bar:
                    self.bar.at(record.time)
        except stacks.Failed as why:
            return why
        finally:
            if self.bar:
                self.bar.clear()
        return None


def opened(path, arguments):
    """How it was recorded, and its samples."""
    files = roots.Roots(arguments.root)
    if sample_file.recognises(path):
        recording = samples.Recording(path, arguments.lines, arguments.gil, files)
        return recording, recording.records()
    if arguments.lines or arguments.source or arguments.gil:
        what = "who holds the GIL" if arguments.gil else "lines of Python functions"
        raise stacks.Failed(
            "%s was recorded by perf, which does not know %s: record with pyperf-run --sampler=inside" % (path, what)
        )
    recording = stacks.recording(path, files)
    if arguments.stack_size:
        recording.mode, recording.stack_size = "dwarf", arguments.stack_size
    return recording, stacks.records(path)


def check_alike(profiles):
    """Times of a CPU and elapsed ones, or other events, neither add up nor compare. Frequencies may differ."""
    first = profiles[0]
    wanted = {event.name for event in first.found.events}
    for one in profiles[1:]:
        events = {event.name for event in one.found.events}
        if events != wanted:
            raise stacks.Failed(
                "%s has samples of %s, and %s of %s: name profiles of the same events"
                % (first.name, " and ".join(sorted(wanted)), one.name, " and ".join(sorted(events)))
            )


class Bar:
    """How far into the recording the samples are."""

    def __init__(self, recording, size):
        self.first, self.last = recording.first, recording.last
        now = monotonic()
        self.next = now if size > LARGE else now + LONG
        self.shown = False
        if self.first is None or self.last is None or self.last <= self.first:
            self.next = float("inf")

    def at(self, sample_time):
        now = monotonic()
        if now < self.next:
            return
        self.next = now + BAR_EVERY
        share = (sample_time - self.first) / (self.last - self.first)
        share = min(max(share, 0.0), 1.0)
        done = int(share * BAR_WIDTH)
        marks = "#" * done + "." * (BAR_WIDTH - done)
        sys.stderr.write("\rreading the profile [%s] %3d %%" % (marks, 100 * share))
        sys.stderr.flush()
        self.shown = True

    def clear(self):
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
