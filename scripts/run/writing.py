"""Files that are written whole or not at all, and what is no file: stdout, a descriptor."""

import os
import stat
import sys
import tempfile

import python2


def write(path, lines):
    write_bytes(path, python2.bytes_of("".join(line + "\n" for line in lines)))


def write_bytes(path, text):
    if path == "-":
        out = getattr(sys.stdout, "buffer", sys.stdout)
        out.write(text)
        out.flush()
    elif is_replaceable(path):
        replace(os.path.realpath(path), lambda out: out.write(text))
    else:
        with open(path, "ab", 0) as out:
            out.write(text)


def is_replaceable(path):
    """Whether it is a regular file: not /dev/stderr, whatever it leads to, nor a FIFO."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    return not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)


def replace(path, fill):
    """Writes all of the file or nothing: it is renamed when it is complete. fill writes into it."""
    handle, temporary = tempfile.mkstemp(prefix=".pyperf-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as out:
            fill(out)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
