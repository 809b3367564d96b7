"""Programs for the sampler: sampled.py PART. Each prints JSON on what is to be seen."""
import ctypes
import hashlib
import json
import os
import select
import signal
import socket
import sys
import threading

try:
    import _thread
except ImportError:  # 2.7
    import thread as _thread

SECONDS = 0.25  # of CPU time


def line():
    return sys._getframe(1).f_lineno


def used():
    """CPU time of this process: a busy machine takes longer."""
    return sum(os.times()[:2])


def burn(seconds):
    end = used() + seconds
    while used() < end:
        sum(range(100))


def lines():
    """Functions with one line that takes all the time, called from one line."""
    numbers = list(range(30000))
    end, known = used() + 2 * SECONDS, {}
    while used() < end:
        first, second = simple(numbers), \
            over_lines(numbers)
        known = {"simple": first, "over_lines": second, "lines": [line() - 2, line() - 1]}
    return known


def simple(numbers):
    place = line() + 1
    sum(numbers); sum(numbers); sum(numbers); sum(numbers)
    return [place]


def over_lines(numbers):
    place = line() + 2
    for _ in range(4):
        sum(numbers)
    return [place, place - 1]


def threads():
    """Four long threads do 4,800 units of work, 320 short ones 2,560, some 2 ms each: enough for a share of samples."""
    data = b"x" * 200000

    def work(count):
        for _ in range(count):
            hashlib.md5(data).digest()

    def brief():
        work(8)

    long_ones = [threading.Thread(target=work, args=(count,)) for count in (480, 960, 1440, 1920)]
    for one in long_ones:
        one.start()
    for one in long_ones:
        one.join()
    for _ in range(320):
        one = threading.Thread(target=brief)
        one.start()
        one.join()


def named_threads():
    """A thread with a name of its own among some with the process's: from 3.14 on, threading gives each a name."""
    PR_SET_NAME = 15

    def named():
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"with a name", 0, 0, 0)
        burn(SECONDS)

    def run(target, ended):
        target()
        ended.release()

    for target in [named] + [lambda: burn(SECONDS / 5)] * 5:
        ended = threading.Lock()
        ended.acquire()
        _thread.start_new_thread(run, (target, ended))
        ended.acquire()


def children():
    pids = []
    for kind in ("ends", "exits", "forks", "idle"):
        pid = os.fork()
        if pid == 0:
            child(kind)
        pids.append([kind, pid])
    statuses = [os.waitpid(pid, 0)[1] for _, pid in pids]
    burn(SECONDS)
    return {"pids": pids, "statuses": statuses}


def child(kind):
    if kind == "idle":
        os._exit(0)
    burn(SECONDS)
    if kind == "forks" and os.fork() == 0:
        burn(SECONDS)
        os._exit(0)
    if kind == "exits":
        sys.exit(3)
    os._exit(0)


def forked_by_itself():
    """A child that is made without fork handlers ends by exit(3); its parent goes on."""
    fork = 57  # arch/x86/entry/syscalls/syscall_64.tbl
    libc = ctypes.CDLL(None)
    burn(SECONDS)
    pid = libc.syscall(fork)
    if pid == 0:
        libc.exit(0)
    status = os.waitpid(pid, 0)[1]
    after_the_fork()
    return status


def after_the_fork():
    burn(SECONDS)


def replaced():
    """A program that becomes another one; the first lets the second see what was left to it."""
    burn(SECONDS)
    code = "import signal; print(signal.getsignal(signal.SIGURG)); print(open('/proc/self/timers').read())"
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    os.execve(sys.executable, [sys.executable, "-c", code], environment)


def own_state():
    """Timers of this process, whether SIGURG has a handler, and what is mapped."""
    with open("/proc/self/timers") as timers:
        timed = timers.read().count("notify:")
    with open("/proc/self/status") as status:
        caught = [text for text in status if text.startswith("SigCgt:")][0].split()[1]
    with open("/proc/self/maps") as maps:
        mapped = maps.read().count(".samples")
    return [timed, int(caught, 16) >> (signal.SIGURG - 1) & 1, mapped]


def switched():
    """The number of threads, with those of an emulator; the state before, on, and off again, twice."""
    states = [own_state()]
    for _ in range(2):
        sys.activate_stack_trampoline("perf_sample")
        on_while_this()
        states.append([sys.is_stack_trampoline_active(), own_state()])
        sys.deactivate_stack_trampoline()
        off_while_this()
        states.append([sys.is_stack_trampoline_active(), own_state()])
    return len(os.listdir("/proc/self/task")), states


def on_while_this():
    burn(SECONDS)


def off_while_this():
    burn(SECONDS)


def toggled():
    """The same by the signal."""
    active = []
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR2)
        active.append(sys.is_stack_trampoline_active())
        (on_while_this if active[-1] else off_while_this)()
    return active


def calls():
    """System calls in C that wait, while another thread uses the CPU. How many were interrupted."""
    libc, interrupted = ctypes.CDLL(None, use_errno=True), {}
    one, other = socket.socketpair()
    lasting = threading.Thread(target=burn, args=(4 * SECONDS,))
    lasting.start()
    tenth = 100
    waits = {
        "poll": lambda: libc.poll(None, 0, tenth),
        "usleep": lambda: libc.usleep(tenth * 1000),
        "epoll": lambda: libc.epoll_wait(epoll.fileno(), ctypes.create_string_buffer(64), 1, tenth),
        "select": lambda: libc.select(0, None, None, None, ctypes.byref((ctypes.c_long * 2)(0, tenth * 1000))),
    }
    epoll = select.epoll()
    for name in sorted(waits):
        interrupted[name] = sum(waits[name]() < 0 for _ in range(2))
    one.settimeout(0.1)
    try:
        one.recv(1)
    except socket.timeout:
        interrupted["recv"] = 0
    lasting.join()
    one.close()
    other.close()
    epoll.close()
    return interrupted


def own_handler():
    """A program with a handler of its own for the signal, and then without."""
    got = []
    signal.signal(signal.SIGURG, lambda *_: got.append(1))
    os.kill(os.getpid(), signal.SIGURG)
    burn(SECONDS)
    signal.signal(signal.SIGURG, signal.SIG_DFL)
    burn(SECONDS)
    return len(got) >= 1


def endless():
    print("ready")
    sys.stdout.flush()
    while True:
        burn(1)


def deep():
    """A thread at a depth of 900 calls."""
    sys.setrecursionlimit(2000)

    def descend(count):
        return descend(count - 1) if count else burn(2 * SECONDS)

    threading.stack_size(64 << 20)
    thread = threading.Thread(target=descend, args=(900,))
    thread.start()
    thread.join()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
