"""Processes that may not make memory executable, or have no /proc/self/mem: fully profiled if there
is one way left to write code, otherwise refused in one line."""

import json
import os

import perf
from cases_files import CALLS, HOT, lines_of_ours, look_at_fallback
from cases_refusal import PROGRAM, refused, without_us
from cases_stacks import SHORT, complete_of_short
from cases_toggle import ENTRY
from harness import Skip, case
from maps import Map
from outcome import compile_program, switch_environment

CASES = []
# Words of programs/locked.c. With each one of these there is a way.
LOCKS = ("mdwe", "seccomp", "no-mem", "null-mem")
OLD = "linux-3.10"
SHUT = ("mdwe no-mem", "seccomp no-mem", "mdwe seccomp null-mem", "no-proc")
SWITCHES = 1000


class Lock:
    """The command that locks a program down, by the words of programs/locked.c."""

    def __init__(self, bench):
        self.bench = bench
        self.path = compile_program(bench, "locked.c", "locked", [])

    def works(self, words):
        environment = self.bench.environment(preload=False, support=None, images=False)
        done = self.bench.run(self.of(words) + ["/bin/true"], environment)
        if done.status != 0:
            self.bench.skip(words, "not to be had here: %s" % done.err.strip())
        return done.status == 0

    def of(self, words):
        return [self.path] + words.split() + ["--"]


def has_ctypes(bench, words, prefix):
    """2.7's ctypes makes a callback when it is imported, and libffi on musl has no second way to memory for one."""
    environment = bench.environment(preload=False, support=None, images=False)
    done = bench.run(prefix + [bench.python, "-c", "import ctypes"], environment)
    if done.status != 0:
        last = done.err.strip().splitlines()[-1]
        bench.skip("%s: the text in memory" % words, "without libpyperf, too, `import ctypes` ends with %s" % last)
    return done.status == 0


def each_lock(bench, names):
    lock = Lock(bench)
    for words in names:
        if lock.works(words):
            yield words, lock.of(words)


@case(CASES)
def locked_down(bench):
    program = bench.write("calls.py", CALLS)
    for words, prefix in each_lock(bench, LOCKS + (OLD,)):
        done = bench.run(prefix + [bench.python, program])
        bench.equal("%s: status, output" % words, (0, "end\n", ""), done.seen)
        names = Map(bench.map_path(done.pid)).of_file("many.py")
        bench.equal("%s: functions named" % words, 3000, len(set(names) - {"<module>"}))
        bench.equal("%s: images" % words, 1, len(bench.image_paths(done.pid, bench.images)))


@case(CASES)
def locked_down_without_image(bench):
    """An anonymous image is executable memory too."""
    program = bench.write("hot.py", HOT)
    for words, prefix in each_lock(bench, LOCKS + (OLD,)):
        environment = bench.environment(PYPERF_DIR="/nonexistent")
        done = bench.run(prefix + [bench.python, program, "0"], environment)
        look_at_fallback(bench, words, program, done)


@case(CASES)
def locked_down_toggle(bench):
    """The text is changed many times, and no page is ever writable and executable."""
    program = bench.write("entry.py", ENTRY)
    changed = [False, False] if bench.version >= (3, 11) else [False, True]
    on, off = (changed, [True, True]) if bench.version >= (3, 9) else (False, True)
    expected = [["r-xp", on], ["r-xp", off]] * 4
    count = bench.program("toggle_cost.py")
    for words, prefix in each_lock(bench, LOCKS + (OLD,)):
        if has_ctypes(bench, words, prefix):
            done = bench.run(prefix + [bench.python, program], switch_environment(bench))
            bench.equal("%s: status, stderr" % words, (0, ""), (done.status, done.err))
            what = "%s: on and off four times: rights, text as in the file" % words
            bench.equal(what, expected, json.loads(done.out or "null"))
        command = [bench.python, count, "calls", str(SWITCHES)]
        done = bench.run(prefix + command, switch_environment(bench))
        named = "%s: %d switches" % (words, SWITCHES)
        bench.equal("%s: status, stderr" % named, (0, ""), (done.status, done.err))


@case(CASES)
def locked_down_threads(bench):
    """One thread switches while seven compute."""
    program = bench.program("toggle_threads.py")
    for words, prefix in each_lock(bench, LOCKS[:2] + (OLD,)):
        command = [bench.python, program, str(SWITCHES), "perf,off,perf_jit,perf"]
        done = bench.run(prefix + command, switch_environment(bench))
        bench.equal("%s: status, output" % words, (0, "right True\n", ""), done.seen)


