"""A folder in the root of a process that runs already: for the files that libpyperf makes there, and a copy of the
library where the process does not see ours.

The root may be a container's, and whoever owns that may put symbolic links there at any moment: each component is
opened by itself, from a descriptor of the one above, and never through a link. Python 2.7 has no dir_fd: a name in a
descriptor's folder is /proc/self/fd/NUMBER/name.
"""

import errno
import json
import os
import random
import re
import shutil
import stat
import subprocess

import roots

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NAME = re.compile(r"pyperf-(\d+)-[a-z0-9]{6}$")
MARK = "attached"  # a file of ours in it: JSON
LARGEST_MARK = 1 << 20
LARGEST = 65 << 20  # of the sampler's files: a limit of 64 MiB, in whole segments (sample_file.c)
O_PATH = 0o10000000  # fcntl.h
READ_ONLY, NO_EXECUTION = 1, 8  # statvfs(3)
ROOM = 4 << 20
PART = 1 << 20
# File systems that the sampler refuses: see own_file_is_copied_on_write.
COPIED_ON_WRITE = ("9123683e", "ca451a4e", "2fc12fc1", "3434")


class Failed(Exception):
    """One line says why."""


def at(folder, name):
    return "/proc/self/fd/%d/%s" % (folder, name)


def open_below(folder, name, flags=O_PATH):
    return os.open(at(folder, name), flags | os.O_DIRECTORY | os.O_NOFOLLOW)


def open_place(root, place):
    """A descriptor of a folder in that root."""
    above = os.open(root + "/", O_PATH | os.O_DIRECTORY)
    for name in place.strip("/").split("/"):
        try:
            below = open_below(above, name)
        finally:
            os.close(above)
        above = below
    return above


def libraries(library):
    """libpyperf.so, and libpyperf-plan.so if it is there, which is loaded for trampolines and stripped interpreters."""
    names = [library, os.path.join(os.path.dirname(library), "libpyperf-plan.so")]
    return [name for name in names if os.path.exists(name)]


def can_be_loaded(one, paths):
    """Whether the process could load these files where they are."""
    if not one.sees_our_files() or any(os.statvfs(path).f_flag & NO_EXECUTION for path in paths):
        return False
    return is_permitted(one, paths, os.R_OK)


def can_be_written(one, folder):
    return one.sees_our_files() and is_permitted(one, [folder], os.W_OK | os.X_OK)


def is_permitted(one, paths, how):
    """To the process's user, which may be another one than ours if we are root."""
    if os.geteuid() != 0 or one.uid == 0:
        return all(os.access(path, how) for path in paths)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(one.groups)
            os.setgid(one.gid)
            os.setuid(one.uid)
            os._exit(not all(os.access(path, how) for path in paths))
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


