"""pyperf-attach, which does what is done to a process that runs already, and what it says."""

import json
import os
import subprocess
import sys

import columns

OWN_PREFIX = "pyperf-attach: "
AT_ONCE = 16  # tools


def say(text):
    sys.stderr.write("pyperf-run: %s\n" % columns.printable(text))
    sys.stderr.flush()


def own_group():
    os.setpgid(0, 0)


class Answer:
    """The answer of one tool. figures: the object that it has printed; line: why it has failed, or None; was_killed: by
    a signal."""

    def __init__(self, pid, status, out, err):
        try:
            self.figures = json.loads(out.decode("utf-8", "replace"))
        except ValueError:
            self.figures = {}
        if not isinstance(self.figures, dict):
            self.figures = {}
        lines = [one[len(OWN_PREFIX) :] if one.startswith(OWN_PREFIX) else one for one in err.splitlines() if one]
        self.line, self.was_killed = None, status < 0
        if status != 0:
            said = lines[-1] if lines else "pyperf-attach ended with status %d" % status
            line = self.figures.get("refusal") or said
            self.line = line if str(pid) in line.split(":")[0] else "process %d: %s" % (pid, line)

    def way(self):
        """How the request got in, if not by ptrace: a part of a line, or ""."""
        why = self.figures.get("no_ptrace")
        return " by sys.remote_exec, because %s" % why if why else ""


class Tool:
    """words: the command; patience: seconds, as a string, or None for the tool's own."""

    def __init__(self, words, patience):
        self.words, self.patience = words, ["--patience", patience] if patience else []

    def look(self, pids):
        return self.run([("look", pid) for pid in pids])

    def run(self, commands):
        """The answers to commands (action, pid, arguments): so many at once as are permitted."""
        answers = []
        for first in range(0, len(commands), AT_ONCE):
            running = [(one[1], self.start(*one)) for one in commands[first : first + AT_ONCE]]
            answers += [answer(pid, child) for pid, child in running]
        return answers

    def start(self, action, pid, *more):
        """Starts the tool in a process group of its own, so that Ctrl-C does not reach it."""
        return subprocess.Popen(
            self.words + [action, str(pid)] + list(more) + (self.patience if action != "look" else []),
            stdin=open(os.devnull),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=own_group,
        )


def answer(pid, child):
    """Waits for its end."""
    out, err = child.communicate()
    return Answer(pid, child.returncode, out, err.decode("utf-8", "replace"))
