"""The effect of the switches: which of perf's files a process has left, and the state that it
reported."""

import os
import shutil
import signal
import sysconfig

import harness

OFF, MAP, JITDUMP = "off", "map", "jitdump"
STATE = "PYPERF_TEST_STATE"
# Prints nothing: the state goes to the file that the environment names.
PROGRAM = """
import os, sys
def called(): return sys.is_stack_trampoline_active()
state = called()
with open(os.environ["PYPERF_TEST_STATE"], "a") as file:
    file.write("%d %s\\n" % (os.getpid(), state))
"""
ACTIVE = {OFF: "False", MAP: "True", JITDUMP: "True"}


def switch_environment(bench, support=None, jit=None, **more):
    more.setdefault(STATE, os.path.join(bench.folder, "state"))
    return bench.environment(support=support, PYTHON_PERF_JIT_SUPPORT=jit, **more)


def result_of(bench, pid, since=0.0):
    """The mode by the files; "map+jitdump" for both. Older files belong to an earlier process with
    that pid."""
    paths = [(MAP, bench.map_path(pid)), (JITDUMP, bench.dump_path(pid))]
    there = [(name, path) for name, path in paths if os.path.exists(path)]
    return "+".join(name for name, path in there if os.stat(path).st_mtime > since) or OFF


def states(path):
    """pid -> the value of sys.is_stack_trampoline_active() there; removes the file."""
    try:
        with open(path) as file:
            words = [line.split() for line in file]
    except FileNotFoundError:
        return {}
    os.unlink(path)
    return {int(pid): state for pid, state in words}


def look_at_outcome(bench, what, expected, done, environment):
    """One line for a row of a truth table."""
    state = states(environment[STATE]).get(done.pid)
    got = (result_of(bench, done.pid), state) + done.seen
    bench.equal(what, (expected, ACTIVE[expected], 0, "", ""), got)
    for path in bench.left(done.pid):
        harness.remove(path)


def written(support, jit):
    """The two variables in shell syntax."""
    pairs = (("PYTHONPERFSUPPORT", support), ("PYTHON_PERF_JIT_SUPPORT", jit))
    return " ".join("%s=%r" % pair for pair in pairs if pair[1] is not None) or "no variable"


def configuration(bench, *names):
    """sysconfig variables of the interpreter that is being tested."""
    code = "import sysconfig; print('\\n'.join(str(sysconfig.get_config_var(n)) for n in %r))"
    done = bench.plain("-c", code % (names,))
    if done.status != 0:
        raise harness.Skip("sysconfig does not work: %s" % done.err.strip().splitlines()[-1])
    return done.out.split("\n")[: len(names)]


def headers(bench):
    """The folder of Python.h; the case is skipped if there is none."""
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    folder = bench.plain("-c", code).out.strip()
    if not os.path.exists(os.path.join(folder, "Python.h")):
        raise harness.Skip("this interpreter's Python.h is not installed")
    return folder


def shared_library(bench):
    """The path of its libpython; the case is skipped if there is none."""
    folder, name, version = configuration(bench, "LIBDIR", "LDVERSION", "VERSION")
    name = version if name == "None" else name  # 2.7
    # Debian says /usr/lib.
    for place in (folder, "/usr/lib/%s" % configuration(bench, "MULTIARCH")[0]):
        path = os.path.join(place, "libpython%s.so" % name)
        if os.path.exists(path):
            return path
    raise harness.Skip("this interpreter has no shared library")


def compiler(bench, name):
    """For the libc of the interpreter that is being tested."""
    musl = bench.interpreter is not None and bench.interpreter.musl
    if musl and name.endswith(".cpp"):
        raise harness.Skip("Debian has no C++ library for musl")
    if musl:
        return configuration(bench, "CC")[0].split()[0]
    if name.endswith(".cpp"):
        found = os.environ.get("CXX") or "c++"
        if shutil.which(found) is None:
            raise harness.Skip("there is no C++ compiler here")
        return found
    return os.environ.get("CC") or sysconfig.get_config_var("CC").split()[0] or "cc"


def compile_program(bench, name, output, flags):
    """Compiles a program of programs/; the compiler's errors fail the case."""
    path = os.path.join(bench.folder, output)
    command = [compiler(bench, name), "-O1", "-w", "-o", path, bench.program(name)] + list(flags)
    done = bench.run(command, bench.environment(preload=False, support=None, images=False))
    if done.status != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.err))
    return path


def embedding_program(bench, source):
    """Linked with the shared library of the interpreter that is being tested."""
    include = headers(bench)
    library = shared_library(bench)
    flags = ["-I" + include, library, "-Wl,-rpath," + os.path.dirname(library), "-lpthread"]
    return compile_program(bench, source, os.path.splitext(source)[0], flags)


def first_real_time(bench):
    """Each libc keeps some for itself: musl 32 to 34 (src/signal/sigrtmin.c)."""
    return 35 if bench.interpreter.musl else signal.SIGRTMIN
