"""Each way to make a child process, with each switch: which processes are profiled, and into which
files. Forked children continue as their parents; others read the switches again. Which -X options
they get is the interpreter's decision, and is tested without libpyperf first."""

import glob
import os
import re
import time

import jitdump_parser
from harness import case
from maps import Map
from outcome import JITDUMP, MAP, OFF, result_of, switch_environment

CASES = []
FILE = "PYPERF_TEST_CHILDREN"

FORKED = (
    *("os_fork", "c_fork", "c_fork_unlocked", "double_fork", "pty_fork", "multiprocessing_fork"),
)
STARTED = (
    *("multiprocessing_spawn", "multiprocessing_forkserver", "multiprocessing_pool"),
    *("subprocess_call", "subprocess_shell", "subprocess_preexec", "os_system", "posix_spawn"),
    *("os_execv", "os_execlp", "fork_and_exec"),
)
# For these an option is also combined with a variable.
MIXED = ("os_fork", "multiprocessing_spawn", "subprocess_call", "os_execv", "fork_and_exec")
# The two variables, options, and the resulting mode.
SWITCHES = (
    ("1", None, "", MAP),
    (None, "1", "", JITDUMP),
    (None, None, "-X perf", MAP),
    (None, None, "-X perf_jit", JITDUMP),
    ("1", None, "-X perf_jit", JITDUMP),
)
# The mode when no option reaches a child.
BY_ENVIRONMENT = (MAP, JITDUMP, OFF, OFF, MAP)
OF_OPTION = {"perf": MAP, "perf_jit": JITDUMP}


class Family:
    """What the processes of one run of programs/children.py wrote about themselves."""

    def __init__(self, bench, way, words, environment):
        path = os.path.join(bench.folder, "family")
        environment = dict(environment, **{FILE: path})
        self.since = time.time() - 0.1
        self.done = bench.run(
            [bench.python] + words.split() + [bench.program("children.py"), way], environment
        )
        wait_for_helpers(self.done.pid)
        self.members = {}
        if os.path.exists(path):
            with open(path) as file:
                for line in file:
                    who, pid, active, *options = line.split()
                    self.members[who] = (int(pid), active, options)
            os.unlink(path)
        bench.pids.update(pid for pid, _, _ in self.members.values())

    @property
    def complete(self):
        return sorted(self.members) == ["child", "parent"] and self.done.status == 0


def is_running(group):
    """Whether the process group has a member that is no zombie."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                state, _, of_process = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of_process) == group and state not in "ZX":
            return True
    return False


def wait_for_helpers(group):
    """Waits: multiprocessing's own processes end after the one that started them."""
    end = time.time() + 5
    while is_running(group) and time.time() < end:
        time.sleep(0.01)


def options_that_arrive(bench, way, words, known={}):
    """The -X options of the child without libpyperf; tested once each."""
    if (bench.python, way, words) not in known:
        known[bench.python, way, words] = look_up_options(bench, way, words)
    return known[bench.python, way, words]


def look_up_options(bench, way, words):
    plain = bench.environment(preload=False, support=None, images=False)
    family = Family(bench, way, words, plain)
    if not family.complete:
        raise RuntimeError("%s without libpyperf: %s" % (way, family.done.seen))
    return family.members["child"][2]


def expected_of_child(bench, way, row, by_environment):
    words, of_parent = row[2], row[3]
    if way in FORKED:
        return of_parent
    arrived = options_that_arrive(bench, way, words) if words else []
    return OF_OPTION.get(arrived[-1] if arrived else None, by_environment)


def names_in(bench, pid, result):
    program = bench.program("children.py")
    if result == MAP:
        return set(Map(bench.map_path(pid)).of_file(program))
    if result == JITDUMP:
        loads = jitdump_parser.load(bench.dump_path(pid)).loads
        own = [one.name for one in loads if one.name.endswith(":" + program)]
        return {name[len("py::") : -len(program) - 1] for name in own}
    return set()


def python_before_exec(bench, way):
    """Whether the child runs Python code as a copy of its parent before exec."""
    forks = ("subprocess_preexec", "fork_and_exec")
    return way in forks or (way == "posix_spawn" and bench.version < (3, 8))


def both(*results):
    return "+".join(name for name in (MAP, JITDUMP) if name in results) or OFF


