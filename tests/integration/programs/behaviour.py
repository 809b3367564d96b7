"""Without an argument prints the names of its parts; with one runs that part. What a part prints is
the same on each run."""
import sys

PARTS = {}


def part(function):
    PARTS[function.__name__] = function


def stubborn():
    received = None
    while True:
        try:
            received = yield received
        except ValueError as error:
            received = "caught %s" % error


def delegating():
    result = yield from stubborn()
    return result


@part
def generator_throw():
    for make in (stubborn, delegating):
        generator = make()
        next(generator)
        print(generator.send(1), generator.throw(ValueError("v")), generator.send(2))
        try:
            generator.throw(KeyError("k"))
        except KeyError as error:
            print("through", error, error.__traceback__.tb_next.tb_frame.f_code.co_name)
        generator = make()
        next(generator)
        generator.close()
    generator = stubborn()
    try:
        generator.throw(ZeroDivisionError("not started"))
    except ZeroDivisionError as error:
        print(error)
    print(sum(1 for _ in range(10000) if next(stubborn()) is None))


@part
def pending_exceptions():
    """New functions entered while an exception is being handled or thrown."""
    import traceback

    for number in range(50):
        space = {}
        exec("def fresh():\n  try:\n    yield 1\n  finally:\n    len('done')", space)
        generator = space["fresh"]()
        try:
            if number % 2:
                next(generator)
            generator.throw(KeyError(number))
        except KeyError as error:
            try:
                exec("def other(): raise TypeError('t')\nother()", {})
            except TypeError as later:
                assert later.__context__ is error
    try:
        exec("def last(): {}['missing']\nlast()", {})
    except KeyError:
        print(traceback.format_exc())


@part
def uncaught():
    try:
        [].index(1)
    except ValueError as error:
        raise RuntimeError("outer") from error


@part
def exit_status():
    sys.exit(41)


@part
def exit_text():
    sys.exit("said on stderr")


@part
def exit_at_once():
    import os

    print("flushed", flush=True)
    os._exit(9)


@part
def killed():
    import os

    os.kill(os.getpid(), 15)


@part
def crashed():
    import os

    os.kill(os.getpid(), 11)


@part
def interrupted():
    import os

    os.kill(os.getpid(), 2)
    for _ in range(1000):
        (lambda: 1)()


def traced_functions():
    def generate():
        yield 1
        yield 2

    def fail():
        raise OSError("x")

    total = sum(generate())
    try:
        fail()
    except OSError:
        pass
    return [len(word) for word in "a bc".split()], total


@part
def trace():
    events = []

    def tracer(frame, event, argument):
        events.append((event, frame.f_code.co_name, frame.f_lineno))
        return tracer

    sys.settrace(tracer)
    traced_functions()
    sys.settrace(None)
    print("\n".join(map(str, events)))


@part
def profile():
    events = []

    def profiler(frame, event, argument):
        events.append((event, frame.f_code.co_name, getattr(argument, "__name__", None)))

    sys.setprofile(profiler)
    traced_functions()
    sys.setprofile(None)
    print("\n".join(map(str, events)))


@part
def c_profile():
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(traced_functions)
    for (_, line, name), value in sorted(pstats.Stats(profiler).stats.items()):
        print(line, name, value[:2])


@part
def debugger():
    import bdb

    class Steps(bdb.Bdb):
        def user_line(self, frame):
            print(frame.f_code.co_name, frame.f_lineno)

    Steps().runcall(traced_functions)


@part
def threads():
    import threading

    results = []
    local = threading.local()

    def work(number):
        local.value = number
        results.append(sum(stubborn_sum(number + k) for k in range(100)) - local.value)

    def stubborn_sum(number):
        return sum(one for one in range(number))

    started = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    print(sorted(results))


@part
def pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as executor:
        print(list(executor.map(lambda number: number * number, range(100))))


@part
def signals():
    import os
    import signal

    def handler(number, frame):
        seen.append((number, frame.f_code.co_name))

    seen = []
    signal.signal(signal.SIGUSR1, handler)
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
    print(seen)


