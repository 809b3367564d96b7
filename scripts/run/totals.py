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

    @property
    def key(self):
        return (self.name, self.file) if self.line is None else (self.name, self.file, self.line)

    def add_own(self, sample):
        self.own += sample.period
        self.own_in[sample.state] += sample.period
        self.samples += sample.count

    def join(self, other):
        self.own += other.own
        self.own_in = added(self.own_in, other.own_in)
        self.total += other.total
        self.samples += other.samples


def added(some, others):
    return [one + other for one, other in zip(some, others)]


class Sums:
    """Samples and their functions: of an event, or of one thread or process. name: of that, as it is shown."""

    def __init__(self):
        self.samples = self.weight = 0
        self.functions = {}
        self.without = Function(None, None)
        self.name = None

    def add(self, sample):
        self.samples += sample.count
        self.weight += sample.period
        own = sample.own
        for function in sample.functions:
            self.of(function).total += sample.period
        owner = self.functions[own] if own else self.without
        owner.add_own(sample)

    def of(self, key):
        function = self.functions.get(key)
        if function is None:
            function = self.functions[key] = Function(*key)
        return function

    def join(self, other):
        self.samples += other.samples
        self.weight += other.weight
        self.without.join(other.without)
        for key, function in other.functions.items():
            self.of(key).join(function)

    def ordered(self, by="own"):
        """The functions, those of the longest time first: "own" or "total"."""
        return sorted(
            self.functions.values(),
            key=lambda one: (-getattr(one, by), -one.own, -one.total, one.name, one.file, one.line or 0),
        )


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
    """samples, weight, pids and so on are of all that was recorded; sums, groups and folded of what is shown of it
    (view.py)."""

    def __init__(self, name, view, fold):
        self.name, self.view = name, view
        self.samples = self.weight = 0
        self.weight_in = [0] * model.STATES  # by what the threads did
        self.pids, self.threads = set(), set()
        self.has_functions = False
        self.processes = collections.defaultdict(Process)
        self.sums, self.groups = Sums(), {}
        self.others = collections.Counter()  # weights of files of which nothing is shown
        self.moved = 0  # the weight of functions that count as those that have called them
        self.folded = collections.Counter() if fold else None

    def add(self, sample, shown):
        """shown: what is to be seen of the sample, or None."""
        self.samples += sample.count
        self.weight += sample.period
        self.weight_in[sample.state] += sample.period
        self.threads.add((sample.pid, sample.tid))
        if sample.pid > 0:
            self.pids.add(sample.pid)
        self.has_functions = self.has_functions or sample.own is not None
        if sample.whole is not None or sample.frames:
            self.processes[sample.pid, sample.comm].add(sample)
        is_moved = shown is not sample and sample.own is not None and (shown is None or shown.own != sample.own)
        if is_moved and (shown is None or shown.own is None):
            self.others[sample.own[1]] += sample.period
        if shown is not None:
            self.add_shown(shown, is_moved)

    def add_shown(self, shown, is_moved):
        self.sums.add(shown)
        if is_moved and shown.own is not None:
            self.moved += shown.period
        key = self.view.group(shown)
        if key is not None:
            group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = Sums()
            group.add(shown)
            if group.name is None or shown.tid == shown.pid:
                group.name = self.view.root(shown)
        if self.folded is not None:
            self.folded[folded(shown, self.view)] += shown.count

    def join(self, other, number, scale):
        """Adds an event of another profile; number: of that profile, since its processes are others; scale: what stacks
        are multiplied by that are only counted."""
        self.samples += other.samples
        self.weight += other.weight
        self.weight_in = added(self.weight_in, other.weight_in)
        self.pids.update((number, pid) for pid in other.pids)
        self.threads.update((number, thread) for thread in other.threads)
        self.has_functions = self.has_functions or other.has_functions
        self.sums.join(other.sums)
        self.others.update(other.others)
        self.moved += other.moved
        self.groups.update(((number,) + key, group) for key, group in other.groups.items())
        if self.folded is not None:
            self.folded.update({stack: scale * count for stack, count in other.folded.items()})

    def shown_groups(self):
        """Threads or processes, those of the longest time first."""
        return [self.groups[key] for key in sorted(self.groups, key=lambda key: (-self.groups[key].weight, key))]

    @property
    def unit(self):
        return unit(self.name)

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
        """Of all that is shown."""
        return weight / self.sums.weight if self.sums.weight else 0.0

    @property
    def period(self):
        """What a sample stands for, on average."""
        return self.weight / self.samples or 1

    @property
    def left_out(self):
        return self.weight - self.sums.weight


