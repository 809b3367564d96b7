"""Which files of a folder (PYPERF_DIR, or of profiles that pyperf-run has made) a store has: a list beside them, so
that each is sent once, whoever sends.

    shop-samples/
     |- pyperf-7-a1B2c3.samples   complete, and sent
     |- pyperf-7-d4E5f6.samples   complete
     |- pyperf-7-g7H8i9.samples   its process still writes it
     `- sent.json                 {store: {file's name and begin: whether the store has taken it}}

A file is complete if its process says so in the header, or if it is packed (packing.py). That of a process that was
killed is neither: it is complete when nobody has mapped it and its last sample is ten minutes old.
"""

import errno
import fcntl
import glob
import json
import os
import time

import python2
import sample_file
import stacks
import writing

LIST = "sent.json"
ABANDONED = 600  # seconds without a sample


class Folder:
    def __init__(self, path, store):
        self.path, self.store, self.lock = path, store.name, None
        self.known = {}

    def open(self):
        """False if another one is sending from here. Raises stacks.Failed."""
        try:
            self.lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError) as error:
            if error.errno in (errno.EAGAIN, errno.EACCES) and self.lock is not None:
                return False
            raise stacks.Failed("%s: %s" % (self.path, error.strerror))
        try:
            with open(os.path.join(self.path, LIST), "rb") as file:
                self.known = json.loads(file.read().decode("utf-8"))
        except (IOError, OSError) as error:
            if error.errno != errno.ENOENT:
                raise
        except ValueError:
            raise stacks.Failed(
                "%s is damaged: remove it, and all files are sent again" % os.path.join(self.path, LIST)
            )
        return True

    def waiting(self):
        """Complete files that the store has not had, those of the earliest begin first."""
        found = []
        mapped = None
        for name in sample_file.files_of(self.path):
            part = first_part(name)
            if part is None or self.key(name, part.header) in self.known.get(self.store, {}):
                continue
            header = part.header
            if not (part.packed or header.flags & sample_file.WHOLE):
                mapped = mapped_files() if mapped is None else mapped
                if os.path.basename(name) in mapped or not is_old(part):
                    continue
            found.append((header.began_utc, name, header))
        return [(name, header) for _, name, header in sorted(found)]

    def key(self, name, header):
        return "%s %d" % (os.path.basename(name), header.began_utc)

    def note(self, name, header, taken):
        self.known.setdefault(self.store, {})[self.key(name, header)] = taken
        self.keep()

    def keep(self):
        """Writes the list, without what is no longer there. Raises stacks.Failed."""
        there = set(os.path.basename(one) for one in sample_file.files_of(self.path))
        for store, files in list(self.known.items()):
            self.known[store] = {key: value for key, value in files.items() if key.rpartition(" ")[0] in there}
        text = json.dumps(self.known, indent=1, sort_keys=True, separators=(",", ": "))
        try:
            writing.replace(os.path.join(self.path, LIST), lambda out: out.write(python2.bytes_of(text) + b"\n"))
        except (IOError, OSError) as error:
            raise stacks.Failed("%s: what has been sent cannot be noted there: %s" % (self.path, error.strerror))


def first_part(path):
    """None if it is no file of the sampler, or not there any more."""
    try:
        with open(path, "rb") as file:
            return sample_file.read_part(file, 0, path)
    except (IOError, OSError, stacks.Failed):
        return None


def is_old(part):
    """Whether its last sample, or its begin, was long ago."""
    latest = part.header.began
    for at, kind, _ in part.records():
        if kind == sample_file.SAMPLE:
            latest = max(latest, sample_file.SAMPLE_BODY.unpack_from(part.data, at)[-1])
    since_began = (latest - part.header.began) / 1e9
    return time.time() - part.header.began_utc / 1e9 - since_began > ABANDONED


def mapped_files():
    """Names of the sampler's files that processes have mapped, as far as we may see it: their paths may be those of
    containers."""
    found = set()
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(maps, "rb") as lines:
                for line in lines:
                    if line.endswith(b".samples\n"):
                        found.add(python2.escaped_text(line.rsplit(b"/", 1)[1].rstrip(b"\n")))
        except (IOError, OSError):
            pass  # it has ended, or is another user's
    return found