WITH_THREAD = """
import sys, threading
def called(): return sys.is_stack_trampoline_active()
if sys.argv[1] == "on":
    sys.activate_stack_trampoline("perf")
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
seen = []
for number in range(100):
    for switch in (sys.deactivate_stack_trampoline, sys.activate_stack_trampoline):
        try:
            switch(*["perf"] * (switch is sys.activate_stack_trampoline))
            seen.append(called())
        except RuntimeError as error:
            seen.append("cannot write" in str(error))
end.set()
thread.join()
print(seen.count(True), seen.count(False), called())
"""


@case(CASES)
def locked_down_with_a_thread(bench):
    """Without /proc/self/mem the text cannot be changed while another thread may run in it:
    profiling that is on stays on, which one line says, and profiling that is off cannot be switched
    on."""
    program = bench.write("with_thread.py", WITH_THREAD)
    for words, prefix in each_lock(bench, LOCKS[2:]):
        for state, active, lines in (("on", True, 1), ("off", False, 0)):
            done = bench.run(prefix + [bench.python, program, state], switch_environment(bench))
            got = (done.status, done.out, len(done.err.splitlines()), len(lines_of_ours(done.err)))
            expected = (0, "100 100 %s\n" % active, lines, lines)
            bench.equal("%s, %s: status, output, lines" % (words, state), expected, got)


@case(CASES, needs=("perf",))
def locked_down_stacks(bench):
    program = bench.write("short.py", SHORT)
    for words, prefix in each_lock(bench, LOCKS + (OLD,)):
        good, total = complete_of_short(bench, program, prefix)
        got = "complete " + perf.share(good, total)
        bench.that(words, "99 % of 40 or more", total >= 40 and good >= 0.99 * total, got)


LATER = """
import ctypes, os, sys
def before(): return 1
def lock():
    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
        print("none")
        sys.exit()
if sys.argv[1] == "on":
    sys.activate_stack_trampoline("perf")
before()
lock()
for number in range(100):
    for backend in ("perf", "perf_jit"):
        sys.activate_stack_trampoline(backend)
        exec("def after%d(): return before()\\nafter%d()" % (number, number))
        sys.deactivate_stack_trampoline()
sys.activate_stack_trampoline("perf")
pid = os.fork()
if pid == 0:
    exec("def child(): return before()\\nchild()")
    os._exit(0)
print(pid, os.waitpid(pid, 0)[1])
"""


@case(CASES)
def locked_down_later(bench):
    """The program locks itself, before or after it has switched profiling on."""
    program = bench.write("later.py", LATER)
    for state in ("on", "off"):
        done = bench.run_python(program, state, environment=switch_environment(bench))
        if done.out == "none\n":
            raise Skip("this kernel has no PR_SET_MDWE")
        child, status = (int(word) for word in done.out.split())
        bench.pids.add(child)
        bench.equal("%s: status, stderr" % state, (0, 0, ""), (done.status, status, done.err))
        names = Map(bench.map_path(done.pid)).of_file("<string>")
        called = len({name for name in names if name.startswith("after")})
        bench.equal("%s: functions named" % state, 100, called)
        names = Map(bench.map_path(child)).of_file("<string>")
        bench.equal("%s: functions named in a child" % state, True, "child" in names)


@case(CASES)
def locked_down_wholly(bench):
    """No way is left: one line, and the text is unchanged."""
    program = bench.write("program.py", PROGRAM)
    entry = bench.program("entry.py")
    for words, prefix in each_lock(bench, SHUT):
        command = prefix + [bench.python, program]
        refused(bench, words, bench.run(command), without_us(bench, command))
        silent = bench.run(command, bench.environment(support=None))
        bench.equal("%s: not requested" % words, bench.plain(program).seen, silent.seen)
        if words != "no-proc" and has_ctypes(bench, words, prefix):
            # The interpreter's own support may end with a fatal error.
            environment = bench.environment(support=None if bench.interpreter.native else "1")
            seen = json.loads(bench.run(prefix + [bench.python, entry], environment).out)
            bench.equal("%s: text as in the file" % words, seen["file"], seen["memory"])
    bench.equal("images", [], os.listdir(bench.images))
