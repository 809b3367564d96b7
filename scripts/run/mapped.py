"""What a profile says of the files that processes had mapped: libpyperf.so, and its images."""

import re

import model
import perf_script
import stacks

LIBRARY = re.compile(r"(^|/)libpyperf\.so[^/]*$")
FIELDS = "comm,pid,tid,time"
NOTHING, LOADED, ON = range(3)


def state(path, pids):
    """How far libpyperf came in one of these processes: NOTHING of it, LOADED, or ON, with an image."""
    found = {}
    for record in perf_script.parse(events(path)):
        if isinstance(record, model.Mapping):
            found[record.pid] = max(found.get(record.pid, NOTHING), state_of_file(record.path))
        elif record.kind == "exec":
            # exec has replaced all mappings
            found.pop(record.pid, None)
        elif record.kind == "FORK":
            found.setdefault(record.pid, found.get(record.parent, NOTHING))
    return max([NOTHING] + [found.get(pid, NOTHING) for pid in pids])


def state_of_file(name):
    if model.IMAGE.search(name):
        return ON
    return LOADED if LIBRARY.search(name) else NOTHING


def events(path):
    """Lines of perf script on mappings and tasks, in perf's order."""
    archive = stacks.Archive(path)
    words = archive.before + ["script", "-i", path, "--show-mmap-events", "--show-task-events"]
    text = stacks.output(words + archive.after + ["--fields", FIELDS])
    return (line for line in text.splitlines() if " PERF_RECORD_" in line)
