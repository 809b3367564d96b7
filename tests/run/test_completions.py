#!/usr/bin/env python3
"""Completions of bash, zsh and fish for pyperf-run, in the shells themselves.

    test_completions.py

bash and zsh run on a terminal: the line is typed, a key inserts all completions, and printf shows
them word by word. A shell that is not installed is skipped. """

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True

import looks
from looks import ROOT

COMPLETIONS = os.path.join(ROOT, "scripts", "completions")
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
TIMEOUT = 60

EVENTS = """#!/bin/sh
[ "$*" != "list --raw-dump hw sw cache" ] || echo cpu-clock cpu-cycles faults
"""

BASH_SETUP = """
PS1=
bind 'set enable-bracketed-paste off'
bind '"\\C-x": insert-completions'
. %s
. %s/pyperf-run.bash
complete -W 'alpha beta' pyperf-probe
"""

ZSH_SETUP = """
PS1=
unsetopt prompt_sp
unset zle_bracketed_paste
bindkey -e
fpath=(%s $fpath)
autoload -Uz compinit
compinit -u -D
zstyle ':completion:all-matches:*' insert yes
zstyle ':completion:all-matches::::' completer _all_matches _complete
zle -C all-matches complete-word _generic
bindkey '^X' all-matches
_probe() { compadd alpha beta }
compdef _probe pyperf-probe
"""

FISH_SETUP = """
source %s/pyperf-run.fish
complete -c pyperf-probe -f -a 'alpha beta'
"""

ALL = object()  # every long option of the man page

# Typed text, and completions. pyperf-probe's own completions are alpha and beta.
QUESTIONS = (
    ("pyperf-run --", ALL),
    ("pyperf-run --fl", {"--flamegraph"}),
    ("pyperf-run --top 5 --js", {"--json"}),
    ("pyperf-run -o ta", {"table.html"}),
    ("pyperf-run --output ta", {"table.html"}),
    ("pyperf-run --output=ta", {"--output=table.html"}),
    ("pyperf-run --flamegraph ta", {"table.html"}),
    ("pyperf-run --collapsed ta", {"table.html"}),
    ("pyperf-run --json ta", {"table.html"}),
    ("pyperf-run --archive ta", {"table.html"}),
    ("pyperf-run --source ta", {"table.html"}),
    ("pyperf-run --pprof x --speedscope ta", {"table.html"}),
    ("pyperf-run --firefox x --perf-data ta", {"table.html"}),
    ("pyperf-run --firefox ta", {"table.html"}),
    ("pyperf-run --report ta", {"table.html"}),
    ("pyperf-run --report table.html --to", {"--top"}),
    ("pyperf-run --diff ta", {"table.html"}),
    ("pyperf-run --report table.html --only ta", {"table.html"}),
    ("pyperf-run --sort ", {"own", "total"}),
    ("pyperf-run --by ", {"thread", "process"}),
    ("pyperf-run --callers f --python-only --only x pyperf-probe al", {"alpha"}),
    ("pyperf-run --send parca+http://h:1 --service x --label a=b pyperf-probe al", {"alpha"}),
    ("pyperf-run --send pyro", {"pyroscope+http://", "pyroscope+https://"}),
    ("pyperf-run -e cpu-c", {"cpu-clock", "cpu-cycles"}),
    ("pyperf-run --event fau", {"faults"}),
    ("pyperf-run --call-graph ", {"fp", "dwarf", "lbr"}),
    ("pyperf-run --sampler ", {"perf", "inside"}),
    ("pyperf-run --sampler inside --lines pyperf-probe al", {"alpha"}),
    ("pyperf-run --doctor python-pro", {"python-probe"}),
    ("pyperf-run pyperf-pro", {"pyperf-probe"}),
    ("pyperf-run --top 5 -- pyperf-pro", {"pyperf-probe"}),
    ("pyperf-run pyperf-probe al", {"alpha"}),
    ("pyperf-run --output=x --top 5 pyperf-probe al", {"alpha"}),
    ("pyperf-run -p 12 --children pyperf-probe al", {"alpha"}),
    ("pyperf-run -p12 --patience 3 -- pyperf-probe be", {"beta"}),
    ("pyperf-run --live pyperf-pro", {"pyperf-probe"}),
    ("pyperf-run --live pyperf-probe al", {"alpha"}),
    ("pyperf-run --live 12,34 --every 2 pyperf-probe be", {"beta"}),
    ("pyperf-run --live 12 --eve", {"--every"}),
    ("pyperf-run -e sched:sched_switch --json x pyperf-probe be", {"beta"}),
    ("pyperf-run -a -C 0 -- pyperf-probe ", {"alpha", "beta"}),
    ("pyperf-run pyperf-probe -- al", {"alpha"}),
    ("pyperf-run pyperf-probe --fl", set()),
)


