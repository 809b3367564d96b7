"""Effects on the program: the process and its behaviour must stay the same."""

import json
import os
import re

import harness
import perf
from harness import Skip, case
from maps import Map

CASES = []
CALLS = "def called(): pass\ncalled()"


def expect_on(bench, what, done):
    bench.equal("%s: silent" % what, (0, "", ""), done.seen)
    path, names = bench.map_path(done.pid), "no map"
    if os.path.exists(path):
        names = Map(path).of_file("<string>")
    bench.equal("%s: names" % what, ["<module>", "called"], names)


def expect_off(bench, what, done):
    bench.equal("%s: silent" % what, (0, "", ""), done.seen)
    bench.equal("%s: left in /tmp" % what, [], bench.left(done.pid))


@case(CASES)
def switch_values(bench):
    for value in ("1", "2", "-1", " 1", "\t+7", "2147483647", "01"):
        environment = bench.environment(support=value, images=False)
        expect_on(bench, repr(value), bench.run_python("-c", CALLS, environment=environment))
    off = (None, "0", "", "abc", "1 ", "0x1", "1x", " ", "-0", "2147483648", "99999999999999999999")
    for value in off:
        environment = bench.environment(support=value, images=False)
        expect_off(bench, repr(value), bench.run_python("-c", CALLS, environment=environment))


@case(CASES)
def switch_options(bench):
    for option in ("-E", "-I", "-IS", "-sE"):
        environment = bench.environment(images=False)
        expect_off(bench, option, bench.run_python(option, "-c", CALLS, environment=environment))
    for option in ("-s", "-S", "-B", "-O", "-u"):
        environment = bench.environment(images=False)
        expect_on(bench, option, bench.run_python(option, "-c", CALLS, environment=environment))


@case(CASES)
def text_restored(bench):
    """Off: the evaluator has the bytes of its file."""
    for what, arguments, support, same in (
        ("on", [], "1", False),
        ("unset", [], None, True),
        ("-E", ["-E"], "1", True),
        ("-I", ["-I"], "1", True),
    ):
        environment = bench.environment(support=support)
        done = bench.run_python(*arguments + [bench.program("entry.py")], environment=environment)
        if done.status != 0:
            raise RuntimeError(done.err)
        entry = json.loads(done.out)
        bench.equal("%s: entry as in the file" % what, same, entry["memory"] == entry["file"])
        bench.equal("%s: rights of its page" % what, "r-xp", entry["rights"])
        # endbr64 stays in place, for indirect calls.
        if entry["file"].startswith("f30f1efa"):
            bench.equal("%s: begins with endbr64" % what, "f30f1efa", entry["memory"][:8])


def mapped_files(maps):
    return {line.split(None, 5)[5] for line in maps if "/" in line}


@case(CASES)
def inside_the_process(bench):
    program = bench.program("process.py")
    done, plain = bench.run_python(program), bench.plain(program)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    seen, before = json.loads(done.out), json.loads(plain.out)
    bench.equal("descriptors", before["descriptors"], seen["descriptors"])
    bench.equal("symbols in the program's scope", before["symbols"], seen["symbols"])
    ignored = {"PYTHONPERFSUPPORT", "PYPERF_DIR"}
    changed = set(before["environment"]) ^ set(seen["environment"])
    bench.equal("variables that came or went", [], sorted(changed - ignored))
    extra = sorted(mapped_files(seen["maps"]) - mapped_files(before["maps"]))
    images = bench.image_paths(done.pid, bench.images)
    # The tables of an image are mapped by a second name, which is removed by then.
    tables = [path + ".tables (deleted)" for path in images]
    expected = [bench.library, bench.map_path(done.pid)] + images + tables
    if bench.interpreter.musl:  # whose dlclose does nothing
        expected.append(os.path.join(bench.build, "libpyperf-plan.so"))
    expected.sort()
    bench.equal("files mapped more", expected, extra)
    wrong = [line for line in seen["maps"] if re.match(r"\S+ .wx", line)]
    bench.equal("pages both writable and executable", [], wrong)


DAEMON = """
import os
def first(): pass
first()
os.closerange(3, 100)
held = [os.open(%r %% number, os.O_RDWR | os.O_CREAT, 0o600) for number in range(20)]
for number in range(5000):
    exec(compile("def later%%d(): pass\\nlater%%d()" %% (number, number), "later.py", "exec"), {})
print(sum(os.fstat(one).st_size for one in held))
"""


@case(CASES)
def descriptors_of_the_program(bench):
    """A daemon closes all descriptors and opens its own under the same numbers."""
    program = bench.write("daemon.py", DAEMON % os.path.join(bench.folder, "own%d"))
    done = bench.run_python(program)
    bench.equal("bytes in its own files", (0, "0\n", ""), done.seen)
    names = Map(bench.map_path(done.pid)).of_file("later.py")
    bench.equal("functions named", 5000, len(set(names) - {"<module>"}))