def unit(name):
    """An event's name without its precision: cpu-clock:ppp."""
    name_alone, colon, modifiers = name.rpartition(":")
    return name_alone if colon and not modifiers.strip("p") else name


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
    to its end. Both where they were measured. name: of the profile, for the user;
    view: what is shown of the samples (view.py)."""

    def __init__(self, recording, name, view, used=None, lasted=None, fold=False):
        self.recording, self.name, self.view = recording, name, view
        self.used, self.fold = used, fold
        self.parts = [self]
        self.times, self.tasks = Times(lasted), Tasks()
        self.by_name = {}
        self.python = set()  # (pid, comm) of processes in which an interpreter was seen
        self.nameless = None  # an image whose names are not to be had

    def add(self, record):
        """Returns what is shown of a sample; None of others."""
        self.times.add(record.time)
        if isinstance(record, model.Task):
            self.tasks.add(record)
            return None
        self.tasks.young.discard(record.tid)
        return self.add_sample(record)

    def add_sample(self, sample):
        event = self.by_name.get(sample.event)
        if event is None:
            event = self.by_name[sample.event] = Event(sample.event, self.view, self.fold)
        shown = self.view.shown(sample)
        event.add(sample, shown)
        process = (sample.pid, sample.comm)
        if process not in self.python and any(frame.interpreter for frame in sample.frames):
            self.python.add(process)
        if self.nameless is None and self.recording.mode != stacks.INSIDE:
            missing = (frame.object for frame in sample.frames if frame.nameless)
            self.nameless = next(missing, None)
        return shown

    def first_line(self, function):
        """Of a row's function; None where it is not known."""
        return self.recording.first_line(function.name, function.file) if function.file else None

    @property
    def elapsed(self):
        return self.times.elapsed

    @property
    def how(self):
        return self.recording.how

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
        order = [name for one in self.recording.events for name in (one, unit(one))]
        names = [name for at, name in enumerate(order) if name in self.by_name and name not in order[:at]]
        known = [self.by_name[name] for name in names]
        return known + [one for name, one in self.by_name.items() if name not in order]

    def whole(self, event):
        """The share of complete stacks; None if there are no stacks."""
        counted = self.interpreters(event)
        samples = sum(one.samples for one in counted)
        if not samples or self.recording.mode == stacks.NO_STACKS:
            return None
        return sum(one.whole for one in counted) / samples


class Merged:
    """Several profiles as one. Samples count by the time that they stand for, and so those of different frequencies add
    up."""

    def __init__(self, parts):
        self.parts, self.view = parts, parts[0].view
        self.events = []
        for first in parts[0].events:
            event = Event(first.name, self.view, first.folded is not None)
            for number, part in enumerate(parts):
                other = part.by_name[first.name]
                event.join(other, number, other.period / first.period)
            self.events.append(event)

    def whole(self, event):
        """The share of complete stacks; None if there are no stacks in one of them."""
        shares = [part.whole(part.by_name[event.name]) for part in self.parts]
        if None in shares:
            return None
        weights = [part.by_name[event.name].samples for part in self.parts]
        return sum(share * weight for share, weight in zip(shares, weights)) / sum(weights)

    @property
    def elapsed(self):
        known = [part.elapsed for part in self.parts if part.elapsed is not None]
        return sum(known) if known else None

    @property
    def how(self):
        """In the words of all, or none."""
        words = {part.how for part in self.parts}
        return words.pop() if len(words) == 1 else None

    def cpu_seconds(self):
        known = [part.cpu_seconds() for part in self.parts]
        return None if None in known else sum(known)

    def threads(self):
        return sum(part.threads() for part in self.parts)

    def first_line(self, function):
        known = (part.first_line(function) for part in self.parts)
        return next((line for line in known if line is not None), None)


# folded stacks, as flame graph tools read them


def folded(sample, view):
    names = [view.process(sample)] + [label(frame) for frame in reversed(sample.frames)]
    return ";".join(name.replace(";", ":").replace("\n", " ") for name in names)


def label(frame):
    name = frame.symbol
    if name == model.UNKNOWN and not frame.object.startswith("["):
        name = "[%s]" % os.path.basename(frame.object)
    return name + "_[k]" if frame.kernel else name
