"""default_signals.py NAMES program [arguments]: runs the program with these signals (INT,QUIT) set to their
defaults, as env --default-signal does from coreutils 8.31 on; RHEL 8 and BusyBox have no such env."""

import os
import signal
import sys

names, command = sys.argv[1].split(","), sys.argv[2:]
for name in names:
    signal.signal(getattr(signal, "SIG" + name), signal.SIG_DFL)
# Python itself sets LC_CTYPE, in a C locale.
with open("/proc/self/environ", "rb") as file:
    pairs = [one.partition(b"=") for one in file.read().split(b"\0") if one]
os.execvpe(command[0], command, {name: value for name, _, value in pairs})
