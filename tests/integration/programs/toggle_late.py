"""Defines and runs everything once before profiling begins. Prints the qualified names of all
functions that are called afterwards."""
import functools
import sys


class Outer:
    def method(self): return 1
    @classmethod
    def made(cls): return 1
    @staticmethod
    def alone(): return 1
    @property
    def value(self): return 1
    def __call__(self): return 1
    class Inner:
        def method(self): return 1
    def maker(self):
        def made_inside(): return 1
        return made_inside
    lambda_in_class = lambda self: 1
    def comprehend(self): return list(n for n in [1])


class Derived(Outer):
    def method(self): return super().method()


def plain(): return 1
def decorated(function):
    @functools.wraps(function)
    def wrapper(): return function()
    return wrapper
@decorated
def wrapped(): return 1
def generator(): yield 1
async def coroutine(): return 1
def enclosing():
    class Local:
        def method(self): return 1
    return Local


LOCAL = enclosing()
CLOSURE = Outer().maker()


def use():
    outer = Outer()
    outer.method(); Outer.made(); Outer.alone(); outer.value; outer(); Outer.Inner().method()
    CLOSURE(); outer.lambda_in_class(); outer.comprehend(); Derived().method()
    plain(); wrapped(); next(generator()); LOCAL().method()
    try: coroutine().send(None)
    except StopIteration: pass


if sys.argv[1] == "called before":
    use()
sys.activate_stack_trampoline(sys.argv[2])
use()
sys.deactivate_stack_trampoline()
EXPECTED = """use Outer.method Outer.made Outer.alone Outer.value Outer.__call__ Outer.Inner.method
Outer.maker.<locals>.made_inside Outer.<lambda> Outer.comprehend Outer.comprehend.<locals>.<genexpr>
Derived.method plain decorated.<locals>.wrapper wrapped generator
enclosing.<locals>.Local.method coroutine"""
print(EXPECTED.replace("\n", " "))
