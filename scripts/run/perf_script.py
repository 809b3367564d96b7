"""The text of perf script: samples, their stacks, and the Python functions in them."""

import re

import model

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
# py::<qualified name>:<file>. A file's name may have colons anywhere. A qualified name has them in
# angle brackets alone, where the compiler's own names are, and IPython's "<cell line: 1>".
PLACE = re.compile(r"((?:[^:<]|<[^<>]*>)*):(.*)$")
# perf's mark where a stack continues beyond its copy.
NOWHERE = "f" * 16

CACHED_LINES = 50000  # some 500 bytes each


def python_function(symbol):
    if not symbol.startswith(model.PYTHON):
        return None
    text = symbol[len(model.PYTHON) :]
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
    symbol, holder = text[:at], text[at + 2 : -1]
    upper = address.startswith("ffff") and len(address) == len(NOWHERE)
    kernel = upper and address != NOWHERE and holder != "[vsyscall]"
    frame = model.Frame(python_function(symbol), symbol, holder, kernel)
    frame.address = int(address, 16)
    return frame


def parse_header(comm, pid, tid, time, period, event):
    sample = model.Sample(comm.strip(), int(pid), int(tid), float(time), int(period), event)
    sample.frames = []
    return sample


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
            sample = parse_header(*header.groups()[:-1])
            only = parse_frame(header.group(7))
            if only is not None:
                sample.frames.append(only)
                yield sample
                sample = None
        elif " PERF_RECORD_" in line:
            task = TASK.match(line)
            if task:
                yield model.Task(*(field for field in task.groups() if field is not None))
    if sample is not None:
        yield sample