class Terminal:
    """A shell with a line editor."""

    def __init__(self, command, setup, folder, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        # Wide, so that no line is wrapped.
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 5000, 0, 0))
        path = os.path.join(folder, "setup")
        with open(path, "w") as out:
            out.write(setup)
        self.send(". %s; echo READ''Y\n" % path)
        self.read_to("READY")

    def send(self, text):
        os.write(self.fd, text.encode())

    def read_to(self, end):
        seen = b""
        deadline = time.time() + TIMEOUT
        while end.encode() not in seen:
            ready = select.select([self.fd], [], [], max(0, deadline - time.time()))[0]
            if not ready:
                raise RuntimeError("no %s within %d s, but %r" % (end, TIMEOUT, seen[-500:]))
            seen += os.read(self.fd, 65536)
        return seen.decode(errors="replace")

    def offered(self, line):
        # Ctrl-X inserts all completions, Ctrl-A and Ctrl-E go to the line's ends.
        self.send(line + "\x18" + "\x01printf '<%s>\\n' \x05; echo EN''D\n")
        words = re.findall(r"<([^<>\r\n]*)>\r", self.read_to("END\r"))
        typed = line.split(" ")
        return {word.rstrip("=") for word in words[len(typed) - 1 :]} - {typed[-1]}

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Fish:
    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment

    def offered(self, line):
        script = FISH_SETUP % COMPLETIONS + "complete -C '%s'\n" % line
        command = ["fish", "-c", script]
        out = subprocess.check_output(command, cwd=self.folder, env=self.environment)
        return {answer.split("\t")[0] for answer in out.decode().splitlines()}

    def close(self):
        pass


def open_shell(name, folder, environment):
    """None if it is not installed."""
    if shutil.which(name) is None or (name == "bash" and not os.path.exists(BASH_COMPLETION)):
        return None
    if name == "fish":
        return Fish(folder, environment)
    if name == "bash":
        setup = BASH_SETUP % (BASH_COMPLETION, COMPLETIONS)
        return Terminal(["bash", "--norc", "--noprofile", "-i"], setup, folder, environment)
    return Terminal(["zsh", "-f", "-i"], ZSH_SETUP % COMPLETIONS, folder, environment)


def make_folder(folder):
    os.mkdir(os.path.join(folder, "bin"))
    for name, text in (("perf", EVENTS), ("pyperf-probe", ""), ("python-probe", "")):
        path = os.path.join(folder, "bin", name)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, 0o755)
    open(os.path.join(folder, "table.html"), "w").close()


def documented():
    """The options of the man page."""
    with open(os.path.join(ROOT, "docs", "man", "pyperf-run.1.scd")) as page:
        text = page.read()
    options = re.search(r"(?ms)^# OPTIONS\n(.*?)^# ", text).group(1)
    heads = re.findall(r"(?m)^\*-.*", options)
    return {option for head in heads for option in re.findall(r"\*(--?[\w-]+)\*", head)}


def helped():
    """The options of pyperf-run --help."""
    command = [os.path.join(ROOT, "scripts", "pyperf-run"), "--help"]
    out = subprocess.check_output(command).decode()
    heads = re.findall(r"(?m)^ +(-\w, --[\w-]+|--[\w-]+)", out)
    return {option for head in heads for option in head.split(", ")}


def help_option(look):
    look.equal("the man page's options", sorted(documented()), sorted(helped()))


def check_shell(look, name):
    make_folder(look.folder)
    environment = {
        "PATH": look.path("bin") + ":" + os.environ["PATH"],
        "HOME": look.folder,
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }
    long_options = {option for option in documented() if option.startswith("--")}
    shell = open_shell(name, look.folder, environment)
    if shell is None:
        return look.skip("not installed, or without its completions")
    try:
        for line, expected in QUESTIONS:
            expected = long_options if expected is ALL else expected
            look.equal(repr(line), sorted(expected), sorted(shell.offered(line)))
    finally:
        shell.close()


def bash(look):
    check_shell(look, "bash")


def zsh(look):
    check_shell(look, "zsh")


def fish(look):
    check_shell(look, "fish")


if __name__ == "__main__":
    sys.exit(looks.main("completions", [help_option, bash, zsh, fish]))