def same(bench, what, *arguments, **more):
    plain, done = bench.plain(*arguments, **more), bench.run_python(*arguments, **more)
    bench.equal("%s: status, output" % what, plain.seen, done.seen)
    return done


@case(CASES)
def same_behaviour(bench):
    """Each part of programs/behaviour.py prints the same with and without libpyperf."""
    program = bench.program("behaviour.py")
    parts = bench.plain(program).out.split()
    bench.that("parts", "20 or more", len(parts) >= 20, str(len(parts)))
    for part in parts:
        same(bench, part, program, part)


RECURSION = """
import sys
def depth(n):
    global deepest
    deepest = n
    depth(n + 1)
class Deep:
    def __getattr__(self, name):
        global deepest
        deepest += 1
        return getattr(self, name)
def walk(n):
    return 0 if n == 0 else 1 + max(walk(m) for m in (n - 1,))
for start in (lambda: depth(0), lambda: Deep().name, lambda: walk(10000)):
    deepest = 0
    try:
        start()
    except RecursionError as error:
        print(deepest, error)
def chain(n):
    return 0 if n == 0 else 1 + chain(n - 1)
if sys.argv[1:]:
    sys.setrecursionlimit(int(sys.argv[1]) + 100)
    print(chain(int(sys.argv[1])))
"""


def look_at_limits(bench, program, *depth):
    """The expected output; in versions that count C calls, a Python call counts as C calls, as with
    the interpreter's own perf support."""
    if bench.version not in ((3, 12), (3, 13)):
        same(bench, " ".join(("depth",) + depth), program, *depth)
        return
    plain, done = bench.plain(program, *depth), bench.run_python(program, *depth)
    numbers = [[int(n) for n in re.findall(r"\d+", one.out)] for one in (plain, done)]
    near = len(numbers[0]) == len(numbers[1]) and all(0 <= a - b <= 4 for a, b in zip(*numbers))
    got = (done.status, done.err, near)
    bench.equal(" ".join(("depth",) + depth), (plain.status, plain.err, True), got)


