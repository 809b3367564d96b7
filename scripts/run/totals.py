"""Sums the samples of a profile: times of Python functions, stacks, and how many are complete."""

from __future__ import division

import collections
import os

import model
import stacks

CPU_TIMES = ("cpu-clock", "task-clock")
TIMES = CPU_TIMES + ("wall-clock",)


class Function:
    """Or one line of a function. own_in: the same by what the thread did."""

    __slots__ = ("name", "file", "line", "own", "own_in", "total", "samples")

    def __init__(self, name, file, line=None):
        self.name, self.file, self.line = name, file, line
        self.own = self.total = self.samples = 0
        self.own_in = [0] * model.STATES

    def add_own(self, sample):
        self.own += sample.period
        self.own_in[sample.state] += sample.period
        self.samples += sample.count


class Process:
    """The stacks of one process under one name, which exec changes."""

    __slots__ = ("threads", "samples", "whole", "broken_frames", "longest", "longest_count", "ends")

    def __init__(self):
        self.samples = self.whole = self.broken_frames = 0
        self.longest = self.longest_count = 0
        self.ends = collections.Counter()
        self.threads = set()  # two of them, where there are more

    def add(self, sample):
        self.samples += sample.count
        if len(self.threads) < 2:
            self.threads.add(sample.tid)
        if model.is_whole(sample.frames) if sample.whole is None else sample.whole:
            self.whole += sample.count
            return
        frames = sample.frames
        length = len(frames)
        self.broken_frames += length * sample.count
        if length > self.longest:
            self.longest, self.longest_count = length, 0
        self.longest_count += sample.count * (length == self.longest)
        known = (frame.object for frame in reversed(frames) if frame.object != model.UNKNOWN)
        self.ends[next(known, model.UNKNOWN)] += sample.count


class Event:
    def __init__(self, name, fold):
        self.name = name
        self.samples = self.weight = 0
        self.weight_in = [0] * model.STATES  # by what the threads did
        self.pids, self.threads = set(), set()
        self.functions = {}
        self.without = Function(None, None)
        self.processes = collections.defaultdict(Process)
        self.folded = collections.Counter() if fold else None

    def add(self, sample):
        self.samples += sample.count
        self.weight += sample.period
        self.weight_in[sample.state] += sample.period
        self.threads.add((sample.pid, sample.tid))
        if sample.pid > 0:
            self.pids.add(sample.pid)
        own = sample.own
        for function in sample.functions:
            self.of(function).total += sample.period
        owner = self.functions[own] if own else self.without
        owner.add_own(sample)
        if sample.whole is not None or sample.frames:
            self.processes[sample.pid, sample.comm].add(sample)
        if self.folded is not None:
            self.folded[folded(sample)] += sample.count

    def of(self, key):
        function = self.functions.get(key)
        if function is None:
            function = self.functions[key] = Function(*key)
        return function

    @property
    def unit(self):
        """The event's name without its precision: cpu-clock:ppp."""
        name, colon, modifiers = self.name.rpartition(":")
        return name if colon and not modifiers.strip("p") else self.name

    @property
    def user_alone(self):
        """As it is where perf may not see the kernel: cpu-clock:u."""
        modifiers = self.name.rpartition(":")[2] if ":" in self.name else ""
        return "u" in modifiers and "k" not in modifiers

    def seconds(self, weight):
        """None for what is not counted in nanoseconds."""
        is_time = self.name.split(":")[0] in TIMES
        return weight / 1e9 if is_time else None

    @property
    def is_wall(self):
        """Whether threads that wait are in it, too."""
        return self.seconds(0) is not None and self.name.split(":")[0] not in CPU_TIMES

    def share(self, weight):
        return weight / self.weight if self.weight else 0.0

    def by_own_time(self):
        return sorted(
            self.functions.values(), key=lambda one: (-one.own, -one.total, one.name, one.file, one.line)
        )


class Times:
    """The time from the first event of a recording to the last, or what the program took that perf has run:
    processes that are attached to (-p) may have no event for a while."""

    def __init__(self, lasted):
        self.first, self.last, self.lasted = None, 0.0, lasted or 0.0

    def add(self, time):
        if self.first is None and time > 0:
            self.first = time
        self.last = max(self.last, time)

    @property
    def elapsed(self):
        """In seconds; None where there was one moment at the most."""
        between = self.last - self.first if self.first else 0.0
        return round(max(between, self.lasted), 6) or None


class Tasks:
    """Threads and processes that began while perf recorded."""

    def __init__(self):
        self.started = self.unseen = 0
        self.young = set()  # without a sample so far

    def add(self, task):
        if task.kind == "FORK" and task.time > 0:
            self.started += 1
            self.young.add(task.tid)
        elif task.kind == "EXIT" and task.tid in self.young:
            self.young.remove(task.tid)
            self.unseen += 1


class Totals:
    """used: the CPU time of the program in seconds, in user code and in the kernel; lasted: from its begin
    to its end. Both where they were measured."""

    def __init__(self, recording, used=None, lasted=None, fold=False):
        self.recording, self.used, self.fold = recording, used, fold
        self.times, self.tasks = Times(lasted), Tasks()
        self.by_name = {}
        self.python = set()  # (pid, comm) of processes in which an interpreter was seen
        self.nameless = None  # an image whose names are not to be had

    def add(self, record):
        self.times.add(record.time)
        if isinstance(record, model.Task):
            self.tasks.add(record)
        else:
            self.tasks.young.discard(record.tid)
            self.add_sample(record)

    def add_sample(self, sample):
        event = self.by_name.get(sample.event)
        if event is None:
            event = self.by_name[sample.event] = Event(sample.event, self.fold)
        event.add(sample)
        process = (sample.pid, sample.comm)
        if process not in self.python and any(frame.interpreter for frame in sample.frames):
            self.python.add(process)
        if self.nameless is None and self.recording.mode != stacks.INSIDE:
            missing = (frame.object for frame in sample.frames if frame.nameless)
            self.nameless = next(missing, None)

    def cpu_seconds(self):
        """The program's CPU time; None if it was not measured and samples are no times. Time of
        processes that perf attaches to is not the program's."""
        sampled = [event.seconds(event.weight_in[model.RUNS]) for event in self.events]
        known = [one for one in sampled + [self.used and sum(self.used)] if one is not None]
        return max(known or [None])

    def threads(self):
        """How many of interpreters were seen; those beyond the second are not counted."""
        seen = [self.interpreters(event) for event in self.events]
        return max([0] + [sum(len(one.threads) for one in processes) for processes in seen])

    def interpreters(self, event):
        """The processes whose stacks are counted: only those with an interpreter."""
        return [one for key, one in event.processes.items() if key in self.python]

    @property
    def events(self):
        """In the order of the options."""
        order = self.recording.events
        known = [self.by_name[name] for name in order if name in self.by_name]
        return known + [one for name, one in self.by_name.items() if name not in order]

    def whole(self, event):
        """The share of complete stacks; None if there are no stacks."""
        counted = self.interpreters(event)
        samples = sum(one.samples for one in counted)
        if not samples or self.recording.mode == stacks.NO_STACKS:
            return None
        return sum(one.whole for one in counted) / samples


# folded stacks, as flame graph tools read them


def folded(sample):
    names = [sample.comm] + [label(frame) for frame in reversed(sample.frames)]
    return ";".join(name.replace(";", ":").replace("\n", " ") for name in names)


def label(frame):
    name = frame.symbol
    if name == model.UNKNOWN and not frame.object.startswith("["):
        name = "[%s]" % os.path.basename(frame.object)
    return name + "_[k]" if frame.kernel else name
