#!/usr/bin/env python3
"""Attaches libpyperf to processes that run already, holds them until it is told to end, or until pyperf-run is gone,
and then switches off and takes away what it has put there.

    pyperf-run                               attacher.py
      starts it, waits for READY             looks, makes folders, attaches; writes READY
      runs the command
      sends SIGTERM, waits                   switches off, also children that were forked meanwhile;
                                             moves their files to INTO, removes its folders

It is a process of its own, and holds a descriptor of each folder, so that the files of a container that ends meanwhile
can still be read, and processes are switched off when pyperf-run was killed.
"""

import argparse
import os
import select
import signal
import sys

sys.dont_write_bytecode = True

import python2  # noqa: F401  # first

import attach_tool
import attachment
from attach_tool import say

LOOK_EVERY = 0.5  # seconds: whether pyperf-run is still there


def main():
    arguments = parse_arguments()
    attacher = Attacher(arguments)
    attacher.begin()
    with open(arguments.ready + ".roots", "w") as out:
        out.writelines(one.one.root + "\n" for one in attacher.attached if not one.one.sees_our_files())
    # Complete when it appears.
    with open(arguments.ready + ".new", "w") as out:
        out.write("%s\n" % ",".join(str(one.pid) for one in attacher.attached))
    os.rename(arguments.ready + ".new", arguments.ready)
    if attacher.attached:
        attacher.wait()
        attacher.end()
    return 0 if attacher.attached else 1


def parse_arguments():
    parser = argparse.ArgumentParser(prog="attacher.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tool", required=True, help="pyperf-attach; a line for each word")
    parser.add_argument("--library", required=True, help="libpyperf.so")
    parser.add_argument("--action", required=True, choices=("sample", "map", "jitdump"))
    parser.add_argument("--sampler", help="as the value of PYPERF_SAMPLER")
    parser.add_argument("--images", help="where trampoline images lie if they can")
    parser.add_argument("--into", required=True, help="a folder for the sampler's files")
    parser.add_argument("--ready", required=True, help="a file for the pids that were attached; beside it their roots")
    parser.add_argument("--patience", metavar="SECONDS", help="in which a thread must run Python")
    parser.add_argument("--quiet", action="store_true", help="without hints")
    parser.add_argument("pids", nargs="+", type=int)
    return parser.parse_args()


class Attacher:
    def __init__(self, arguments):
        self.arguments, self.tool = arguments, attach_tool.Tool(arguments.tool.split("\n"), arguments.patience)
        self.attached, self.holds, self.told, self.parent = [], False, False, os.getppid()
        self.wake_read, self.wake_write = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.tell)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    def tell(self, number, _):
        """Ctrl-C cuts attaching short; later it is pyperf-run alone that says when to end."""
        if number == signal.SIGTERM or not self.holds:
            self.told = True
            os.write(self.wake_write, b"x")
        if not self.holds:
            self.tool.stop()

    def begin(self):
        asked = self.arguments
        done = attachment.attach(
            self.tool, asked.pids, asked.library, asked.action, asked.sampler, asked.images, lambda: not self.told
        )
        self.holds = True
        self.attached = [one for one, _ in done]
        for one, figures in done:
            if not asked.quiet:
                say("attached to process %d%s" % (one.pid, stopped(figures)))

    def wait(self):
        while not self.told and os.getppid() == self.parent:
            try:
                select.select([self.wake_read], [], [], LOOK_EVERY)
            except select.error:
                pass  # a signal; to be handled by tell()

    def end(self):
        killed = os.getppid() != self.parent
        attachment.switch_off(self.tool, self.attached)
        attachment.gather(self.attached, self.arguments.into)
        if self.arguments.action == attachment.SAMPLE:
            attachment.take_away(self.attached)
        else:
            attachment.keep_images(self.attached)
        if killed and os.listdir(self.arguments.into):
            say("pyperf-run was killed; pyperf-run --report %s shows what was sampled" % self.arguments.into)


def stopped(figures):
    try:
        return ": its threads stood still for %.1f ms" % float(figures["stopped_ms"])
    except (KeyError, TypeError, ValueError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
