"""A process that runs already, as /proc shows it."""

import errno
import os
import pwd
import re

PROC = "/proc"
PERMITTING = 1 << 19 | 1 << 38  # CAP_SYS_PTRACE, CAP_PERFMON (linux/capability.h)
LIBRARY = re.compile(r"[/:]libpyperf\.so( \(deleted\))?$")


class Gone(Exception):
    """There is no such process."""


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")


def numbers():
    """All processes that are seen here."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


class Target:
    def __init__(self, pid):
        self.pid, self.folder = pid, "%s/%d" % (PROC, pid)
        try:
            fields = self.status()
            self.started, self.parent = self.times()
        except (IOError, OSError):
            raise Gone
        # Of the four the last is what counts for files.
        self.uid, self.gid = (int(fields[name].split()[3]) for name in ("Uid", "Gid"))
        self.groups = [int(one) for one in fields.get("Groups", "").split()]
        # Without it, before Linux 4.1.
        self.own_pid = int(fields.get("NSpid", str(pid)).split()[-1])

    def status(self):
        lines = read(self.folder + "/status").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def times(self):
        """When it was started, in ticks since the machine was, and its parent."""
        fields = read(self.folder + "/stat").rpartition(")")[2].split()
        if fields[0] in "ZX":
            raise IOError(errno.ESRCH, "it has ended")
        return int(fields[19]), int(fields[1])

    def is_permitted(self):
        """Whether we may look into it, as far as users decide that."""
        if os.geteuid() in (0, self.uid):
            return True
        return bool(int(Target(os.getpid()).status()["CapEff"], 16) & PERMITTING)

    def user(self):
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return "user %d" % self.uid

    def is_root(self):
        """In its own user namespace."""
        if self.uid == 0:
            return True
        try:
            if os.readlink(PROC + "/self/ns/user") == os.readlink(self.folder + "/ns/user"):
                return False
            rows = [[int(one) for one in line.split()] for line in read(self.folder + "/uid_map").splitlines()]
        except (IOError, OSError):
            return False
        return any(inside == 0 and outside == self.uid for inside, outside, _ in rows)

    def lives(self):
        """Whether it is still there, and no other one of that number."""
        try:
            return self.times()[0] == self.started
        except (IOError, OSError):
            return False

    @property
    def root(self):
        return self.folder + "/root"

    def sees_our_files(self):
        """Whether a path is the same file for it as for us."""
        try:
            ours, its = os.stat("/"), os.stat(self.root + "/")
            same = os.readlink(PROC + "/self/ns/mnt") == os.readlink(self.folder + "/ns/mnt")
        except OSError:
            return False
        return same and (ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino)

    def pid_namespace(self):
        return os.readlink(self.folder + "/ns/pid")

    def environment(self):
        """Its variables as they were at its start."""
        try:
            text = read(self.folder + "/environ")
        except (IOError, OSError):
            return {}
        return dict(one.partition("=")[::2] for one in text.split("\0"))

    def mapped(self):
        """The paths of the files that it has mapped."""
        try:
            lines = read(self.folder + "/maps").splitlines()
        except (IOError, OSError):
            return set()
        return {fields[5] for fields in (line.split(None, 5) for line in lines) if len(fields) == 6}

    def has_library(self):
        return any(LIBRARY.search(path) for path in self.mapped())

    def was_preloaded(self):
        variables = self.environment()
        return "libpyperf" in variables.get("LD_PRELOAD", "") or "PYPERF_SAMPLER" in variables


def children_of(pids):
    """The descendants of these processes, without those that are named themselves."""
    below = {}
    for one in all_targets():
        below.setdefault(one.parent, []).append(one)
    found, left = [], list(pids)
    while left:
        for one in below.get(left.pop(0), ()):
            if one.pid not in pids:
                found.append(one)
                left.append(one.pid)
    return found


def all_targets():
    for pid in numbers():
        try:
            yield Target(pid)
        except Gone:
            pass