@case(CASES)
def recursion(bench):
    """The recursion limit is the same, and a recursion that works without libpyperf works with it,
    if a tenth of the stack is to spare."""
    program = bench.write("recursion.py", RECURSION)
    look_at_limits(bench, program)
    depths = [5000, 10000, 12000, 15000, 18000, 25000]
    works = [depth for depth in depths if bench.plain(program, str(depth * 11 // 10)).status == 0]
    bench.that("depths that work without", "one or more", len(works) > 0, repr(works))
    for depth in works:
        look_at_limits(bench, program, str(depth))


DEEP = """
def last(n): return n
def descend(n): return sum(map(descend, [n - 1])) if n else last(n)
print(descend(60))
"""


@case(CASES)
def deep_functions_named(bench):
    """A function that is first called 60 calls of C below the main program, in a small part of the main
    thread's stack; a debug build of 3.13 names none below 100."""
    program = bench.write("deep.py", DEEP)
    done = same(bench, "60 calls", program)
    bench.equal("named", True, "last" in Map(bench.map_path(done.pid)).of_file(program))


TAKING_TURNS = """
import sys, threading
depth = int(sys.argv[1])
sys.setrecursionlimit(depth + 100)
mine, other = threading.Semaphore(0), threading.Semaphore(0)
def called(_): return 0
def look_on():
    for _ in range(depth):
        other.acquire()
        sum(map(called, [0]))
        mine.release()
def descend(n):
    if n == 0: return 0
    other.release()
    mine.acquire()
    return 1 + descend(n - 1)
looker = threading.Thread(target=look_on)
looker.start()
threading.stack_size(int(sys.argv[2]))
deep = threading.Thread(target=lambda: print(descend(depth)))
deep.start()
deep.join()
looker.join()
sum(map(called, [0]))
def last(): return 1
def calls_last(): return last()
calls_last()
"""


@case(CASES)
def recursion_taking_turns(bench):
    """At each level of one thread's recursion another thread runs functions that C calls."""
    program = bench.write("turns.py", TAKING_TURNS)
    for size in (64 << 10, 256 << 10, 8 << 20):
        for depth in (900, 9000, 20000):
            arguments, spared = (str(depth), str(size)), (str(depth), str(size * 9 // 10))
            if bench.plain(program, *spared).status != 0:
                continue
            what = "depth %d in %d KiB" % (depth, size >> 10)
            done = same(bench, what, program, *arguments)
            if done.status == 0:
                names = Map(bench.map_path(done.pid)).of_file(program)
                bench.equal("%s: named afterwards" % what, True, "last" in names)


DEEP_AT_FORK = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # of a fork beside threads, from 3.12 on
sys.setrecursionlimit(10000)
deep, end = threading.Event(), threading.Event()
def called(): return 0
def calls(): return called()
def descend(n):
    if n == 0:
        deep.set()
        end.wait()
        return 0
    return sum(map(descend, [n - 1])) if n % 20 == 0 else descend(n - 1)
threading.stack_size(1 << 20)
thread = threading.Thread(target=descend, args=(int(sys.argv[1]),))
thread.start()
deep.wait()
pid = os.fork()
if pid == 0:
    print(os.getpid(), flush=True)
    os._exit(calls())
status = os.waitpid(pid, 0)[1]
end.set()
thread.join()
print(os.getpid(), status)
calls()
"""


@case(CASES)
def deep_thread_at_fork(bench):
    """A deep thread does not exist in a forked child, so its depth must not leave functions unnamed
    there."""
    program = bench.write("deep.py", DEEP_AT_FORK)
    depth = "2000" if bench.interpreter.debug else "6000"  # 3.13's allow 500 calls of C
    if bench.plain(program, depth).status != 0:
        raise Skip("this interpreter does not go that deep in a thread")
    done = bench.run_python(program, depth)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    for who, line in zip(("child", "parent"), done.out.splitlines()):
        bench.pids.add(int(line.split()[0]))
        names = Map(bench.map_path(int(line.split()[0]))).of_file(program)
        bench.equal("%s: named" % who, True, "called" in names)


@case(CASES)
def daemon_threads(bench):
    """Daemon threads end in pthread_exit at the interpreter's end, unwound through our frames."""
    for _ in range(5):
        same(bench, "daemon threads at exit", bench.program("daemon_threads.py"))


SUB_INTERPRETERS = """
import sys
try:
    from _testcapi import run_in_subinterp as run
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        print("none")
        sys.exit()
    def run(code):
        one = interpreters.create()
        interpreters.run_string(one, code)
        interpreters.destroy(one)
        return 0
CODE = '''
import time
def hot_inside():
    total = 0
    for i in range(3000):
        total += i * i
end = time.process_time() + %s
def repeat_%d():
    while True:
        hot_inside()
        if time.process_time() > end: break
repeat_%d()
'''
def hot_outside():
    return 1
def main():
    print([run(CODE % (float(sys.argv[1]) / 5, number, number)) for number in range(5)])
    hot_outside()
hot_outside()
main()
"""


def sub_interpreter_program(bench):
    program = bench.write("outside.py", SUB_INTERPRETERS)
    plain = bench.plain(program, "0")
    if plain.out == "none\n":
        raise Skip("this interpreter has neither _testcapi nor _xxsubinterpreters")
    return program, plain


@case(CASES)
def sub_interpreters(bench):
    program, plain = sub_interpreter_program(bench)
    done = bench.run_python(program, "0")
    bench.equal("status, output", plain.seen, done.seen)
    names = Map(bench.map_path(done.pid)).of_file("<string>")
    expected = ["hot_inside"] + ["repeat_%d" % number for number in range(5)]
    bench.equal("functions missing", [], sorted(set(expected) - set(names)))


@case(CASES, needs=("perf",))
def sub_interpreter_stacks(bench):
    program, _ = sub_interpreter_program(bench)
    done, data = perf.record(bench, [bench.python, program, "0.8"])
    bench.equal("status", 0, done.status)
    samples = perf.script(bench, data)
    bench.pids.update(one.pid for one in samples)
    hot = [one for one in samples if "hot_inside:<string>" in one.python]
    chain = re.compile(r"hot_inside:<string> repeat_\d:<string> <module>:<string> ")
    outside = ["%s:%s" % (name, program) for name in ("main", "<module>")]
    good = [one for one in hot if chain.match(" ".join(one.python)) and one.python[-2:] == outside]
    enough = len(hot) >= 100 and len(good) >= 0.99 * len(hot)
    got = "complete " + perf.share(len(good), len(hot))
    bench.that("stacks", "99 % of 100 or more", enough, got)


@case(CASES)
def co_extra_of_others(bench):
    """Another user of co_extra keeps its values, before or after libpyperf, in each interpreter."""
    program = bench.program("co_extra.py")
    for how in ("main", "sub"):
        plain, done = bench.plain(program, how), bench.run_python(program, how)
        if plain.out == "none\n":
            bench.skip(how, "this interpreter has no _testcapi")
            continue
        bench.equal("%s: status, output" % how, plain.seen, done.seen)
        names = Map(bench.map_path(done.pid)).names
        named = any("marked_%s:" % how in one for one in names)
        bench.equal("%s: functions named" % how, True, named)
