"""A terminal's other screen, which is drawn again and again; the one before is as it was when that ends (xterm's
control sequences, "Alternate Screen Buffer")."""

import errno
import os
import sys

import python2

# To the other screen; no cursor; long lines are cut, not wrapped; and back.
ENTER, LEAVE = "\033[?1049h\033[?25l\033[?7l", "\033[?7h\033[?25h\033[?1049l"
HOME, END_OF_LINE, END_OF_SCREEN = "\033[H", "\033[K", "\033[J"
LINES, COLUMNS = 24, 80  # of a terminal that does not know its size


class Screen:
    def __init__(self, out):
        self.out, self.shown = out, False

    @property
    def size(self):
        """Lines and columns."""
        lines, width = python2.size_of_terminal(self.out.fileno())
        return lines or LINES, width or COLUMNS

    def draw(self, lines):
        """Nothing while another job of the shell has the terminal."""
        if self.in_background():
            return
        text = "" if self.shown else ENTER
        self.shown = True
        ended = ("%s\r\n" % END_OF_LINE).join(lines)
        self.write(text + HOME + ended + END_OF_LINE + END_OF_SCREEN)

    def leave(self):
        if self.shown:
            self.shown = False
            self.write(LEAVE)

    def in_background(self):
        try:
            return os.tcgetpgrp(self.out.fileno()) != os.getpgrp()
        except OSError:
            return False  # another session's

    def write(self, text):
        write(self.out, text)


def write(out, text):
    """All of it, also if a signal comes meanwhile, or who reads it is slow."""
    data = python2.bytes_of(text if sys.version_info[0] > 2 else u"%s" % text)
    while data:
        try:
            data = data[os.write(out.fileno(), data) :]
        except OSError as error:
            if error.errno != errno.EINTR:
                raise
