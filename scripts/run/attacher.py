#!/usr/bin/env python3
"""Attaches libpyperf to processes that run already, holds them until it is told to end, or until pyperf-run is gone,
and then switches off and takes away what it has put there.

    pyperf-run                               attacher.py
      starts it, waits for READY             makes folders, attaches; writes READY
      runs the command                       goes on with those that sleep, as long as --patience
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
import time

sys.dont_write_bytecode = True

import python2  # noqa: F401  # first

import attach_tool
import attachment
from attach_tool import say

LOOK_EVERY = 0.5  # seconds: whether pyperf-run is still there
TICK = 0.02  # while processes are attached
OTHERS = 1.0  # for so long one that is attached waits for the others
monotonic = getattr(time, "monotonic", time.time)  # not in 2.7


def main():
    attacher = Attacher(parse_arguments())
    attacher.attach()
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
        self.attached, self.running, self.told, self.is_ready = [], [], False, False
        self.parent = os.getppid()
        self.wake_read, self.wake_write = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.tell)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    def tell(self, number, _):
        """Before the command runs, Ctrl-C is for us, too; then it is pyperf-run alone that says when to end."""
        if number == signal.SIGTERM or not self.is_ready:
            self.told = True
            os.write(self.wake_write, b"x")

    # attaching

    def attach(self):
        asked, began = self.arguments, None
        left = list(attachment.prepare_all(asked.pids, asked.library, asked.action, asked.images))
        while (left or self.running) and not self.is_over():
            while left and len(self.running) < attach_tool.AT_ONCE:
                one = left.pop(0)
                self.running.append((one, self.tool.start(*one.command(asked.action, asked.sampler))))
            self.collect()
            if self.attached and began is None:
                began = monotonic()
            if began is not None and monotonic() - began > OTHERS:
                self.ready()
            self.sleep(TICK)
        self.stop_others(left)
        self.ready()

    def collect(self):
        """Looks after the tools that have ended."""
        for one, child in list(self.running):
            if child.poll() is None:
                continue
            self.running.remove((one, child))
            answer = attach_tool.answer(one.pid, child)
            if attachment.settle(self.tool, one, answer):
                self.attached.append(one)
                self.name_folders()
                if not self.arguments.quiet:
                    say("attached to process %d%s" % (one.pid, answer.way() or stopped(answer.figures)))
            elif not self.told:
                say(answer.line)

    def stop_others(self, left):
        """When it ends before all could be attached: they take everything back."""
        late = [one.pid for one in left] + [one.pid for one, _ in self.running]
        for one in left:
            one.remove()
        for _, child in self.running:
            child.terminate()
        for _, child in self.running:
            child.wait()
        self.collect()
        late = [pid for pid in late if pid not in [one.pid for one in self.attached]]
        if late and self.is_ready:
            say("process %s called no Python function, and is not in the profile" % ", ".join(map(str, late)))

    def ready(self):
        """Tells pyperf-run which processes are attached, and in which of them our paths lead elsewhere."""
        if self.is_ready:
            return
        self.is_ready = True
        path = self.arguments.ready
        with open(path + ".roots", "w") as out:
            out.writelines(one.one.root + "\n" for one in self.attached if not one.one.sees_our_files())
        # Complete when it appears.
        with open(path + ".new", "w") as out:
            out.write("%s\n" % ",".join(str(one.pid) for one in self.attached))
        os.rename(path + ".new", path)

    def name_folders(self):
        """For --live: folders of the sampler's files, as long as we hold them, also where a container's root is gone."""
        path = self.arguments.ready + ".folders"
        with open(path + ".new", "w") as out:
            held = (one.folder.handle for one in self.attached if one.folder)
            out.writelines("/proc/%d/fd/%d/.\n" % (os.getpid(), handle) for handle in held)
        os.rename(path + ".new", path)

    # then

    def is_over(self):
        return self.told or os.getppid() != self.parent

    def wait(self):
        while not self.is_over():
            self.sleep(LOOK_EVERY)

    def sleep(self, seconds):
        """Not for longer than it takes to be told."""
        try:
            select.select([self.wake_read], [], [], seconds)
        except select.error:
            pass  # a signal: tell() was called

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
