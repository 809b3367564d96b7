"""System calls: a seccomp filter that permits the interpreter's own calls does not kill it because
of libpyperf. docs/services.md says why each of the others is made."""

import os

import musl
import sampler
from harness import Skip, case
from maps import Map
from outcome import compile_program, switch_environment

CASES = []
PROGRAM = """
import os, sys, threading
def functions(count, name):
    for number in range(count):
        exec("def %s%d(): pass\\n%s%d()" % (name, number, name, number), {})
def switch():
    for backend in ("perf", "perf_jit", "perf"):
        sys.activate_stack_trampoline(backend)
        functions(3, backend)
        sys.deactivate_stack_trampoline()
def main():
    functions(5000, "many")
    child = os.fork()
    functions(3, "forked")
    if child == 0:
        sys.exit(0)
    print(os.waitpid(child, 0)[1])
    if sys.argv[1] == "switches":
        switch()
    end = threading.Event()
    thread = threading.Thread(target=lambda: (functions(3, "threaded"), end.wait()))
    thread.start()
    if sys.argv[1] == "switches":
        switch()
    end.set()
    thread.join()
main()
"""
HELLO = "print(1)\n"
# The calls of libc's allocator and locks depend on timing; and exit, by which a thread ends that has been joined in
# Python, unless the process ends before.
BY_CHANCE = "brk mmap munmap mremap madvise futex sched_yield restart_syscall rt_sigreturn exit".split()
# Of a process with profiling off, as in docs/services.md; a CPython that reads or writes any file
# makes the first two itself.
DORMANT = "lseek write fcntl getpid".split()
# Of a profiled process.
PROFILED = DORMANT + (
    "gettid fallocate ftruncate fstatfs link unlink pwrite64 madvise sched_getaffinity"
).split()
# Of a process that switches while it has threads.
SWITCHED = PROFILED + ["membarrier"]

# Of a process that is sampled from inside.
SAMPLED = DORMANT + (
    "timer_create timer_settime timer_delete clock_gettime clock_getres uname gettid getppid"
    " fallocate ftruncate fstatfs getdents64"
).split()


class Calls:
    """Records system calls by programs/system_calls.c, or permits some."""

    def __init__(self, bench):
        self.bench = bench
        self.path = compile_program(bench, "system_calls.c", "system_calls", [])

    def of(self, name, command, environment):
        path = os.path.join(self.bench.folder, name)
        done = self.bench.run([self.path, "record", path, "--"] + command, environment)
        if done.status == 99:
            raise Skip("system calls cannot be traced here: %s" % done.err.strip())
        with open(path) as file:
            return path, set(file.read().split()), done

    def permit(self, path, names, command, environment):
        words = [self.path, "permit", path] + names + ["--"]
        return self.bench.run(words + command, environment)


def look(bench, calls, what, command, environment, permitted):
    if bench.interpreter.musl:
        permitted = permitted + musl.CALLS
    plain = bench.environment(preload=False, support=None, images=False)
    path, own, expected = calls.of("own", command[:-1] + ["plain"], plain)
    named = "%s: system calls beside the interpreter's own" % what
    _, ours, _ = calls.of("ours", command, environment)
    allowed = set(permitted + BY_CHANCE)
    bench.equal(named, [], sorted(ours - own - allowed))
    done = calls.permit(path, permitted + BY_CHANCE, command, environment)
    bench.equal("%s: status, output" % what, expected.seen, done.seen)
    return done


@case(CASES)
def system_calls_of_dormant(bench):
    calls = Calls(bench)
    for name, text in (("hello.py", HELLO), ("program.py", PROGRAM)):
        command = [bench.python, bench.write(name, text), "dormant"]
        for what, more in (
            ("off", {}),
            ("a signal", {"PYPERF_TOGGLE_SIGNAL": "RTMIN+3"}),
        ):
            if more and bench.version < (3,):
                continue  # refused: case toggle-signal-of-python-2
            environment = bench.environment(support=None, **more)
            look(bench, calls, "%s, %s" % (name, what), command, environment, DORMANT)


@case(CASES)
def system_calls_of_profiled(bench):
    calls = Calls(bench)
    command = [bench.python, bench.write("program.py", PROGRAM), "profiled"]
    for what, environment in (
        ("map", bench.environment()),
        ("jitdump", switch_environment(bench, jit="1")),
    ):
        done = look(bench, calls, what, command, environment, PROFILED)
        if what == "map":
            names = Map(bench.map_path(done.pid)).of_file("<string>")
            many = len({name for name in names if name.startswith("many")})
            bench.equal("%s: functions named" % what, 5000, many)


@case(CASES)
def system_calls_of_switches(bench):
    calls = Calls(bench)
    command = [bench.python, bench.write("program.py", PROGRAM), "switches"]
    look(bench, calls, "switches", command, switch_environment(bench), SWITCHED)


@case(CASES)
def system_calls_of_sampled(bench):
    calls = Calls(bench)
    command = [bench.python, bench.write("program.py", PROGRAM), "sampled"]
    permitted = SAMPLED + (musl.SAMPLER_CALLS if bench.interpreter.musl else [])
    for how in ("997", "997:threads"):
        sampler.remove(bench)
        look(bench, calls, how, command, sampler.environment(bench, how), permitted)
        count = sampler.total(sampler.profile(bench).records())
        bench.that(how + ": samples", "20 or more", count >= 20, str(count))
