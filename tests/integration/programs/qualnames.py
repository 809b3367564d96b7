"""Calls a function of each form, and prints the qualified names in the order of their first call.
With an argument it then sleeps."""
import functools
import sys
import time
import types


def never_called():
    return lambda: None


class Tool(object):
    def method(self):
        return 1

    @classmethod
    def class_method(cls):
        return 1

    @staticmethod
    def static_method():
        return 1

    @property
    def value(self):
        return 1

    def never_called(self):
        pass

    class Part:
        def deep(self):
            return 1

        made = [one for one in (1, 2)]

    by_lambda = lambda self: 1


def outer():
    def inner():
        class Local:
            def method(self):
                return lambda: 1

        return Local

    return inner


def generate():
    yield 1


def closure(value):
    def get():
        return value

    return get


def shared_name():
    def twice():
        return 1

    return twice


def wrap(function):
    @functools.wraps(function)
    def wrapper():
        return function()

    return wrapper


@wrap
def wrapped():
    return [one for one in {two for two in (1, 2)}] + list({one: 1 for one in (1,)})


IS_3 = sys.version_info >= (3,)
if IS_3:
    made = compile("async def coroutine(): return 1", __file__, "exec")
    coroutine = types.FunctionType(made.co_consts[0], globals())


def with_default(default=(lambda: 1)()):
    return default


def run():
    tool = Tool()
    tool.method(), Tool.class_method(), Tool.static_method(), tool.value
    Tool.Part().deep(), tool.by_lambda()
    outer()()().method()()
    list(generate()), list(one for one in (1,))
    closure(1)(), shared_name()(), wrapped()
    if IS_3:
        try:
            coroutine().send(None)
        except StopIteration:
            pass
    (lambda: (lambda: 1)())()
    with_default()
    return 1


run()
NAMES = """<module> Tool Tool.Part Tool.Part.<listcomp> wrap <lambda> run
Tool.method Tool.class_method Tool.static_method Tool.value Tool.Part.deep Tool.<lambda>
outer outer.<locals>.inner outer.<locals>.inner.<locals>.Local
outer.<locals>.inner.<locals>.Local.method
outer.<locals>.inner.<locals>.Local.method.<locals>.<lambda>
generate run.<locals>.<genexpr> closure closure.<locals>.get shared_name
shared_name.<locals>.twice wrap.<locals>.wrapper wrapped wrapped.<locals>.<setcomp>
wrapped.<locals>.<listcomp> wrapped.<locals>.<dictcomp> coroutine
run.<locals>.<lambda> run.<locals>.<lambda>.<locals>.<lambda> with_default"""
# Comprehensions without their own frame: PEP 709, and lists in 2.7.
INLINED = ("listcomp>", "setcomp>", "dictcomp>") if sys.version_info >= (3, 12) else ()
if not IS_3:
    INLINED = ("listcomp>", "coroutine")
called = NAMES.split()
for name in NAMES.split():
    if name.endswith(INLINED):
        called.remove(name)
print(" ".join(called))
if sys.argv[1:]:
    sys.stdout.flush()
    time.sleep(60)
