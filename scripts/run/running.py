"""Names of the Python calls that were running when libpyperf was switched on in their process. They have no trampoline,
so perf finds an evaluator and no function; libpyperf has written down which they were (preload/profile/running_calls.h
has the format, and why the rules below hold).

    stack        evaluator, evaluator, evaluator, trampoline of "d", evaluator      from the outermost inwards
    list         a          b          c
    then         a b c d                                the outermost without a trampoline are those of the list
"""

import os
import re

import model
import perf_script

END = 1 << 20  # RUNNING_CALLS_END: they are switched off
PAGE = os.sysconf("SC_PAGESIZE")
DELETED = " (deleted)"
LARGEST = 32 << 20  # bytes of a file
# In the innermost of them, where others may have begun and ended that are in no list.
UNKNOWN = model.PYTHON + "[not known]:"
FILE = re.compile(r"/pyperf-\d+-\w{6}\.calls$")
# With greenlets a thread has several stacks, and the list is that of one of them.
GREENLETS = re.compile(r"/_?greenlet[^/]*\.so$")


class Calls:
    """A file; ValueError: it is damaged. evaluators: (begin, end, name of their file); snapshots: for each thread its
    evaluators' C frames, from the outermost inwards, each a list of symbols, which from 3.11 on may have several. main:
    the thread of that number is the process's first, as it numbers itself."""

    def __init__(self, content):
        self.evaluators, self.snapshots, self.main = [], [], None
        snapshot, thread = {}, None
        for line in content.rpartition(b"\0")[2].decode("utf-8", "replace").split("\n"):
            word, _, rest = line.partition(" ")
            if word == "process":
                self.main = int(rest)
            elif word == "evaluator":
                begin, end, offset, path = rest.split(" ", 3)
                self.add_evaluator(int(begin, 16), int(end, 16), int(offset, 16), path)
            elif word == "snapshot":
                snapshot = {}
            elif word == "thread":
                thread = snapshot[int(rest)] = []
            elif word == "=" and thread is not None:
                thread.append([rest])
            elif word == "+" and thread:
                thread[-1].append(rest)
            elif word == "done":
                self.snapshots.append(snapshot)

    def add_evaluator(self, begin, end, offset, path):
        """perf script shows addresses, or offsets in the file (recorded_maps.py)."""
        name = name_of(path)
        self.evaluators += [(begin, end, name), (offset, offset + end - begin, name)]

    def has(self, frame):
        at, name = frame.address, name_of(frame.object)
        return any(begin <= at < end and name == its for begin, end, its in self.evaluators)

    def at(self, number, thread):
        return self.snapshots[number].get(thread, []) if number < len(self.snapshots) else []

    def symbols(self, thread, number):
        """For each C frame of the thread its calls, and how many of those are certain: the first, which it was made
        for, and those that were still there at the snapshot behind the one of this number; at the END, at the last one:
        a call with a trampoline has kept them since."""
        next_one = max(1, len(self.snapshots) - 1) if number == END else number + 1
        frames, later = self.at(0, thread), self.at(next_one, thread)
        found = []
        for index, symbols in enumerate(frames):
            if index + 1 < len(frames) or len(symbols) == 1:
                found.append((symbols, len(symbols)))
            elif index < len(later):
                found.append((symbols, max(1, len(os.path.commonprefix([symbols, later[index]])))))
            else:
                found.append((symbols, 1))
        return found


class Process:
    """calls: the file, or None; number: of the snapshot that was made last, END: they are switched off; thread_of: in a
    forked child the thread that it was in its parent."""

    def __init__(self):
        self.calls, self.number, self.thread_of, self.has_greenlets, self.is_child = None, END, {}, False, False

    def fork(self, thread, parent):
        child = Process()
        child.calls, child.number, child.has_greenlets = self.calls, self.number, self.has_greenlets
        child.thread_of = {thread: self.thread_of.get(parent, parent)}
        child.is_child = True
        return child


def own_number(pid, tid):
    """NSpid, proc(5): the last one is that of the innermost namespace."""
    try:
        with open("/proc/%d/task/%d/status" % (pid, tid)) as lines:
            return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), None)
    except (IOError, OSError):
        return None


