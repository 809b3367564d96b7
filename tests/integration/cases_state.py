"""The state of profiling: a switch is complete or has no effect, an error does not outlast its
cause, and no two processes or interpreters use the same trampolines."""

import collections
import json

import jitdump_parser
import musl
from harness import NATIVE, Skip, case
from maps import Map, look_at_form

CASES = []
ROUNDS = 40
FUNCTIONS = 500
JITDUMP, MAP = "perf_jit", "perf"


def load_names(bench, pid):
    """The names in the records of a jitdump."""
    dump = jitdump_parser.load(bench.dump_path(pid))
    indices = [one.index for one in dump.loads]
    names = [one.name[len("py::") :].rsplit(":", 1)[0] for one in dump.loads]
    return names, indices == list(range(len(indices)))


def names_of(bench, pid, mode):
    if mode == JITDUMP:
        return load_names(bench, pid)[0]
    return [name.rsplit(":", 1)[0] for name in Map(bench.map_path(pid)).names]


def repeated(names):
    """Names of the functions that a program has made for this: others may occur twice."""
    counts = collections.Counter(names)
    return sorted(name for name in counts if counts[name] > 1 and name[-1:].isdigit())


def numbered(name, count):
    return ["%s_%d" % (name, number) for number in range(count)]


def missing(expected, names):
    return sorted(set(expected) - set(names))[:5]


class Switching:
    """The errors of all rounds; each round is a process."""

    def __init__(self, bench, modes):
        self.bench, self.wrong = bench, collections.defaultdict(list)
        for number in range(ROUNDS):
            self.look(number, modes)
        for what in ("status", "images", "dump", "missing", "twice"):
            bench.equal("%s, %d rounds: %s" % (" ".join(modes), ROUNDS, what), [], self.wrong[what])

    def look(self, number, modes):
        bench = self.bench
        words = ["-W", "ignore", bench.program("switching.py"), str(FUNCTIONS)] + list(modes)
        done = bench.run_python(*words)
        if done.status != 0 or done.err != "":
            self.wrong["status"].append((number, done.status, done.err[-200:]))
            return
        images = bench.image_paths(done.pid, bench.images)
        if len(images) != 2:
            self.wrong["images"].append((number, len(images)))
        try:
            dumped, in_order = load_names(bench, done.pid)
        except jitdump_parser.Damaged as why:
            self.wrong["dump"].append((number, str(why)))
            return
        if not in_order:
            self.wrong["dump"].append((number, "indices"))
        mapped = names_of(bench, done.pid, MAP)
        last = dumped if modes[-1] == JITDUMP else mapped
        lost = missing(json.loads(done.out), last)
        lost += missing(numbered("new_sub", FUNCTIONS), dumped + mapped)
        if lost:
            self.wrong["missing"].append((number, lost[:3]))
        twice = repeated(dumped) + repeated(mapped)
        if twice:
            self.wrong["twice"].append((number, twice[:3]))


@case(CASES, NATIVE)
def switched_among_interpreters(bench):
    """One interpreter switches while another, with its own lock, registers functions."""
    Switching(bench, [JITDUMP])
    Switching(bench, [JITDUMP, MAP, JITDUMP, MAP])


@case(CASES)
def switched_in_vain(bench):
    """Without memory for another image, profiling stays on as it was."""
    done = bench.run_python(bench.program("wanting.py"), "memory", MAP)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    seen = json.loads(done.out)
    error = seen.pop("error")
    bench.that("error", "address space", "address space" in str(error), str(error))
    bench.equal("active", dict(active=True, then=True, last=True), seen)
    mapped = names_of(bench, done.pid, MAP)
    for name in ("before", "between", "after", "again"):
        bench.equal("%s, not in the map" % name, [], missing(numbered(name, 10), mapped))
    dumped = names_of(bench, done.pid, JITDUMP)
    bench.equal("not in the dump", [], missing(numbered("dumped", 10), dumped))
    bench.equal("more than once", [], repeated(mapped) + repeated(dumped))
    bench.equal("images", 2, len(bench.image_paths(done.pid, bench.images)))


@case(CASES)
def descriptors_used_up(bench):
    """Functions that were called without free descriptors are in the files later."""
    for mode in (MAP, JITDUMP):
        variable = "PYTHONPERFSUPPORT" if mode == MAP else "PYTHON_PERF_JIT_SUPPORT"
        environment = bench.environment(support=None, **{variable: "1"})
        program = bench.program("wanting.py")
        done = bench.run_python(program, "descriptors", mode, environment=environment)
        lines = done.err.splitlines()
        bench.equal("%s: status" % mode, 0, done.status)
        # One line for the file, one if the image had to grow at that time, and the same for a child
        # that has called functions before it had descriptors (os.register_at_fork).
        said = 1 <= len(lines) <= 4 and all(any(word in line for word in musl.NO_DESCRIPTORS) for line in lines)
        bench.that("%s: stderr" % mode, "up to four lines", said, done.err)
        seen = json.loads(done.out)
        child = seen.pop("child")
        bench.pids.add(child)
        bench.equal("%s: seen" % mode, dict(error=24, active=True), seen)
        names = names_of(bench, done.pid, mode)
        for name, count in (("before", 10), ("between", 200), ("after", 10), ("again", 10)):
            expected = numbered(name, count)
            bench.equal("%s: %s, missing" % (mode, name), [], missing(expected, names))
        bench.equal("%s: more than once" % mode, [], repeated(names))
        names = names_of(bench, child, mode)
        bench.equal("%s: child, missing" % mode, [], missing(numbered("child", 10), names))


@case(CASES)
def forked_by_system_call(bench):
    """Both processes go on, and neither writes to the other's files."""
    if bench.plain("-c", "import ctypes").status != 0:
        raise Skip("this interpreter has no ctypes")
    for how in ("syscall", "_Fork"):
        if how == "_Fork" and bench.plain("-c", "import ctypes; ctypes.PyDLL(None)._Fork").status != 0:
            bench.skip(how, "not in this libc (glibc has it from 2.34 on)")
            continue
        done = bench.run_python(bench.program("cloned.py"), how)
        bench.equal("%s: stderr" % how, (0, ""), (done.status, done.err))
        child, status = [int(word) for word in done.out.split()]
        bench.pids.add(child)
        bench.equal("%s: status of the child" % how, 0, status)
        for pid, own, others in ((done.pid, "parent", "child"), (child, "child", "parent")):
            map_file = Map(bench.map_path(pid))
            look_at_form(bench, map_file)
            names = map_file.of_file("new.py")
            where = "%s: map of the %s" % (how, own)
            bench.equal("%s, missing" % where, [], missing(numbered(own, 100), names))
            foreign = [name for name in names if name.startswith(others)]
            bench.equal("%s, the other's" % where, [], foreign[:5])
            images = bench.image_paths(pid, bench.images)
            bench.equal("%s: images of the %s" % (how, own), 1, len(images))
            with open(images[0], "rb") as image:
                text = image.read()
            foreign = [name for name in numbered(others, 100) if name.encode() in text]
            bench.equal("%s: in the image of the %s, the other's" % (how, own), [], foreign[:5])
        last = Map(bench.map_path(done.pid)).of_file("new.py")
        bench.equal("%s: behind the child's end" % how, True, "last" in last)
