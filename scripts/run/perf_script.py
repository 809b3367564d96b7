"""The text of perf script: samples, their stacks, and the Python functions in them."""

import re

FIELDS = "comm,pid,tid,time,period,event,ip,sym,dso"
# Without the first perf runs addr2line for each frame; without the second it shows 127 frames.
# CPython's limit of 1,000 calls is some 4,000 frames.
WHOLE_STACKS = ["--no-inline", "--max-stack", "4096"]

# A name set with prctl may look like the fields that follow it: the last match counts.
HEADER = re.compile(r"(.*)\s(-?\d+)/(-?\d+)\s+(\d+\.\d+):\s+(\d+)\s+(\S+):[ \t]*(.*)$")
# With --show-task-events. A thread that is cloned is a FORK, too.
TASK = re.compile(
    r".*\s(\d+\.\d+): PERF_RECORD_(?:(FORK|EXIT)\((-?\d+):(-?\d+)\)|COMM (exec): .*:(\d+)/(\d+)$)"
)
FRAME = re.compile(r"\s*([0-9a-f]+) (.* \(.*\))$")
PYTHON = "py::"
# py::<qualified name>:<file>. A file's name may have colons anywhere. A qualified name has them in
# angle brackets alone, where the compiler's own names are, and IPython's "<cell line: 1>".
PLACE = re.compile(r"((?:[^:<]|<[^<>]*>)*):(.*)$")
UNKNOWN = "[unknown]"
# perf's mark where a stack continues beyond its copy.
NOWHERE = "f" * 16

# Where processes and threads begin: in the C library, in the kernel, and, because a stripped libc
# has no names for its own part, in CPython (Modules/main.c, thread_pthread.h, _threadmodule.c).
BEGINNING = re.compile(
    r"(_start|_dlstart\w*|__libc_start_\w+|(__GI_)?_*clone3?|start_thread|_dl_start\w*|ret_from_fork\w*"
    r"|Py_BytesMain|Py_RunMain|Py_Main|_Py_UnixMain|pymain_\w+|pythread_wrapper|t_bootstrap)(@.*)?$"
)
INTERPRETER = re.compile(r"python[^/]*$")
LOADER = re.compile(r"(^|/)ld(-[^/]*)?\.so[^/]*$")
LIBC = re.compile(r"(^|/)libc[.-][^/]*$")
IMAGE = re.compile(r"(^|/)pyperf-\d+-\w{6}\.so[^/]*$")
CACHED_LINES = 50000  # some 500 bytes each


class Frame:
    __slots__ = ("function", "symbol", "object", "kernel", "beginning", "interpreter", "loader", "nameless")

    def __init__(self, address, symbol, holder):
        self.function = python_function(symbol)  # (qualified name, file), None for C
        self.symbol, self.object = symbol, holder
        upper = address.startswith("ffff") and len(address) == len(NOWHERE)
        self.kernel = upper and address != NOWHERE and holder != "[vsyscall]"
        self.beginning = bool(BEGINNING.match(symbol))
        self.interpreter = self.function is not None or bool(INTERPRETER.search(holder))
        self.loader = bool(LOADER.search(holder))
        # A trampoline without the image that has its name.
        self.nameless = symbol == UNKNOWN and bool(IMAGE.search(holder))


class Sample:
    __slots__ = ("comm", "pid", "tid", "time", "period", "event", "frames")

    def __init__(self, fields):
        comm, pid, tid, time, period, self.event = fields
        self.comm, self.pid, self.tid, self.time = comm.strip(), int(pid), int(tid), float(time)
        self.period = int(period)
        self.frames = []  # from the innermost outwards

    @property
    def python(self):
        """Names of the Python functions with their files, from the innermost outwards."""
        return [frame.symbol[len(PYTHON) :] for frame in self.frames if frame.function is not None]


class Task:
    """A process or thread that begins or ends; time is 0 if perf has synthesized the event."""

    __slots__ = ("kind", "pid", "tid", "time")

    def __init__(self, time, kind, pid, tid):
        self.kind, self.pid, self.tid, self.time = kind, int(pid), int(tid), float(time)


def python_function(symbol):
    if not symbol.startswith(PYTHON):
        return None
    text = symbol[len(PYTHON) :]
    place = PLACE.match(text)
    if place:
        return place.groups()
    name, _, file = text.partition(":")
    return name, file


def parse_frame(line):
    match = FRAME.match(line)
    if not match:
        return None
    address, text = match.groups()
    # Symbols and paths may have blanks and parentheses in them: "py::f:/a (b)/c.py (/tmp/x.so)",
    # "f (/usr/lib/libx.so (deleted))".
    at = max(text.rfind(" (/"), text.rfind(" (["))
    if at < 0:
        at = text.rfind(" (")
    return Frame(address, text[:at], text[at + 2 : -1])


def parse(lines):
    """Samples from the output of perf script with FIELDS: a header, its frames, an empty line; or,
    from a profile without stacks, all in the header's line. Also tasks, if perf shows them."""
    frames, sample = {}, None
    for line in lines:
        if sample is not None:
            if line not in frames:
                if len(frames) >= CACHED_LINES:
                    frames.clear()
                frames[line] = parse_frame(line)
            frame = frames[line]
            if frame is not None:
                sample.frames.append(frame)
                continue
            yield sample
            sample = None
        header = HEADER.match(line)
        if header:
            sample = Sample(header.groups()[:-1])
            only = parse_frame(header.group(7))
            if only is not None:
                sample.frames.append(only)
                yield sample
                sample = None
        elif " PERF_RECORD_" in line:
            task = TASK.match(line)
            if task:
                yield Task(*(field for field in task.groups() if field is not None))
    if sample is not None:
        yield sample
