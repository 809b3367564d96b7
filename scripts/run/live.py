#!/usr/bin/env python3
"""Shows a recording that goes on: a table, again and again, until it is told to end or pyperf-run is gone.

On a terminal the table has a screen of its own, which is left at the end; elsewhere the tables follow each other. When
it is told (SIGTERM), it reads the rest, and writes the last table to FINAL."""

import argparse
import errno
import os
import select
import signal
import sys
import time

sys.dont_write_bytecode = True

import python2  # first

import columns
import following
import following_perf
import live_table
import roots
import screen
import stacks
import totals
import view as looks
import writing

LOOK_EVERY = 0.5  # seconds: whether pyperf-run is still there
WIDTH = 100
monotonic = getattr(time, "monotonic", time.time)  # not in 2.7


def main():
    live = Live(parse_arguments())
    try:
        live.run()
    except (IOError, OSError) as error:
        # The terminal, or who reads the tables, is gone: a program goes on.
        if error.errno not in (errno.EIO, errno.EPIPE):
            raise
        if live.arguments.alone and not live.is_over():
            os.kill(live.parent, signal.SIGTERM)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(prog="live.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folders", metavar="FILE", help="that has a line for each folder of the sampler's files")
    parser.add_argument("--data", metavar="FILE", help="of perf, in the place of folders")
    parser.add_argument("--scratch", metavar="FILE", help="with --data: is written for perf")
    parser.add_argument("--wall", action="store_true", help="threads that wait are sampled, too")
    parser.add_argument("--title", type=python2.argument, default="")
    parser.add_argument("--every", type=int, default=1, metavar="SECONDS")
    parser.add_argument("--alone", action="store_true", help="the recording ends when nobody reads the tables any more")
    parser.add_argument("--final", metavar="FILE", help="for the last table")
    parser.add_argument("--sort", choices=("own", "total"), default="own")
    parser.add_argument("--by", choices=(looks.THREAD, looks.PROCESS))
    parser.add_argument("--python-only", action="store_true")
    parser.add_argument("--only", type=python2.argument, action="append", default=[], metavar="PATH")
    parser.add_argument("--top", type=int, metavar="N")
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--gil", action="store_true")
    parser.add_argument("--root", action="append", default=[], metavar="PATH")
    return parser.parse_args()


def recording_of(arguments):
    files = roots.Roots(arguments.root)
    if arguments.data:
        return following_perf.Recording(arguments.data, arguments.scratch, files)
    return following.Recording(arguments.folders, arguments.wall, arguments.lines, arguments.gil, files)


class Live:
    def __init__(self, arguments):
        self.arguments, self.recording = arguments, recording_of(arguments)
        self.view = looks.View(arguments.python_only, arguments.only, arguments.by)
        self.began = self.looked = monotonic()
        self.whole, self.interval = self.new_totals(), None
        self.out = sys.stdout
        self.screen = screen.Screen(self.out) if self.out.isatty() and os.environ.get("TERM") != "dumb" else None
        self.parent, self.told = os.getppid(), False
        self.wake_read, self.wake_write = os.pipe()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # they are pyperf-run's, which tells us
        signal.signal(signal.SIGTERM, self.tell)
        if self.screen:
            signal.signal(signal.SIGWINCH, self.wake)
            signal.signal(signal.SIGTSTP, self.stop)

    def new_totals(self):
        return totals.Totals(self.recording, self.arguments.title, self.view)

    # signals

    def tell(self, *_):
        self.told = True
        self.wake()

    def wake(self, *_):
        os.write(self.wake_write, b"x")

    def stop(self, *_):
        """Ctrl-Z: the shell's screen comes back. Stopped by the signal itself, and then goes on."""
        self.screen.leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self.stop)
        self.wake()

    # the tables

    def run(self):
        try:
            self.look()
            if self.screen:
                self.show()
            while not self.is_over():
                self.wait()
                if not self.is_over():
                    self.look()
                    self.show()
            self.look()
        finally:
            if self.screen:
                self.screen.leave()
        if self.told and self.arguments.final:
            self.write_last()

    def is_over(self):
        return self.told or os.getppid() != self.parent

    def wait(self):
        """To the end of the interval; one that took long to be read is followed by a longer one: looks take half of a
        CPU at the most."""
        now = monotonic()
        end = max(self.looked + self.arguments.every, now + (now - self.looked))
        while not self.is_over() and monotonic() < end:
            woken = self.sleep(min(max(end - monotonic(), 0), LOOK_EVERY))
            if woken and self.screen and not self.told:
                self.show()  # its size has changed

    def sleep(self, seconds):
        """Whether it was woken."""
        try:
            if not select.select([self.wake_read], [], [], seconds)[0]:
                return False
            os.read(self.wake_read, 4096)
        except select.error:
            pass  # a signal, in 2.7
        return True

    def look(self):
        self.view.frames_of.clear()  # of stacks that may be gone
        found = self.new_totals()
        now = monotonic()
        for sample in self.recording.look():
            found.add(sample)
            self.whole.add(sample)
        self.whole.times.lasted = now - self.began
        self.interval = live_table.Interval(max(now - self.looked, 0.001), found)
        self.looked = now

    def show(self):
        asked = self.arguments
        if self.screen:
            height, width = self.screen.size
            style = columns.Style(width, asked.top or 0, True, asked.sort)
            self.screen.draw(live_table.lines(asked.title, self.whole, self.interval, style, height))
        else:
            style = columns.Style(WIDTH, 20 if asked.top is None else asked.top, False, asked.sort)
            shown = live_table.lines(asked.title, self.whole, self.interval, style)
            screen.write(self.out, "\n".join(shown) + "\n\n")

    def write_last(self):
        """As the table of a profile."""
        asked = self.arguments
        width = self.screen.size[1] if self.screen else WIDTH
        style = columns.Style(width, 20 if asked.top is None else asked.top, bool(self.screen), asked.sort)
        writing.write(asked.final, columns.report(self.whole, style) if self.whole.events else [])


if __name__ == "__main__":
    sys.exit(main())
