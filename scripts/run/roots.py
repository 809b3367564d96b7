"""Files as processes see them that have another root than we have, such as a container's: -p looks there first.

Whoever owns such a root may put symbolic links there, which would lead to files of ours: none is followed.
"""

import io
import os

O_PATH = 0o10000000  # fcntl.h


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