@part
def destructors():
    import gc
    import weakref

    class Node:
        def __init__(self, name):
            self.name, self.me = name, self

        def __del__(self):
            print("del", self.name)

    nodes = [Node("a"), Node("b")]
    watched = weakref.ref(nodes[0], lambda _: print("gone"))
    del nodes
    gc.collect()
    print(watched())


@part
def at_exit():
    import atexit

    class Failing:
        def __call__(self):
            return 1 / 0

        def __repr__(self):
            return "failing"

    atexit.register(lambda: print("first registered"))
    atexit.register(Failing())


@part
def frames():
    import inspect
    import traceback

    def inner():
        frame, names = sys._getframe(), []
        while frame:
            names.append((frame.f_code.co_name, frame.f_lineno))
            frame = frame.f_back
        print(names, [entry.function for entry in inspect.stack()])
        print([(entry.name, entry.lineno) for entry in traceback.extract_stack()])

    max([1], key=lambda _: inner() or 1)


@part
def dumped():
    import faulthandler

    def inner():
        faulthandler.dump_traceback(all_threads=False)

    list(map(lambda _: inner(), [1]))


@part
def warned():
    import warnings

    def inner():
        warnings.warn("look where", stacklevel=2)

    inner()


@part
def code_objects():
    import hashlib
    import marshal

    code = compile("def f(a, *b, c=1):\n  return lambda: a + c", "f.py", "exec")
    twin = compile("def f(a, *b, c=1):\n  return lambda: a + c", "f.py", "exec")
    exec(code, {})
    print(code == twin, hash(code) == hash(twin))
    print(hashlib.md5(marshal.dumps(code)).hexdigest(), marshal.loads(marshal.dumps(code)) == twin)


@part
def asynchronous():
    import asyncio

    async def numbers():
        for number in range(3):
            yield number
            await asyncio.sleep(0)

    async def work(number):
        await asyncio.sleep(0.001 * number)
        if number == 3:
            raise ValueError(number)
        return [one async for one in numbers()] + [number]

    async def main():
        return await asyncio.gather(*map(work, range(5)), return_exceptions=True)

    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(main()))
    loop.close()


@part
def classes():
    class Meta(type):
        @classmethod
        def __prepare__(mcs, name, bases):
            print("prepare", name)
            return {}

        def __call__(cls, *arguments):
            print("call", cls.__name__)
            return super().__call__(*arguments)

    class Base(metaclass=Meta):
        def __init_subclass__(cls):
            print("subclass", cls.__qualname__)

        def __eq__(self, other):
            raise ValueError("eq")

    class Derived(Base):
        pass

    try:
        Derived() in [Derived()]
    except ValueError as error:
        print(error)


@part
def executed():
    space = {"__builtins__": {"print": print}}
    exec("def f(): print('inside')\nf()", space)
    print(eval("(lambda x: x * 2)(21)"), sorted(space))
    try:
        exec("len([])", space)
    except NameError as error:
        print(error)


@part
def callbacks_from_c():
    import ctypes

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def compare(one, other):
        first, second = (ctypes.string_at(where, 1) for where in (one, other))
        return (first > second) - (first < second)

    text = ctypes.create_string_buffer(b"python", 6)
    ctypes.CDLL(None).qsort(text, 6, 1, compare)
    print(text.raw)


@part
def forked():
    import os

    for number in range(3):
        pid = os.fork()
        if pid == 0:
            print("child", number, flush=True)
            os._exit(number)
        print(os.waitpid(pid, 0)[1], flush=True)


@part
def imported():
    import json.decoder
    import runpy
    import xml.dom.minidom

    print(json.decoder.JSONDecoder().decode('{"a": [1, 2.5, null]}'))
    print(xml.dom.minidom.parseString("<a><b/></a>").documentElement.toxml())
    print(sorted(runpy.run_module("this"))[:1])


if len(sys.argv) == 1:
    print(" ".join(sorted(PARTS)))
else:
    PARTS[sys.argv[1]]()
