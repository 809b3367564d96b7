"""Features of CPython 3.12 and later: interpreters with a lock each, and a JIT that excludes perf
support."""

from harness import NATIVE, Skip, case
from maps import Map

CASES = []

# Four threads with their own interpreters, and the main one, at the same time.
OWN_LOCKS = """
import threading
try:
    import _interpreters
except ImportError:  # 3.12
    import _xxsubinterpreters as _interpreters
run = getattr(_interpreters, "exec", None) or _interpreters.run_string
CODE = '''
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
for number in range(300):
    text = "def new_WHERE_%d(): return fibonacci(8)\\\\nassert new_WHERE_%d() == 21"
    exec(text % (number, number), globals())
'''
def work(number):
    one = _interpreters.create()
    failed = run(one, CODE.replace("WHERE", str(number)))
    assert failed is None, failed
    _interpreters.destroy(one)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
exec(CODE.replace("WHERE", "main"))
for thread in threads: thread.join()
print("end")
"""
JIT = """
import sys
print(sys._jit.is_enabled(), sys.is_stack_trampoline_active())
try:
    print(sys.activate_stack_trampoline("perf"))
except ValueError as error:
    print(error)
"""


@case(CASES, NATIVE)
def interpreters_with_own_locks(bench):
    """Interpreters do not wait for each other, no file is damaged, and nearly all functions have
    names."""
    for _ in range(3):
        done = bench.run_python("-W", "ignore", "-c", OWN_LOCKS)
        bench.equal("status, output", (0, "end\n", ""), done.seen)
        map_file = Map(bench.map_path(done.pid))
        bench.equal("lines that are none", [], map_file.malformed[:3])
        for where in ("0", "1", "2", "3", "main"):
            named = sum(name.startswith("new_%s_" % where) for name in map_file.names)
            bench.that("named in %s" % where, "150 or more of 300", named >= 150, str(named))


@case(CASES, NATIVE)
def jit_and_perf(bench):
    """As without libpyperf: the first of JIT and perf support excludes the other, with the same
    message."""
    if bench.plain("-c", "import sys; sys._jit.is_available() or 1/0").status != 0:
        raise Skip("this interpreter has no JIT")
    for options in ([], ["-X", "perf"]):
        seen = []
        for preload in (False, True):
            environment = bench.environment(preload=preload, support=None, PYTHON_JIT="1")
            done = bench.run([bench.python] + options + ["-c", JIT], environment)
            seen.append(done.seen)
        bench.equal(" ".join(["status, output"] + options), seen[0], seen[1])