def look_at_way(bench, way, row, by_environment):
    support, jit, words, of_parent = row
    of_child = expected_of_child(bench, way, row, by_environment)
    family = Family(bench, way, words, switch_environment(bench, support, jit))
    switch = words or ("PYTHONPERFSUPPORT" if support else "PYTHON_PERF_JIT_SUPPORT")
    what = "%s, %s" % (way, switch if not (words and support) else switch + " over a variable")
    bench.equal("%s: status, output" % what, (0, "", ""), family.done.seen)
    if not family.complete:
        bench.equal("%s: processes" % what, ["child", "parent"], sorted(family.members))
        return
    parent, child = (family.members[who][0] for who in ("parent", "child"))
    # If one pid was two programs in succession, both have written.
    in_parents = both(of_parent, of_child) if parent == child else of_parent
    twice = parent == child or python_before_exec(bench, way)
    in_childs = both(of_parent, of_child) if twice else of_child
    got = [result_of(bench, pid, family.since) for pid in (parent, child)]
    bench.equal("%s: files of parent and child" % what, [in_parents, in_childs], got)
    active = [family.members[who][1] for who in ("parent", "child")]
    bench.equal("%s: active" % what, [str(of_parent != OFF), str(of_child != OFF)], active)
    look_at_names(bench, what, (parent, of_parent), (child, of_child))


def look_at_names(bench, what, parent, child):
    in_parents, in_childs = names_in(bench, *parent), names_in(bench, *child)
    # As in CPython, exec replaces the dump: it holds the records of the new program only.
    if child[0] != parent[0] or parent[1] != JITDUMP or child[1] != JITDUMP:
        named = "only_in_parent" in in_parents
        bench.equal("%s: the parent's own function in its file" % what, True, named)
    if child[1] != OFF:
        bench.equal("%s: the child's in its file" % what, True, "in_child" in in_childs)
    if child[0] != parent[0]:
        foreign = ["in_child" in in_parents, "only_in_parent" in in_childs]
        bench.equal("%s: either's in the other's file" % what, [False, False], foreign)


def look_at_ways(bench, ways):
    for way in ways:
        rows = SWITCHES if way in MIXED else SWITCHES[:-1]
        for row, by_environment in zip(rows, BY_ENVIRONMENT):
            look_at_way(bench, way, row, by_environment)


@case(CASES)
def children_forked(bench):
    look_at_ways(bench, FORKED)


@case(CASES)
def children_started(bench):
    look_at_ways(bench, STARTED)


SWITCHED_ON = """
import os, subprocess, sys
def before_fork(): return 1
def after_fork(): return 1
sys.activate_stack_trampoline(sys.argv[1])
before_fork()
code = "import sys; print(sys.is_stack_trampoline_active(), flush=True)"
print(subprocess.check_output([sys.executable, "-c", code]).decode().strip(), flush=True)
pid = os.fork()
if pid == 0:
    after_fork()
    print(os.getpid(), sys.is_stack_trampoline_active(), flush=True)
    sys.deactivate_stack_trampoline()
    os._exit(0)
os.waitpid(pid, 0)
print(sys.is_stack_trampoline_active(), flush=True)
"""


@case(CASES)
def children_of_sys_function(bench):
    """Profiling that the program has switched on: forked children inherit it, other children do
    not, and a child that switches off does not affect its parent."""
    program = bench.write("switched.py", SWITCHED_ON)
    for backend, result in (("perf", MAP), ("perf_jit", JITDUMP)):
        since = time.time() - 0.1
        done = bench.run_python(program, backend, environment=switch_environment(bench))
        bench.equal("%s: status, stderr" % backend, (0, ""), (done.status, done.err))
        lines = re.match(r"(\w+)\n(\d+) (\w+)\n(\w+)\n$", done.out)
        active = lines and lines.group(1, 3, 4)
        bench.equal("%s: subprocess, fork, parent" % backend, ("False", "True", "True"), active)
        child = int(lines[2])
        bench.pids.add(child)
        got = [result_of(bench, pid, since) for pid in (done.pid, child)]
        bench.equal("%s: files" % backend, [result] * 2, got)


STORM = """
import os, sys
def work(n): return n if n < 2 else work(n - 1) + work(n - 2)
def generation(depth):
    pids = []
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            space = {}
            exec("def own_%d_%d(): return 1\\nown_%d_%d()" % ((depth, number) * 2), space)
            os._exit(0 if work(8) == 21 and (depth == 0 or generation(depth - 1)) else 1)
        pids.append(pid)
    return all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
def main():
    print(generation(3))
main()
"""


@case(CASES)
def children_of_children(bench):
    """Thirty processes in four generations."""
    program = bench.write("storm.py", STORM)
    for words, kind in (("-X perf", "perf-%d.map"), ("-X perf_jit", "jit-%d.dump")):
        command = [bench.python] + words.split() + [program]
        done = bench.run(command, switch_environment(bench))
        bench.equal("%s: status, output" % words, (0, "True\n", ""), done.seen)
        images = os.listdir(bench.images)
        pids = {int(re.match(r"pyperf-(\d+)-", name)[1]) for name in images}
        bench.pids.update(pids)
        missing = [pid for pid in pids if not os.path.exists("/tmp/" + kind % pid)]
        bench.equal("%s: processes, without a file" % words, (31, []), (len(pids), missing))
        for name in images:
            os.unlink(os.path.join(bench.images, name))
