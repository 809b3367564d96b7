"""Files as processes see them that have another root than we have, such as a container's: -p looks there first.

Whoever owns such a root may put symbolic links there, which would lead to files of ours: none is followed.
"""

import errno
import io
import os
import stat

O_PATH = 0o10000000  # fcntl.h


def regular(path):
    """Opens, for reading, a regular file with no other name."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise IOError(errno.EINVAL, "no ordinary file", path)
    return os.fdopen(handle, "rb")


class Roots:
    """roots: as /proc/PID/root."""

    def __init__(self, roots=()):
        self.roots = roots

    def opened(self, path):
        """Opens the path in each root, and then in ours, in binary. Skips files that cannot be opened."""
        for root in self.roots if path.startswith("/") else ():
            try:
                yield below(root, path)
            except (IOError, OSError, ValueError):
                pass
        try:
            yield io.open(path, "rb")
        except (IOError, OSError, ValueError):  # ValueError: of a path with a zero byte
            pass


def below(root, path):
    names = [name for name in path.split("/") if name]
    handle = os.open(root + "/", O_PATH | os.O_DIRECTORY)
    for number, name in enumerate(names, 1):
        flags = os.O_RDONLY | os.O_NONBLOCK if number == len(names) else O_PATH | os.O_DIRECTORY
        try:
            inner = os.open("/proc/self/fd/%d/%s" % (handle, name), flags | os.O_NOFOLLOW)
        finally:
            os.close(handle)
        handle = inner
    return io.open(handle, "rb")
