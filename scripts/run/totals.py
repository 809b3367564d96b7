"""Sums the samples of a profile: times of Python functions, stacks, and how many are complete."""

from __future__ import division

import collections
import os

import mapped
import perf_script
import stacks

WHOLE_ENOUGH = 0.99
COPIES = (16384, 32768, stacks.LARGEST_COPY)
# A frame takes some 100 to 200 bytes. Stacks that have far fewer frames than fit into the largest
# copy did not end for want of bytes.
BYTES_A_FRAME = 1000
DEFAULT_MAX_STACK = 127
TIMES = ("cpu-clock", "task-clock")


class Function:
    __slots__ = ("name", "file", "own", "total", "samples")

    def __init__(self, name, file):
        self.name, self.file = name, file
        self.own = self.total = self.samples = 0


class Process:
    """The stacks of one process under one name, which exec changes."""

    __slots__ = ("threads", "samples", "whole", "broken_frames", "longest", "longest_count", "ends")

    def __init__(self):
        self.samples = self.whole = self.broken_frames = 0
        self.longest = self.longest_count = 0
        self.ends = collections.Counter()
        self.threads = set()  # two of them, where there are more

    def add(self, sample):
        frames = sample.frames
        self.samples += 1
        if len(self.threads) < 2:
            self.threads.add(sample.tid)
        if is_whole(frames):
            self.whole += 1
            return
        length = len(frames)
        self.broken_frames += length
        if length > self.longest:
            self.longest, self.longest_count = length, 0
        self.longest_count += length == self.longest
        known = (frame.object for frame in reversed(frames) if frame.object != perf_script.UNKNOWN)
        self.ends[next(known, perf_script.UNKNOWN)] += 1


def is_whole(frames):
    """Whether the stack goes down to where its process or thread begins. That is not always the
    last frame: without its symbols, the program or libc has no name for it, and for Python the stack
    is whole from Py_BytesMain on, or pythread_wrapper in a thread. A sample in the kernel alone (kernel threads, idle,
    exec) has nothing to lose, and the dynamic loader runs before _start."""
    last = frames[-1]
    if last.kernel or last.loader or any(frame.beginning for frame in frames[-3:]):
        return True
    return begins_thread(frames)


def begins_thread(frames):
    """Whether the stack is whole where neither libc nor the interpreter has a name for its part: a
    thread's first Python function, and at the end start_thread and clone."""
    if not all(perf_script.LIBC.search(one.object) and one.symbol == perf_script.UNKNOWN for one in frames[-2:]):
        return False
    outermost = next((one.function for one in reversed(frames) if one.function), ("", ""))
    return outermost[0] == "Thread._bootstrap" and outermost[1].endswith("/threading.py")


