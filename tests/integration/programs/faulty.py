"""A bit of everything that libpyperf handles: names, many functions, a forked child, and, if the
argument says so, switching."""
import os
import sys


class Outer:
    class Inner:
        def method(self):
            return [one for one in (lambda: [1, 2, 3])()]


def numbers():
    yield 1
    try:
        yield 2
    except ValueError:
        yield 3


def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


def many():
    """Names so long that an image and its table of names grow."""
    space = {}
    for number in range(40):
        text = "def called%d(): return %d\nresult = called%d()" % ((number,) * 3)
        exec(compile(text, "many" + "y" * 100 * number, "exec"), space)
    return space["result"]


def switch():
    """These calls may fail."""
    for backend in ("perf_jit", "perf"):
        try:
            sys.deactivate_stack_trampoline()
            recursive(3)
            sys.activate_stack_trampoline(backend)
        except (AttributeError, RuntimeError, MemoryError, ValueError):
            pass
        print(recursive(8), eval("recursive(5)"))


def child():
    print(recursive(4), Outer.Inner().method())
    sys.stdout.flush()
    for path in ("/tmp/perf-%d.map", "/tmp/jit-%d.dump"):
        try:
            os.unlink(path % os.getpid())
        except OSError:  # there is no such file
            pass
    os._exit(3)


generator = numbers()
print(recursive(7), Outer.Inner().method(), next(generator), next(generator))
print(generator.throw(ValueError), many())
if sys.argv[1] == "switching":
    switch()
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    child()
print(os.waitpid(pid, 0)[1] >> 8)
