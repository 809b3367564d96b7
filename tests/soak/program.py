"""What a hostile program is made of: program.py STEPS, a list of [name, argument...] (steps.py makes it).

Each step returns a string that is the same in each run, however the process is profiled. Those of work.py
compute; those here run steps somewhere else: in a thread, a child, a fiber, under a limit. Python 2.7 and
3.6 on."""

import ast
import atexit
import ctypes
import glob
import os
import resource
import signal
import subprocess
import sys
import threading
import time

from work import NEW, STEPS, fib, leave, libc, run, run_one, step

sys.setrecursionlimit(60000)


# elsewhere


@step
def threads(count, kibibytes, steps):
    results = [None] * count

    def work(i):
        results[i] = run(steps)

    before = threading.stack_size(kibibytes << 10)
    try:
        started = [threading.Thread(target=work, args=(i,)) for i in range(count)]
        for one in started:
            one.start()
    finally:
        threading.stack_size(before)
    for one in started:
        one.join()
    return "[%s]" % " | ".join(results)


def busy():
    while True:
        fib(8)
        time.sleep(0.0005)


@step
def daemon(count):
    """Threads that are at work for ever, also when others fork or the interpreter ends."""
    for _ in range(count):
        thread = threading.Thread(target=busy)
        thread.daemon = True
        thread.start()
    return "started"


FORKS = {
    "fork": os.fork,
    "libc": lambda: ctypes.PyDLL(None).fork(),
    "_Fork": lambda: ctypes.PyDLL(None)._Fork(),
    "syscall": lambda: ctypes.PyDLL(None).syscall(57),
    "clone": lambda: ctypes.PyDLL(None).syscall(56, signal.SIGCHLD, 0, 0, 0, 0),
}


@step
def forked(how, end, steps):
    reading, writing = os.pipe()
    sys.stdout.flush()
    # CPython learns of no other kind, and in the child waits for threads that are not there.
    child = FORKS[how if threading.active_count() == 1 else "fork"]()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.write(writing, run(steps).encode())
            status = 3
        finally:
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(status)
    os.close(writing)
    text = b""
    while True:
        part = os.read(reading, 65536)
        if not part:
            break
        text += part
    os.close(reading)
    return "(%s %d)" % (text.decode(), os.waitpid(child, 0)[1])


def pool_work(steps):
    return run(steps)


@step
def pool(count, steps):
    import multiprocessing

    if sys.version_info >= (3, 4):
        multiprocessing = multiprocessing.get_context("fork")
    workers = multiprocessing.Pool(2, maxtasksperchild=1)
    try:
        return "{%s}" % " | ".join(workers.map(pool_work, [steps] * count, 1))
    finally:
        workers.close()
        workers.join()


@step
def executed(how, steps):
    command = [sys.executable] + (["-S"] if how == "plain" else []) + [__file__, repr(steps)]
    more = {"close_fds": how != "open"}
    if how == "preexec":
        more["preexec_fn"] = leave
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    out = process.communicate()[0]
    return "<%s %d>" % (out.decode().strip(), process.returncode)


@step
def fiber(kibibytes, below, steps):
    if sys.version_info >= (3, 14):
        return "looks at its stack's bounds"
    library = ctypes.CDLL(os.environ["SOAK_FIBER"])
    results = []
    function = ctypes.CFUNCTYPE(None)(lambda: results.append(run(steps)))
    hint = 0x10000000000 if below else 0
    size = kibibytes << 10 if NEW else 4 << 20
    library.run_on(ctypes.c_size_t(size), ctypes.c_ulong(hint), function)
    return "~%s~" % results[0]


SUB = """
import sys
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
class C(object):
    def m(self): return fib(%d)
assert C().m() >= 0
"""


@step
def interpreter(n):
    """One more interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        number = module.create()
        module.run_string(number, SUB % n)
        module.destroy(number)
        return "ran"
    try:
        import _testcapi
    except ImportError:
        return "ran"
    return "ran" if _testcapi.run_in_subinterp(SUB % n) == 0 else "failed"


# circumstances


@step
def signals(n, steps):
    """A handler that runs Python, while others run, at any instruction."""
    main = isinstance(threading.current_thread(), threading._MainThread)
    if not main:
        return run(steps)

    def handler(number, frame):
        sorted(range(20), key=lambda n: -n)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002 * n, 0.0002 * n)
    try:
        if hasattr(signal, "siginterrupt"):
            signal.siginterrupt(signal.SIGALRM, False)
        return run(steps)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@step
def toggled(pattern, steps):
    """On and off before each of the steps, if the program is to do that."""
    results = []
    for i, one in enumerate(steps):
        if os.environ.get("SOAK_TOGGLE"):
            try:
                if pattern[i % len(pattern)] == "0":
                    sys.deactivate_stack_trampoline()
                else:
                    sys.activate_stack_trampoline(("perf", "perf_jit")[i % 2])
            except (OSError, ValueError, RuntimeError, MemoryError):
                pass
        results.append(run_one(one))
    return "/".join(results)


@step
def toggler(n):
    """A thread that switches while others run, or does something else."""
    def switch():
        while True:
            for mode in ("perf", None, "perf_jit"):
                try:
                    if not os.environ.get("SOAK_TOGGLE"):
                        fib(8)
                    elif mode:
                        sys.activate_stack_trampoline(mode)
                    else:
                        sys.deactivate_stack_trampoline()
                except (OSError, ValueError, RuntimeError, MemoryError):
                    pass
                time.sleep(0.0003 * n)

    thread = threading.Thread(target=switch)
    thread.daemon = True
    thread.start()
    return "started"


@step
def limited(name, value, steps):
    number = getattr(resource, "RLIMIT_" + name)
    before = resource.getrlimit(number)
    if name == "AS":
        with open("/proc/self/statm") as file:
            value += int(file.read().split()[0]) * 4096
    if name == "NOFILE":
        value += max(int(one) for one in os.listdir("/proc/self/fd"))
    resource.setrlimit(number, (value, before[1]))
    try:
        return run(steps)
    finally:
        resource.setrlimit(number, before)


@step
def closed(steps):
    """As a daemon does, in a child."""
    def work():
        saved = [os.dup(1), os.dup(2)]
        os.closerange(5, 200)
        return saved

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 3)
            os.closerange(4, 300)
            opened = [os.open("/dev/null", os.O_RDWR) for _ in range(20)]
            text = run(steps)
            os.write(3, ("%s %d" % (text, len(opened))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    text = os.read(reading, 65536).decode()
    os.close(reading)
    return "%s %d" % (text, os.waitpid(child, 0)[1])


@step
def removed(steps):
    """What this process has written so far goes away under it."""
    for pattern in (os.environ.get("PYPERF_DIR", "/nowhere") + "/pyperf-%d-*", "/tmp/perf-%d.map", "/tmp/jit-%d.dump"):
        for path in glob.glob(pattern % os.getpid()):
            try:
                os.unlink(path)
            except OSError:
                pass
    return run(steps)


@step
def sealed(steps):
    """Nothing may become executable from here on: PR_SET_MDWE, in a child."""
    def seal():
        libc.prctl(65, 1, 0, 0, 0)
        return run(steps)

    STEPS["seal"] = seal
    return forked("fork", "exit", [["seal"]])


@step
def at_exit(n):
    atexit.register(lambda: sys.stdout.write("at exit %d\n" % fib(n)))
    return "registered"


def main():
    for one in ast.literal_eval(sys.argv[1]):
        sys.stdout.write(run_one(one) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
