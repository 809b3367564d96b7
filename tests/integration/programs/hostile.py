"""Calls functions while its files are attacked or limited. Prints "end" and the number of SIGXFSZ
received.

Arguments: the attack, and the victim that links point to."""
import os
import resource
import signal
import sys

WHAT, VICTIM = sys.argv[1], sys.argv[2]
PATHS = [path % os.getpid() for path in ("/tmp/perf-%d.map", "/tmp/jit-%d.dump")]
PATHS = [path for path in PATHS if os.path.exists(path)]
signals = []


def limit_file_size(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def limit_to_size_and(more):
    limit_file_size(max(os.path.getsize(path) for path in PATHS) + more)


def no_descriptors():
    # Modules that are needed later are imported already.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))


def replace(make):
    """Calls no new function while there is no file, because one would be made."""
    for path in PATHS:
        make(path + ".new")
        is_made = os.path.lexists(path + ".new")
        os.unlink(path)
        if is_made:
            os.rename(path + ".new", path)


def truncate():
    for path in PATHS:
        with open(path, "r+b") as file:
            file.truncate(0)


def write_own_file(path):
    with open(path, "w") as file:
        file.write("mine\n")


def become_nobody():
    os.setgid(65534)
    os.setuid(65534)


WRONG = {
    "nothing": lambda: None,
    "size limit, 0 more": lambda: limit_to_size_and(0),
    "size limit, 100 more": lambda: limit_to_size_and(100),
    "size limit, 10000 more": lambda: limit_to_size_and(10000),
    "size limit, 0": lambda: limit_file_size(0),
    "no descriptors": no_descriptors,
    "removed": lambda: replace(lambda path: None),
    "replaced by a link": lambda: replace(lambda path: os.symlink(VICTIM, path)),
    "replaced by a hard link": lambda: replace(lambda path: os.link(VICTIM, path)),
    "replaced by a FIFO": lambda: replace(os.mkfifo),
    "replaced by a directory": lambda: replace(os.mkdir),
    "replaced by another file": lambda: replace(write_own_file),
    "truncated": truncate,
    "privileges dropped": become_nobody,
}


TEXT = """
def called_%d(): return 1
class C_%d:
    def method(self): return called_%d()
C_%d().method()
"""


def call(first, last):
    for number in range(first, last):
        exec(compile(TEXT % ((number,) * 4), "hostile-called.py", "exec"), {})


signal.signal(signal.SIGXFSZ, lambda number, frame: signals.append(number))
call(0, 50)
WRONG[WHAT]()
call(50, 1500)
sys.stdout.write("end %d\n" % len(signals))
