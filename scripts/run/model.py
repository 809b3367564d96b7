"""Samples and the frames of their stacks, whatever recorded them: perf (perf_script.py) or the sampler in
the process (samples.py)."""

import re

PYTHON = "py::"
UNKNOWN = "[unknown]"
WAITING = "[waiting]"  # in place of a file, where a thread waits
STATES = 4
RUNS, WAITS_FOR_CPU, WAITS_FOR_LOCK, WAITS = range(STATES)  # states of threads; the lock is the interpreter's
# What stands inside of the innermost frame of a thread that waits.
STATE_NAMES = {
    WAITS_FOR_CPU: "[waiting for a CPU]",
    WAITS_FOR_LOCK: "[waiting for the GIL]",
    WAITS: "[waiting]",
}

# Where processes and threads begin: in the C library, in the kernel, and, because a stripped libc
# has no names for its own part, in CPython (Modules/main.c, thread_pthread.h, _threadmodule.c).
BEGINNING = re.compile(
    r"(_start|_dlstart\w*|__libc_start_\w+|(__GI_)?_*clone3?|start_thread|_dl_start\w*|ret_from_fork\w*"
    r"|Py_BytesMain|Py_RunMain|Py_Main|_Py_UnixMain|pymain_\w+|pythread_wrapper|t_bootstrap)(@.*)?$"
)
# threading.py: the first function of each thread that it makes; in 2.7 that name is a class's own.
FIRST_OF_THREAD = re.compile(r"py::Thread\._(_|_Thread__)?bootstrap:.*/threading\.py$")
INTERPRETER = re.compile(r"python[^/]*$")
LOADER = re.compile(r"(^|/)ld(-[^/]*)?\.so[^/]*$")
LIBC = re.compile(r"(^|/)libc[.-][^/]*$")
IMAGE = re.compile(r"(^|/)pyperf-\d+-\w{6}\.so[^/]*$")


class Frame:
    """function: the key of a row of the table: (qualified name, file) of a Python function, with its line as a third
    if rows are lines; None for machine code. line, column (from 1 on), and first, the function's first line: None
    where they are not known. address: as perf script prints it; None for what perf has not seen."""

    __slots__ = ("function", "line", "column", "first", "symbol", "object", "kernel", "address")
    __slots__ += ("beginning", "interpreter", "loader", "nameless")

    def __init__(self, function, symbol, holder, kernel=False):
        self.function, self.symbol, self.object, self.kernel = function, symbol, holder, kernel
        self.line = self.column = self.first = self.address = None
        self.beginning = bool(BEGINNING.match(symbol))
        self.interpreter = function is not None or bool(INTERPRETER.search(holder))
        self.loader = bool(LOADER.search(holder))
        # A trampoline without the image that has its name.
        self.nameless = symbol == UNKNOWN and bool(IMAGE.search(holder))


class Sample:
    """frames: from the innermost outwards; count: how many samples of this stack it stands for, period: their weight
    together; whole: whether the stack is complete, None if only its frames can tell; state: what the thread did."""

    __slots__ = ("comm", "pid", "tid", "time", "period", "event", "frames", "count", "whole", "state")

    def __init__(self, comm, pid, tid, time, period, event):
        self.comm, self.pid, self.tid, self.time = comm, pid, tid, time
        self.period, self.event = period, event
        self.count, self.whole, self.state = 1, None, RUNS

    @property
    def stack(self):
        """Equal for samples of the same stack, where that is known; None elsewhere."""
        return None

    @property
    def own(self):
        """The Python function that ran, or None."""
        return next((frame.function for frame in self.frames if frame.function is not None), None)

    @property
    def functions(self):
        """Each Python function of the stack once."""
        return {frame.function for frame in self.frames if frame.function is not None}

    @property
    def python(self):
        """Names of the Python functions with their files, from the innermost outwards."""
        return [frame.symbol[len(PYTHON) :] for frame in self.frames if frame.function is not None]


class Task:
    """A process or thread that begins or ends; time is 0 if perf has synthesized the event. parent, parent_tid: of one
    that begins, the thread that has made it."""

    __slots__ = ("kind", "pid", "tid", "time", "parent", "parent_tid")

    def __init__(self, time, kind, pid, tid, parent=0, parent_tid=0):
        self.kind, self.pid, self.tid, self.time = kind, int(pid), int(tid), float(time)
        self.parent, self.parent_tid = int(parent), int(parent_tid)


class Mapping:
    """A file that a process has mapped with code; offset: in the file."""

    __slots__ = ("pid", "offset", "path")

    def __init__(self, pid, offset, path):
        self.pid, self.offset, self.path = int(pid), int(offset, 16), path


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
    outermost = next((one.symbol for one in reversed(frames) if one.function), "")
    return ends_in_libc(frames) and bool(FIRST_OF_THREAD.match(outermost))


def ends_in_libc(frames):
    return all(LIBC.search(one.object) and one.symbol == UNKNOWN for one in frames[-2:])