class Folder:
    """One that was made, or that was found. path: the process's own."""

    def __init__(self, one, place, above, name, handle):
        self.owner, self.place, self.above, self.name, self.handle = one, place, above, name, handle
        self.path = "%s/%s" % (place, name)

    @property
    def seen_here(self):
        """Its path for us."""
        return self.path if self.owner.sees_our_files() else self.owner.root + self.path

    def files(self):
        """The names of the sampler's files in it."""
        return sorted(name for name in self.names() if name.endswith(".samples"))

    def names(self):
        return os.listdir(at(self.handle, "."))

    def put(self, path):
        """A copy of that file."""
        name = os.path.basename(path)
        with open(path, "rb") as source:
            with os.fdopen(self.create(name, 0o644), "wb") as out:
                shutil.copyfileobj(source, out)

    def create(self, name, mode):
        handle = os.open(at(self.handle, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        os.fchmod(handle, mode)
        return handle

    def mark(self, **more):
        more.update(pid=self.owner.own_pid, started=self.owner.started)
        with os.fdopen(self.create(MARK, 0o644), "wb") as out:
            out.write(json.dumps(more).encode("utf-8"))

    def marked(self):
        """The content of the mark; None if it is not valid: the process's user can write anything there."""
        try:
            with self.open(MARK) as file:
                text = file.read(LARGEST_MARK).decode("utf-8")
            found = json.loads(text)
        except (IOError, OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("pid") == self.owner.own_pid else None

    def open(self, name):
        return roots.regular(at(self.handle, name))

    def give(self):
        """To the process's user. Another process of root's may become any other user."""
        if os.fstat(self.handle).st_uid != self.owner.uid:
            os.fchown(self.handle, self.owner.uid, self.owner.gid)
        os.fchmod(self.handle, 0o1733 if self.owner.is_root() else 0o700)

    def take_out(self, name, path):
        """Copies the file to a new file of ours."""
        with self.open(name) as source:
            out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(out, "wb") as out:
                for _ in range(0, LARGEST, PART):
                    out.write(source.read(PART))

    def remove(self):
        """With all that is in it. There are no folders in it that we have made."""
        try:
            for name in self.names():
                os.unlink(at(self.handle, name))
            there, ours = os.lstat(at(self.above, self.name)), os.fstat(self.handle)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                os.rmdir(at(self.above, self.name))
        except (IOError, OSError) as error:
            if error.errno != errno.ENOENT:
                raise Failed("%s cannot be removed: %s" % (self.seen_here, error.strerror))

    def drop_libraries(self):
        """Removes our copies. Returns the names of the trampoline images."""
        for name in self.names():
            if name.startswith("libpyperf"):
                os.unlink(at(self.handle, name))
        return [name for name in self.names() if name.endswith(".so")]

    def close(self):
        os.close(self.handle)
        os.close(self.above)


def make(one, executable, uncopied):
    """A new folder that is still ours: give() makes it the process's. executable: whether the process must be able to
    run code that lies there; uncopied: whether a file system that copies on write will not do."""
    reasons = []
    for place in PLACES:
        try:
            above = open_place(one.root, place)
        except (IOError, OSError) as error:
            if error.errno in (errno.EACCES, errno.EPERM) and not os.access(one.root + "/", os.X_OK):
                raise Failed("the files of process %d cannot be reached: %s" % (one.pid, error.strerror))
            reasons.append((place, "a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else "missing"))
            continue
        why = unfit(above, executable, uncopied)
        if not why:
            try:
                return make_in(one, place, above)
            except (IOError, OSError) as error:
                why = error.strerror
        os.close(above)
        reasons.append((place, why))
    raise Failed(
        "process %d has no folder that it could write to (%s): mount a tmpfs on its /tmp (docker run --tmpfs /tmp%s)"
        % (one.pid, ", ".join("%s: %s" % reason for reason in reasons), ":exec" if executable else "")
    )


def unfit(above, executable, uncopied):
    """The reason why a folder cannot take our files; None if it can."""
    status = os.statvfs(at(above, "."))
    if status.f_flag & READ_ONLY:
        return "read-only"
    if executable and status.f_flag & NO_EXECUTION:
        return "noexec"
    if status.f_bavail * status.f_frsize < ROOM:
        return "full"
    if uncopied:
        words = ["stat", "-f", "-c", "%t", "/proc/%d/fd/%d/." % (os.getpid(), above)]
        try:
            kind = subprocess.Popen(words, stdout=subprocess.PIPE).communicate()[0]
        except OSError:
            return None
        if kind.decode().strip() in COPIED_ON_WRITE:
            return "copies on write"
    return None


def make_in(one, place, above):
    while True:
        name = "pyperf-%d-%s" % (one.own_pid, "".join(random.SystemRandom().choice(LETTERS) for _ in range(6)))
        try:
            os.mkdir(at(above, name), 0o700)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            continue
        handle = open_below(above, name, os.O_RDONLY)
        folder = Folder(one, place, above, name, handle)
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or status.st_mode & 0o777 != 0o700 or folder.names():
            raise OSError(errno.EPERM, "another process puts its folders there")
        return folder


def found(one):
    """The folders that were made for this process, with what was written into their marks."""
    for place in PLACES:
        try:
            names = sorted(listed(one.root, place))
        except (IOError, OSError):
            continue
        for name in names:
            match = NAME.match(name)
            if not match or int(match.group(1)) != one.own_pid:
                continue
            above = open_place(one.root, place)
            try:
                folder = Folder(one, place, above, name, open_below(above, name, os.O_RDONLY))
            except (IOError, OSError):
                os.close(above)
                continue
            mark = folder.marked()
            if mark is None:
                folder.close()
            else:
                yield folder, mark


def remove_map(one):
    """/tmp/perf-PID.map, which is of no use when trampolines are off, and is made anew with them."""
    try:
        above = open_place(one.root, "/tmp")
    except (IOError, OSError):
        return
    try:
        path = at(above, "perf-%d.map" % one.own_pid)
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_uid == one.uid:
            os.unlink(path)
    except OSError:
        pass
    finally:
        os.close(above)


def listed(root, place):
    handle = open_place(root, place)
    try:
        return os.listdir(at(handle, "."))
    finally:
        os.close(handle)


class Dead(object):
    """In place of a target.Target, for a process that has ended: what it left in our own root."""

    uid, root = None, ""

    def __init__(self, pid):
        self.pid = self.own_pid = pid
        self.started = None

    def sees_our_files(self):
        return True

    def lives(self):
        return False

    def environment(self):
        return {}
