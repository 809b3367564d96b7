"""Lets the table's scripts run by Python 2.7, too: a machine may have no other. To be imported first."""

import codecs
import io
import os
import sys

if sys.version_info[0] == 2:
    reload(sys)  # noqa: F821  # site.py removes setdefaultencoding
    # Paths are bytes there, names are text: both are put into one line.
    sys.setdefaultencoding("utf-8")


def escaped(error):
    """The handler "backslashreplace" of Python 3 for bytes that are not UTF-8."""
    wrong = bytearray(error.object[error.start : error.end])
    return u"".join(u"\\x%02x" % byte for byte in wrong), error.end


codecs.register_error("pyperf-escaped", escaped)


def text_of(pipe):
    """The lines that a program writes into the pipe."""
    return io.open(pipe.fileno(), encoding="utf-8", errors="pyperf-escaped", newline="\n", closefd=False)


def escaped_text(content):
    """Of bytes the text that text_of has for them."""
    return content.decode("utf-8", "pyperf-escaped")


def argument(word):
    """The same of an argument of the command line."""
    return escaped_text(word if isinstance(word, bytes) else os.fsencode(word))


def current_folder():
    """The same of its path."""
    return escaped_text(getattr(os, "getcwdb", os.getcwd)())


def bytes_of(text):
    """UTF-8; a lone surrogate is escaped in Python 3, and encoded in 2.7."""
    return text.encode("utf-8", "backslashreplace")


def columns_of_terminal(default):
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return size_of_terminal(sys.stdout.fileno())[1] or default
    except (IOError, ValueError):
        return default


def size_of_terminal(descriptor):
    """Lines and columns; 0 for what it does not know. Raises IOError where it is none."""
    import fcntl
    import struct
    import termios

    size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)  # struct winsize
    return struct.unpack("4H", size)[:2]
