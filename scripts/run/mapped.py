"""What a profile says of the files that processes had mapped: libpyperf.so, and its images."""

import re

import model
import stacks

LIBRARY = re.compile(r"(^|/)libpyperf\.so[^/]*$")
FIELDS = "comm,pid,tid"
MAPPED = re.compile(r"PERF_RECORD_MMAP2? (-?\d+)/-?\d+: \[.*\]: \S+ (.*)$")
EXEC = re.compile(r"PERF_RECORD_COMM exec: .*:(\d+)/\d+$")
FORK = re.compile(r"PERF_RECORD_FORK\((\d+):\d+\):\((\d+):\d+\)$")
NOTHING, LOADED, ON = range(3)


def state(path, pids):
    """How far libpyperf came in one of these processes: NOTHING of it, LOADED, or ON, with an image."""
    found = {}
    for line in events(path):
        mapped, executed, forked = MAPPED.search(line), EXEC.search(line), FORK.search(line)
        if executed:
            # exec has replaced all mappings
            found.pop(int(executed.group(1)), None)
        elif forked:
            child, parent = map(int, forked.groups())
            found.setdefault(child, found.get(parent, NOTHING))
        elif mapped:
            pid = int(mapped.group(1))
            found[pid] = max(found.get(pid, NOTHING), state_of_file(mapped.group(2)))
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
