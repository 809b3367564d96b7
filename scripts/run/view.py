"""What is shown of the samples: Python functions alone, functions of some files alone, threads or processes apart. All
outputs show the same: table, JSON, flame graph and the formats of others.

    recorded     main  run  sorted  key  json.loads  decode     from the outermost inwards, "sorted" is a function of C
    --python-only           main  run  key  json.loads  decode
    --only app.py           main  run  key                      with the time of what it has called in other files
"""

import os
import re

import model
import python2

THREAD, PROCESS = "thread", "process"
# The standard library, and what pip or a distribution has installed.
LIBRARY = re.compile(r"/(site|dist)-packages/|/lib(64)?/(python|pypy)\d[\d.]*/|/python\d+\.zip/")


class Files:
    """Those of --only. path: a file or a folder; a relative one may stand anywhere in a file's path, so that it fits on
    another machine, too."""

    def __init__(self, paths):
        self.folder = python2.current_folder()
        self.paths = [(path, self.whole(path)) for path in paths]
        self.known = {}

    def whole(self, path):
        """From the root on, with a slash at its end."""
        return os.path.normpath(os.path.join(self.folder, path)).rstrip("/") + "/"

    def has(self, file):
        found = self.known.get(file)
        if found is None:
            found = self.known[file] = any(is_below(file, self.whole(file), *path) for path in self.paths)
        return found


def is_below(file, name, path, absolute):
    """name, absolute: the two from the root on. Files of the library are only so where the path itself leads there."""
    if file.startswith("<"):
        return file == path
    if name.startswith(absolute):
        return not LIBRARY.search("/" + name[len(absolute) :])
    if os.path.isabs(path):
        return False
    inner = "/" + os.path.normpath(path) + "/"
    if inner not in name:
        return False
    behind = name.index(inner) + len(inner) - 1 if LIBRARY.search(inner) else 0
    return not LIBRARY.search(name[behind:])


class View:
    """python_only: samples without a Python function are left out, and frames of machine code. paths: functions of
    other files count as those of these files that have called them. by: THREAD, PROCESS, or None."""

    def __init__(self, python_only=False, paths=(), by=None):
        self.python_only, self.paths, self.by = python_only, list(paths), by
        self.files = Files(self.paths) if self.paths else None
        self.frames_of = {}  # stacks of the sampler

    def shown(self, sample):
        """The sample itself, or one with less frames; None if it is left out."""
        if not self.python_only and self.files is None:
            return sample
        frames = self.frames(sample)
        if self.python_only and not any(frame.function is not None for frame in frames):
            return None
        shown = model.Sample(sample.comm, sample.pid, sample.tid, sample.time, sample.period, sample.event)
        shown.frames, shown.count, shown.whole, shown.state = frames, sample.count, sample.whole, sample.state
        return shown

    def frames(self, sample):
        if sample.stack is None:
            return [frame for frame in sample.frames if self.has(frame)]
        found = self.frames_of.get(sample.stack)
        if found is None:
            found = self.frames_of[sample.stack] = [frame for frame in sample.frames if self.has(frame)]
        return found

    def has(self, frame):
        """What a thread waits for is no machine code."""
        if frame.function is None:
            return frame.object == model.WAITING
        return self.files is None or self.files.has(frame.function[1])

    def group(self, sample):
        """What tells threads or processes apart; None if they are together."""
        if self.by is None:
            return None
        return (sample.pid,) if self.by == PROCESS else (sample.pid, sample.tid)

    def root(self, sample):
        """The name of a thread or process, for people."""
        if self.by == THREAD:
            return u"%s (process %d, thread %d)" % (sample.comm, sample.pid, sample.tid)
        return u"%s (%d)" % (sample.comm, sample.pid)

    def process(self, sample):
        """The name in folded stacks, as stackcollapse-perf.pl --pid and --tid have it."""
        if self.by == THREAD:
            return u"%s-%d/%d" % (sample.comm, sample.pid, sample.tid)
        return u"%s-%d" % (sample.comm, sample.pid) if self.by else sample.comm
