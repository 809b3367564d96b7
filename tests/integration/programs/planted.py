"""Puts something at the path of its own map or dump, and executes another program with the same
pid.

Arguments: what, which file, the victim that links point to, and the program's arguments. The
environment of the program is PLANTED_ENVIRONMENT, as JSON."""
import json
import os
import socket
import stat
import sys

WHAT, FILE, VICTIM, WORDS = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
PATH = {"map": "/tmp/perf-%d.map", "dump": "/tmp/jit-%d.dump"}[FILE] % os.getpid()
NOBODY = 65534


def write(text):
    with open(PATH, "w") as file:
        file.write(text)


if WHAT == "symbolic link":
    os.symlink(VICTIM, PATH)
elif WHAT == "link to nothing":
    os.symlink(VICTIM + "-new", PATH)
elif WHAT == "link to a directory":
    os.symlink(os.path.dirname(VICTIM), PATH)
elif WHAT == "hard link":
    os.link(VICTIM, PATH)
elif WHAT == "FIFO":
    os.mkfifo(PATH)
elif WHAT == "directory":
    os.mkdir(PATH)
elif WHAT == "socket":
    place = socket.socket(socket.AF_UNIX)
    place.bind(PATH)
    place.close()
elif WHAT == "device":
    os.mknod(PATH, stat.S_IFCHR | 0o666, os.makedev(1, 5))
elif WHAT == "another user's file":
    write("foreign\n")
    os.chmod(PATH, 0o666)
    os.chown(PATH, NOBODY, NOBODY)
elif WHAT == "own file":
    write("DTiJ\0\0" if PATH.endswith(".dump") else "1000 10 py::earlier:program.py\n")
else:
    raise ValueError(WHAT)
os.execve(WORDS[0], WORDS, json.loads(os.environ["PLANTED_ENVIRONMENT"]))
