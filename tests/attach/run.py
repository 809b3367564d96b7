"""Attaches to busy processes, again and again, and counts what goes wrong.

usage: run.py --build BUILD [--count N] [--python PATH]... [--all]

For each interpreter N processes (busy.py) are started; libpyperf is attached to each and taken off
again, every third time twice, with the sampler or trampolines by turns. A thread sends each process a
thousand real-time signals a second meanwhile. Afterwards its interpreter's text must be that of the file,
and its answers right. One line for each interpreter; the status is 1 if anything was wrong.
"""

import argparse
import collections
import ctypes
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import attaching  # noqa: E402
import interpreters  # noqa: E402

SIGNAL = signal.SIGRTMIN + 5
SERIES = ((2, 7), (3, 6), (3, 9), (3, 11), (3, 13), (3, 14))
END_SECONDS = 60
ACTIONS = ("sample", "map", "sample", "jitdump")
libc = ctypes.CDLL(None, use_errno=True)


class Sender(threading.Thread):
    """Sends a signal until it is told to end; knows how many were taken by the kernel."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.sent, self.ended = pid, 0, False
        self.start()

    def run(self):
        while not self.ended:
            self.sent += libc.sigqueue(self.pid, SIGNAL, ctypes.c_void_p(0)) == 0
            time.sleep(0.001)

    def end(self):
        self.ended = True
        self.join()
        return self.sent


class Trials:
    def __init__(self, options, interpreter, folder):
        self.interpreter, self.folder = interpreter, folder
        self.tool = os.path.join(options.build, "pyperf-attach")
        self.library = os.path.abspath(os.path.join(options.build, "libpyperf.so"))
        self.helper = os.path.abspath(os.path.join(options.build, "tests", "attach", "helper.so"))
        self.counts = collections.Counter()
        self.stops, self.notes = [], []

    def note(self, what, text):
        self.counts[what] += 1
        if len(self.notes) < 5:
            self.notes.append("%s: %s" % (what, text.strip()))

    def attach(self, *arguments):
        """One call of the tool; whether it has done what was asked."""
        done = subprocess.run([self.tool] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=120)
        self.counts["requests"] += 1
        if done.returncode == 0:
            figures = json.loads(done.stdout)
            self.stops.append(figures["stopped_ms"])
            self.counts["left mapped"] += figures["left_mapped"] > 0
            return True
        self.note("refused", done.stderr)
        return False

    def kill_tool(self, pid):
        """The tool is killed at some moment; whatever it had done, the next one works."""
        tool = subprocess.Popen([self.tool, "sample", pid, self.library, self.folder, "--sampler", "99"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.03)
        tool.kill()
        self.counts["killed"] += tool.wait() == -signal.SIGKILL

    def trial(self, number):
        process = subprocess.Popen(
            [self.interpreter.path, "-E", "-s", "-W", "ignore", os.path.join(HERE, "busy.py"), self.helper, self.folder, str(int(SIGNAL))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        process.stdout.readline()
        sender = Sender(process.pid)
        pid = str(process.pid)
        try:
            if number % 5 == 4:
                self.kill_tool(pid)
                self.attach("off", pid, "--patience", "60")
            for again in range(1 + (number % 3 == 0)):
                action = ACTIONS[(number + again) % len(ACTIONS)]
                self.attach(action, pid, self.library, self.folder, "--sampler", "99", "--patience", "60")
                time.sleep(0.05)
                self.attach("off", pid, "--patience", "60")
            if process.poll() is None:
                self.look_at_text(pid)
        except subprocess.TimeoutExpired:
            self.note("hung", "the tool, at process %s" % pid)
        self.finish(process, sender)

    def look_at_text(self, pid):
        looked = subprocess.run([self.tool, "look", pid], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        facts = json.loads(looked.stdout)
        if facts["interpreter"] is None:
            self.note("not looked at", facts["refusal"])
        elif attaching.changed_text(int(pid), facts["interpreter"]) != 0:
            self.note("text differs", pid)

    def finish(self, process, sender):
        sent = sender.end()
        try:
            out, error = process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return self.note("hung", "process %d" % process.pid)
        if process.returncode != 0:
            return self.note("crashed", "status %d %s" % (process.returncode, error[-300:]))
        words = out.split(None, 6)
        self.counts["wrong answers"] += int(words[3])
        if int(words[3]) or error:
            self.note("said", out + error)
        if int(words[5]) != sent:
            self.note("signals lost", "%d of %d" % (sent - int(words[5]), sent))
        self.counts["signals"] += sent

    def print_line(self, count):
        bad = ("crashed", "hung", "wrong answers", "text differs", "signals lost", "refused", "not looked at", "said")
        figures = ", ".join("%d %s" % (self.counts[name], name) for name in bad[:6])
        times = "stopped %.2f ms median, %.2f ms at most" % (statistics.median(self.stops), max(self.stops)) if self.stops else ""
        print("%s: %d processes, %d requests: %s; %d signals; %d killed; %d left mapped; %s" % (
            self.interpreter.label, count, self.counts["requests"], figures, self.counts["signals"],
            self.counts["killed"], self.counts["left mapped"], times))
        for note in self.notes:
            print("    " + note)
        sys.stdout.flush()
        return not any(self.counts[name] for name in bad)


def chosen(options):
    found, _ = interpreters.find()
    if options.python:
        return [interpreters.Interpreter(path) for path in options.python]
    kept = [one for one in found if one.supported and not one.musl and not one.debug]
    return kept if options.all else [one for one in kept if one.series in SERIES]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--python", action="append")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    good = True
    for interpreter in chosen(options):
        folder = tempfile.mkdtemp(prefix="pyperf-attach-")
        trials = Trials(options, interpreter, folder)
        for number in range(options.count):
            trials.trial(number)
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
        good = trials.print_line(options.count) and good
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