class Running:
    """open_file: gives the content of a mapped file of a process, or None; own_number: of a process and a thread the
    number that the thread has in its own pid namespace, or None."""

    def __init__(self, open_file, own_number=own_number):
        self.open_file, self.own_number, self.processes, self.files = open_file, own_number, {}, {}
        self.numbers = {}

    def named(self, records):
        """The records without mappings; stacks have the names."""
        for record in records:
            if isinstance(record, model.Mapping):
                self.map(record)
                continue
            if isinstance(record, model.Task):
                self.follow(record)
            elif record.pid in self.processes:
                self.name(record, self.processes[record.pid])
            yield record

    def map(self, mapping):
        process = self.processes.get(mapping.pid)
        if GREENLETS.search(mapping.path):
            process = process or self.processes.setdefault(mapping.pid, Process())
            process.has_greenlets = True
        elif FILE.search(mapping.path):
            process = process or self.processes.setdefault(mapping.pid, Process())
            process.calls, process.number = self.read(mapping), mapping.offset // PAGE

    def read(self, mapping):
        path = mapping.path
        if path not in self.files:
            content = self.open_file(mapping.pid, path)
            try:
                self.files[path] = Calls(content) if content else None
            except ValueError:
                self.files[path] = None
        return self.files[path]

    def follow(self, task):
        """Mappings are not recorded again for a forked child; an exec has none."""
        if task.kind == "exec":
            self.processes.pop(task.pid, None)
        elif task.kind == "FORK" and task.parent != task.pid and task.time and task.parent in self.processes:
            self.processes[task.pid] = self.processes[task.parent].fork(task.tid, task.parent_tid)

    def name(self, sample, process):
        frames = sample.frames
        if process.calls is None or process.has_greenlets:
            return
        listed = self.listed(sample, process)
        if not listed or not (model.is_whole(frames) or begins_thread(frames, listed)):
            return
        places, has_trampoline = without_trampoline(frames, process.calls)
        if process.number == END and not has_trampoline:
            return  # calls have no trampoline any more
        listed = listed[: len(places)]
        for index, (symbols, certain) in enumerate(listed):
            if index + 1 < len(listed):
                certain = len(symbols)  # it waits for the next one
            kept = symbols[:certain]
            if certain < len(symbols) and not has_trampoline and index + 1 == len(places):
                kept.append(UNKNOWN)
            at = places[index] + 1
            frames[at:at] = [frame_of(symbol) for symbol in reversed(kept)]

    def number(self, pid, tid):
        if (pid, tid) not in self.numbers:
            self.numbers[pid, tid] = self.own_number(pid, tid)
        return self.numbers[pid, tid]

    def listed(self, sample, process):
        calls, thread = process.calls, process.thread_of.get(sample.tid, sample.tid)
        if process.is_child and sample.tid not in process.thread_of:
            return []
        if not process.is_child and sample.tid == sample.pid:
            thread = calls.main
        elif not process.is_child and sample.pid != calls.main:
            thread = self.number(sample.pid, sample.tid)
        return calls.symbols(thread, len(calls.snapshots) if process.is_child else process.number)


def begins_thread(frames, listed):
    """As model.begins_thread, for a stack whose first function is in the list."""
    return model.ends_in_libc(frames) and bool(model.FIRST_OF_THREAD.match(listed[0][0][0]))


def without_trampoline(frames, calls):
    """Where the evaluators' frames are, from the outermost inwards, up to the first one with a trampoline, and whether
    there is one."""
    found = []
    for at in range(len(frames) - 1, -1, -1):
        if frames[at].address is not None and calls.has(frames[at]):
            if at + 1 < len(frames) and frames[at + 1].function:
                return found, True
            found.append(at)
    return found, False


def name_of(path):
    name = os.path.basename(path)
    return name[: -len(DELETED)] if name.endswith(DELETED) else name


def frame_of(symbol):
    return model.Frame(perf_script.python_function(symbol), symbol, model.UNKNOWN)
