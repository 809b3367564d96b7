"""Programs with threads that wait: waiting.py PART. Each prints JSON on what is to be seen."""
import errno
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings

SECONDS = 1.0
ENDS = socket.socketpair()
LOCK = threading.Lock()
CLOCK = getattr(time, "monotonic", time.time)


def run(functions):
    """Each in a thread of its own; how long it took."""
    took = {}

    def timed(function):
        began = CLOCK()
        function()
        took[function.__name__] = CLOCK() - began

    threads = [threading.Thread(target=timed, args=(one,)) for one in functions]
    for one in threads:
        one.start()
    return threads, took


def in_sleep():
    time.sleep(SECONDS)


def in_recv():
    ENDS[0].recv(1)


def in_select():
    select.select([ENDS[1]], [], [], SECONDS)


def in_lock():
    with LOCK:
        pass


def states():
    with LOCK:
        threads, took = run([in_sleep, in_recv, in_select, in_lock])
        time.sleep(SECONDS)
        ENDS[1].send(b"x")
    for one in threads:
        one.join()
    return took


def late():
    """Sampled from a time on at which there are threads."""
    threads, took = run([in_sleep, in_select])
    time.sleep(SECONDS / 10)
    sys.activate_stack_trampoline("perf_sample")
    for one in threads:
        one.join()
    sys.deactivate_stack_trampoline()
    return took


def spin():
    end = CLOCK() + SECONDS
    while CLOCK() < end:
        pass


def spin_too():
    end = CLOCK() + SECONDS
    while CLOCK() < end:
        pass


def contended():
    threads, took = run([spin, spin_too])
    for one in threads:
        one.join()
    return took


def unseen():
    """What a program can see of itself, and of its children."""
    warnings.simplefilter("error", DeprecationWarning)
    found = {"threads": len(os.listdir("/proc/self/task")), "descriptors": sorted(os.listdir("/proc/self/fd"))}
    with open("/proc/self/status") as status:
        found["blocked"] = [line for line in status if line.startswith("SigBlk")][0].split()[1]
    try:
        found["children"] = os.waitpid(-1, os.WNOHANG)
    except OSError as error:
        found["children"] = errno.errorcode[error.errno]
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    found["forked"] = os.waitpid(-1, 0)[1]
    return found


def child_that_waits():
    time.sleep(SECONDS)


def children():
    pid = os.fork()
    if pid == 0:
        spin()
        child_that_waits()
        os._exit(0)
    return [pid, os.waitpid(pid, 0)[1]]


def endless():
    spin()
    print("ready")
    sys.stdout.flush()
    end = sys.stdin.readline().strip()
    if end == "_exit":
        os._exit(0)
    if end == "exec":
        os.execv("/bin/sleep", ["sleep", "30"])
    return end


def churn():
    """Threads, children and programs that begin and end all the time."""
    warnings.simplefilter("ignore")
    end = CLOCK() + 2 * SECONDS

    def deeper(depth):
        return deeper(depth - 1) if depth else time.sleep(0.0005)

    def fork():
        while CLOCK() < end:
            pid = os.fork()
            if pid == 0:
                if os.getpid() % 2:
                    os._exit(0)
                os.execv("/bin/true", ["true"])
            os.waitpid(pid, 0)

    forking = threading.Thread(target=fork)
    forking.start()
    while CLOCK() < end:
        threads = [threading.Thread(target=deeper, args=(depth,)) for depth in range(0, 48, 6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    forking.join()


def interpreters():
    """A function in another interpreter of the same thread."""
    try:
        import _interpreters as module
    except ImportError:
        import _xxsubinterpreters as module
    code = "import time\ndef within():\n    end = time.process_time() + 0.3\n    while time.process_time() < end: pass\nwithin()"
    created = module.create()
    module.run_string(created, code)
    module.destroy(created)


def prctl(option, value):
    import ctypes
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def orphans():
    """Of one that inherits orphans: a child that ends at once, one that becomes another program, and what is left."""
    prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    statuses = []
    for last in (lambda: os._exit(3), lambda: os.execv("/bin/sh", ["sh", "-c", "exit 4"])):
        pid = os.fork()
        if pid == 0:
            spin()
            last()
        statuses.append(os.waitpid(pid, 0)[1] >> 8)
    time.sleep(0.2)
    try:
        return statuses + [os.waitpid(-1, os.WNOHANG)]
    except OSError as error:
        return statuses + [errno.errorcode[error.errno]]


def failed_exec():
    """An exec that fails changes nothing."""
    spin()
    try:
        os.execv("/none", ["none"])
    except OSError:
        pass
    spin()
    child_that_waits()


def short():
    """400 threads that wait for 10 ms each: how long, together."""
    took = []

    def brief():
        began = CLOCK()
        time.sleep(0.01)
        took.append(CLOCK() - began)

    for _ in range(50):
        threads = [threading.Thread(target=brief) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    return sum(took)


def fewer_rights():
    """Gives up what it might do; what then looks like its watcher after a while."""
    spin()
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    time.sleep(0.5)
    spin()
    time.sleep(1.2)
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as file:
                words = file.read().rpartition(")")[2].split()
            if name.isdigit() and int(words[1]) == os.getpid() and words[0] != "Z":
                found.append(name)
        except (IOError, OSError):
            continue
    return found


def other_user():
    """From root to nobody, as a server does that has opened its port."""
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    spin()
    in_sleep()
    return os.getuid()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    print(json.dumps(globals()[sys.argv[1]]()))
    for one in ENDS:
        one.close()
