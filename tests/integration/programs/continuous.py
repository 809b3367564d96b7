"""Programs for the sampler's files that follow each other: continuous.py PART. Each prints JSON on what is to be
seen. They run for more than two spans of a second."""
import ctypes
import glob
import hashlib
import json
import os
import resource
import sys
import threading
import time
import warnings

SPAN = 1.2  # seconds: a span, and a sample behind it
FOLDER = os.environ["PYPERF_DIR"]
NATIVE_FORK = 57  # arch/x86/entry/syscalls/syscall_64.tbl


def used():
    return sum(os.times()[:2])


def burn(seconds):
    """Of the clock, because spans are of the clock."""
    end = time.time() + seconds
    while time.time() < end:
        sum(range(100))


def own_files():
    """Of this process; by their age, as the clock of the folder has it."""
    found = glob.glob(os.path.join(FOLDER, "pyperf-%d-*.samples" % os.getpid()))
    return sorted(found, key=lambda name: os.stat(name).st_mtime)


def busy():
    """What the program has used in all, and here."""
    before = used()
    burn(3 * SPAN)
    return [used(), used() - before]


def idle():
    """The number of files after a while that is spent waiting, and after some work."""
    burn(0.3)
    time.sleep(2.5 * SPAN)
    waited = len(own_files())
    burn(0.3)
    return [waited, len(own_files())]


def threads():
    data = b"x" * 200000
    end = time.time() + 3 * SPAN

    def lasting():
        while time.time() < end:
            hashlib.md5(data).digest()

    def brief():
        for _ in range(8):
            hashlib.md5(data).digest()

    long_ones = [threading.Thread(target=lasting) for _ in range(3)]
    for one in long_ones:
        one.start()
    while time.time() < end:
        one = threading.Thread(target=brief)
        one.start()
        one.join()
    for one in long_ones:
        one.join()
    return used()


def children():
    """Children that work side by side; one is forked by a child, one without fork handlers."""
    pids, burning = [], threading.Thread(target=burn, args=(3 * SPAN,))
    burning.start()
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            burn(2.5 * SPAN)
            if os.fork() == 0:
                burn(1.5 * SPAN)
                os._exit(0)
            os.wait()
            os._exit(0)
        pids.append(pid)
    # No other thread: where one waited for the interpreter's lock, such a child would for ever yield to it.
    burning.join()
    libc = ctypes.PyDLL(None)  # which keeps the lock that a child needs
    raw = libc.syscall(NATIVE_FORK)
    if raw == 0:
        libc.exit(0)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids + [raw]]
    burn(SPAN)
    return {"pid": os.getpid(), "pids": pids, "raw": raw, "statuses": statuses}


def outsiders():
    """In the place of two of its files others put something of their own, which must stay. To be run with keep=2."""
    burn(2 * SPAN)
    one, other = own_files()
    os.rename(one, one + ".moved")
    with open(one, "w") as out:
        out.write("another's")
    os.rename(other, other + ".moved")
    os.symlink(os.path.basename(other) + ".moved", other)
    burn(3 * SPAN)
    with open(one) as text:
        left = [text.read(), os.path.islink(other), os.path.exists(other + ".moved")]
    os.unlink(one)
    os.unlink(other)
    return [left, len(own_files())]


def holes():
    """For a while no file can be made: of the limit of the size, and without the folder. What was used meanwhile is in
    no file, but for what comes before the span of the present one is over."""
    parts, away = [], FOLDER + ".away"
    for what in ("size", "folder"):
        before = used()
        burn(SPAN)
        if what == "size":
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, resource.RLIM_INFINITY))
        else:
            os.rename(FOLDER, away)
        missing = used()
        in_the_hole(2 * SPAN)
        missing = used() - missing
        if what == "size":
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            os.rename(away, FOLDER)
        burn(SPAN)
        parts.append([used() - before, missing])
    return [used(), parts]


def in_the_hole(seconds):
    burn(seconds)


def switched():
    """Each time that it is switched on, there is a new file. To be run with keep=2."""
    counts = []
    for _ in range(4):
        sys.activate_stack_trampoline("perf_sample")
        burn(0.2)
        sys.deactivate_stack_trampoline()
        counts.append(len(own_files()))
    return counts


def storm():
    """Threads, forks and switches for a minute, or as many seconds as are named."""
    seconds = float(sys.argv[2])
    end, data, forked = time.time() + seconds, b"x" * 50000, []

    def work():
        while time.time() < end:
            hashlib.md5(data).digest()
            sorted(range(500), key=lambda one: -one)

    def fork():
        while time.time() < end:
            pid = os.fork()
            if pid == 0:
                burn(0.05)
                os._exit(0)
            forked.append(os.waitpid(pid, 0)[1])
            time.sleep(0.2)

    all_threads = [threading.Thread(target=one) for one in (work, work, work, fork)]
    for one in all_threads:
        one.start()
    for one in all_threads:
        one.join()
    with open("/proc/self/status") as status:
        memory = [line.split()[1] for line in status if line.startswith("VmRSS")]
    return [used(), len(forked), sum(forked), memory, len(os.listdir("/proc/self/fd"))]


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # that a process with threads forks
    print(json.dumps(globals()[sys.argv[1]]()))
