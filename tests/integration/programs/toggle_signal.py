"""The effects of PYPERF_TOGGLE_SIGNAL on a program; runs the part that the command line names, with
the number of the signal. Prints JSON."""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
import zlib

NUMBER = int(sys.argv[2])


def is_on():
    return sys.is_stack_trampoline_active()


def kick():
    os.kill(os.getpid(), NUMBER)
    called_after()


def called_after():
    """Runs bytecodes, between which the handler runs."""
    return NUMBER


def kick_after(seconds):
    """Sent by another process, so that the kernel interrupts the main thread."""
    pid = os.getpid()
    warnings.simplefilter("ignore")  # of a fork beside threads, from 3.12 on
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        os.kill(pid, NUMBER)
        os._exit(0)
    return child


def stages():
    def inside_first():
        return is_on()

    def inside_second():
        return is_on()

    def inside_third():
        return is_on()

    seen = [is_on()]
    for inside in (inside_first, inside_second, inside_third):
        kick()
        seen.append(inside())
    return seen


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


def off_at_first():
    spin(0.3)


def on_at_first():
    spin(0.5)


def off_again():
    spin(0.3)


def on_again():
    spin(0.5)


def phases():
    off_at_first()
    for phase in (on_at_first, off_again, on_again):
        kick()
        phase()
    return is_on()


def outside():
    """Prints when it is switched, three times; another process sends the signals."""
    state, changes = is_on(), 0
    print("ready", flush=True)
    while changes < 3:
        called_after()
        if is_on() != state:
            state, changes = not state, changes + 1
            print(state, flush=True)
    return "end"


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def storm():
    """200 signals, while five threads call functions."""
    sys.setswitchinterval(0.0001)
    pid = os.getpid()
    warnings.simplefilter("ignore")  # of a fork beside threads, from 3.12 on
    child = os.fork()
    if child == 0:
        for _ in range(200):
            time.sleep(0.003)
            os.kill(pid, NUMBER)
        os._exit(0)
    results, going, changes = [], [True], [0] * 5

    def look(number, state):
        """A handler takes longer than a thread's turn here, so that the main thread may see no change."""
        changes[number] += is_on() != state
        return is_on()

    def work(number):
        state = False
        while going:
            made = eval("lambda: fibonacci(12)")
            results.append(made() == 144)
            state = look(number, state)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    state = False
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        results.append(fibonacci(8) == 21)
        state = look(4, state)
    going.clear()
    for thread in threads:
        thread.join()
    return {"right": all(results), "calls": len(results) > 200, "switched": max(changes) >= 10}


def own_handler():
    """The program's handler replaces ours, which can be restored."""
    calls = []
    before = signal.signal(NUMBER, lambda *_: calls.append(1))
    for _ in range(3):
        kick()
    seen = [len(calls), is_on()]
    own = signal.signal(NUMBER, before)
    kick()
    seen.append(is_on())
    signal.signal(NUMBER, own)
    kick()
    signal.signal(NUMBER, signal.SIG_IGN)
    kick()
    return seen + [len(calls), is_on()]


def timed(wait):
    """Whether the call lasted, its result, and whether profiling was switched meanwhile."""
    seen = []
    before = is_on()
    start = time.monotonic()
    child = kick_after(0.2)
    looker = threading.Timer(0.4, lambda: seen.append(is_on() != before))
    looker.start()
    result = wait()
    lasted = time.monotonic() - start
    looker.join()
    os.waitpid(child, 0)
    return [lasted >= 0.59, result, seen]


async def sleep():
    """In a loop that has a wakeup fd, where each signal's number arrives."""
    asyncio.get_event_loop().add_signal_handler(signal.SIGHUP, kick)
    await asyncio.sleep(0.6)


def blocking():
    """System calls are not cut short, and do not delay the switch."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    reader, writer = os.pipe()
    near, far = socket.socketpair()

    def later(function, *arguments):
        timer = threading.Timer(0.6, function, arguments)
        timer.start()
        return timer

    def read():
        later(os.write, writer, b"all of it")
        return os.read(reader, 100).decode()

    def receive():
        later(far.send, b"all of it")
        return near.recv(100).decode()

    return {
        "sleep": timed(lambda: time.sleep(0.6)),
        "read": timed(read),
        "recv": timed(receive),
        "loop": timed(lambda: loop.run_until_complete(sleep())),
        "join": timed(lambda: later(len, "").join()),
        "lock": timed(lambda: threading.Lock().acquire() and threading.Event().wait(0.6)),
    }


def in_c():
    """A long call into C: the switch waits for its end."""
    data, during, calls = os.urandom(4 << 20) * 8, [], [True]

    def look():
        time.sleep(0.05)
        os.kill(os.getpid(), NUMBER)
        time.sleep(0.15)
        during.extend([bool(calls), is_on()])

    looker = threading.Thread(target=look)
    looker.start()
    packed = zlib.compress(data, 9)
    calls.clear()
    after = is_on()
    looker.join()
    return during + [after, zlib.decompress(packed) == data]


def limited():
    """Without address space for an image it stays off."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), limits[1]))
    kick()
    seen = [is_on()]
    resource.setrlimit(resource.RLIMIT_AS, limits)
    kick()
    return seen + [is_on()]


def forked():
    """Child and parent switch independently."""

    def in_child():
        return is_on()

    def in_parent():
        return is_on()

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        seen = [is_on()]
        kick()
        seen.append(in_child())
        kick()
        seen.append(is_on())
        kick()
        os.write(writer, json.dumps(seen + [is_on()]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seen = [is_on()]
    kick()
    return {
        "child": json.loads(os.read(reader, 1000).decode()),
        "parent": seen + [in_parent()],
        "pid": child,
    }


def handlers():
    """All that a program can ask about its signals."""
    numbers = [number for number in range(1, signal.NSIG) if number not in (32, 33)]
    names = [repr(signal.getsignal(number)) for number in numbers]
    with open("/proc/self/status") as status:
        masks = [line.split() for line in status if line.startswith("Sig")]
    return {"names": names, "masks": masks[1:], "gc": "gc" in sys.modules}


print(json.dumps(globals()[sys.argv[1]]()))