class Event:
    def __init__(self, name, fold):
        self.name = name
        self.samples = self.weight = 0
        self.pids = set()
        self.functions = {}
        self.without = Function(None, None)
        self.processes = collections.defaultdict(Process)
        self.folded = collections.Counter() if fold else None

    def add(self, sample):
        self.samples += 1
        self.weight += sample.period
        if sample.pid > 0:
            self.pids.add(sample.pid)
        own, seen = None, set()
        for frame in sample.frames:
            function = frame.function
            if function is not None and function not in seen:
                own = own or function
                seen.add(function)
                self.of(function).total += sample.period
        owner = self.functions[own] if own else self.without
        owner.own += sample.period
        owner.samples += 1
        if sample.frames:
            self.processes[sample.pid, sample.comm].add(sample)
        if self.folded is not None:
            self.folded[folded(sample)] += 1

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

    def share(self, weight):
        return weight / self.weight if self.weight else 0.0

    def by_own_time(self):
        return sorted(
            self.functions.values(), key=lambda one: (-one.own, -one.total, one.name, one.file)
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
        if isinstance(record, perf_script.Task):
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
        if self.nameless is None:
            missing = (frame.object for frame in sample.frames if frame.nameless)
            self.nameless = next(missing, None)

    def cpu_seconds(self):
        """The program's CPU time; None if it was not measured and samples are no times. Time of
        processes that perf attaches to is not the program's."""
        sampled = [event.seconds(event.weight) for event in self.events]
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

    def advice(self):
        """What is wrong with the table, and what to do; or None."""
        return " ".join(filter(None, [self.advice_on_table(), self.advice_on_time()])) or None

    def advice_on_time(self):
        """When the program has used more CPU time than the samples come to."""
        timed = [one for one in self.events if one.seconds(0) is not None]
        if not self.used or not timed:
            return None
        event = timed[0]
        used = self.used[0] if event.user_alone else sum(self.used)
        sampled, period = event.seconds(event.weight), event.seconds(event.weight) / event.samples
        missing = used - sampled
        if missing < max(0.1 * used, 0.1, 5 * period):
            return None
        what = "The samples are of %.1f s of %.1f s of CPU time (%.0f %%): " % (
            sampled,
            used,
            100 * sampled / used,
        )
        copies = bool(self.recording.stack_size)
        if self.tasks.started * period < missing / 2:
            return what + "perf has lost the others, record less often (-F)%s." % (
                " or copy less (--stack-size)" * copies
            )
        return what + (
            "%s of %s threads and processes ended before their first sample, %.1f ms after their start at"
            " the soonest; record more often: %s."
            % (
                "{:,}".format(self.tasks.unseen),
                "{:,}".format(self.tasks.started),
                1000 * period,
                "-F 1999" + " --stack-size 16384" * copies,
            )
        )

    def advice_on_table(self):
        if self.recording.mode == stacks.NO_STACKS:
            return (
                "The profile was recorded without stacks, which hold the Python functions: record"
                " again with pyperf-run, or with perf record --call-graph dwarf,65528."
            )
        if self.nameless:
            return advice_on_names(self.nameless)
        named = any(event.functions for event in self.events)
        if not named and self.python:
            state = mapped.state(self.recording.path, {pid for pid, _ in self.python})
            if state != mapped.ON:
                return advice_on_library(state)
        for event in self.events:
            whole = self.whole(event)
            if whole is not None and whole < WHOLE_ENOUGH:
                broken = Broken(self.interpreters(event))
                return advice_on_stacks(self.recording, broken, 100 * (1 - whole))
        if named:
            return None
        if not self.python:
            return "No Python interpreter was seen: is the program one in Python?"
        return (
            "No sample is within a Python function, though libpyperf was switched on: a function that was"
            " running then gets its name when it is called again; record for longer, or more often (-F)."
        )


class Broken:
    """The advice for stacks of interpreters that end too soon."""

    def __init__(self, processes):
        self.count = sum(one.samples - one.whole for one in processes)
        self.mean_length = sum(one.broken_frames for one in processes) / self.count
        self.longest = max(one.longest for one in processes)
        at_longest = (one.longest_count for one in processes if one.longest == self.longest)
        self.at_longest = sum(at_longest)
        ends = sum((one.ends for one in processes), collections.Counter())
        self.end = min(ends, key=lambda name: (-ends[name], name))

    @property
    def end_name(self):
        return os.path.basename(self.end)


def advice_on_library(state):
    what = "An interpreter was seen, but no Python function: libpyperf was "
    if state == mapped.NOTHING:
        return (
            what + "not in it. Either it was started with another environment, which lacks LD_PRELOAD (sudo,"
            " env -i, a container), or it is linked statically or setuid; see also pyperf-run --doctor."
        )
    return (
        what + "in it, but did not profile. A line of libpyperf on stderr says why; where there is none, it waits"
        " for its signal (PYPERF_TOGGLE_SIGNAL), or the interpreter ignores the environment (python -I or -E, an"
        " isolated PyConfig): use -X perf, or"
        ' sys.activate_stack_trampoline("perf") where there is no command line; see also pyperf-run --doctor.'
    )


def advice_on_names(image):
    where = "Names of Python functions are missing, they were in %s: " % image
    if os.path.exists(image):
        return (
            where + "it is there, but perf did not read it, perhaps since the interpreter is not"
            " (a container that has been removed?): pyperf-run --archive keeps all that is needed."
        )
    return where + "images must stay where they were when the program ran."


def advice_on_stacks(recording, broken, percent):
    what = "%.1f %% of stacks end too soon" % percent
    if broken.end == "[vdso]":
        # perf record -N: for an object with a build id perf looks in its cache alone.
        return (
            "%s: most end in [vdso], where clock_gettime is, and of which perf has no copy; record"
            " with both -N and -B, or neither." % what
        )
    if recording.stack_size and recording.has_lost(broken.end):
        if not os.path.exists(broken.end):
            return (
                "%s: most end in %s, which is not here. A program that unpacks itself (PyInstaller --onefile)"
                " removes it at its end, and no copy could be made in time: record one that keeps its files"
                " (--onedir). Of a program in a container, pyperf-run --archive keeps all that is needed."
                % (what, broken.end)
            )
        return (
            "%s: most end in %s, and what has this name here is not what the program had (its build"
            " id is another; an upgrade, a container?): pyperf-run --archive keeps all that is needed."
            % (what, broken.end)
        )
    if recording.stack_size:
        return "%s: %s." % (what, advice_on_copies(recording.stack_size, broken))
    if recording.mode == "lbr":
        return "%s: --call-graph lbr holds the last 16 to 32 calls only; record without it." % what
    if recording.mode is None:  # the header is missing
        return "%s: record again with --stack-size %d." % (what, stacks.LARGEST_COPY)
    limit = recording.max_stack or max_stack_here()
    if broken.longest in (limit, DEFAULT_MAX_STACK) and 2 * broken.at_longest >= broken.count:
        return (
            "%s, cut after %d frames, the most that the kernel takes here: as root, run sysctl"
            " kernel.perf_event_max_stack=%d, and record again."
            % (what, broken.longest, 8 * (broken.longest + 1))
        )
    return (
        "%s: frame pointers lead no further, most often from %s, which was built without; record"
        " again with --call-graph dwarf." % (what, broken.end_name)
    )


def advice_on_copies(size, broken):
    harm = "totals of outer functions are too low"
    if size < stacks.LARGEST_COPY:
        larger = next(copy for copy in COPIES if copy > size)
        return (
            "of each, %d bytes were copied, which was too short, and %s; record again with"
            " --stack-size %d" % (size, harm, larger)
        )
    if size > broken.mean_length * BYTES_A_FRAME and perf_script.LIBC.search(broken.end):
        return (
            "though %d bytes of each were copied; most end in %s, for which perf finds no unwind data;"
            " it takes those of the debug symbols, too: install libc's (Debian's package: libc6-dbg)"
            % (size, broken.end_name)
        )
    if size > broken.mean_length * BYTES_A_FRAME:
        return (
            "though %d bytes of each were copied; most end in %s, in code that perf cannot unwind;"
            " --call-graph fp does, where it has frame pointers" % (size, broken.end_name)
        )
    return (
        "of each, %d bytes were copied, the most that perf can; deeper stacks do not fit, and %s;"
        " --call-graph fp takes them whole where the interpreter and its libraries have frame"
        " pointers" % (size, harm)
    )


def max_stack_here():
    try:
        with open("/proc/sys/kernel/perf_event_max_stack") as limit:
            return int(limit.read())
    except (IOError, ValueError):
        return DEFAULT_MAX_STACK


# folded stacks, as flame graph tools read them


def folded(sample):
    names = [sample.comm] + [label(frame) for frame in reversed(sample.frames)]
    return ";".join(name.replace(";", ":").replace("\n", " ") for name in names)


def label(frame):
    name = frame.symbol
    if name == perf_script.UNKNOWN and not frame.object.startswith("["):
        name = "[%s]" % os.path.basename(frame.object)
    return name + "_[k]" if frame.kernel else name
