"""/tmp/jit-PID.dump, read by jitdump_parser.py and by perf inject."""

import collections
import json
import os
import random
import re
import stat
import time

import cases_stacks
import harness
import jitdump_parser
import perf
from harness import case
from outcome import switch_environment

CASES = []
MACHINES = {"x86_64": 62, "aarch64": 183}  # MACHINES[os.uname().machine], EM_AARCH64
# A hundred kills take twenty seconds: for one interpreter, or for all with this variable.
ALL_KILLS = "PYPERF_TEST_ALL_KILLS"
KILLS, FEW_KILLS, SEED = 100, 15, 20231002

LOOK = """
import json, os, sys, time
def called(): return 1
class Class:
    def method(self): return called()
def between():
    for _ in range(50):
        Class().method()
        exec("def again(): return 1\\nagain()", {})
start = time.monotonic()
between()
path = "/tmp/jit-%d.dump" % os.getpid()
with open("/proc/self/maps") as maps: lines = list(maps)
mapped = [line.split(None, 5) for line in lines if path in line]
text = [line.split()[0] for line in lines if "pyperf-" in line and " r-xp " in line]
numbers = ["/proc/self/fd/" + number for number in os.listdir("/proc/self/fd")]
held = [os.readlink(number) for number in numbers if os.path.exists(number)].count(path)
times = {"start": start, "end": time.monotonic()}
print(json.dumps(dict(times, marker=mapped, text=text, held=held)))
"""


def run_with_jitdump(bench, *words, **more):
    return bench.run_python("-X", "perf_jit", *words, environment=switch_environment(bench), **more)


@case(CASES)
def jitdump_header(bench):
    done = run_with_jitdump(bench, "-c", LOOK)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    answer = json.loads(done.out)
    path = bench.dump_path(done.pid)
    dump = jitdump_parser.load(path)
    header = dump.header
    bench.equal("magic", 0x4A695444, header.magic)
    bench.equal("bytes of the magic", b"DTiJ", dump.data[:4])
    fields = (header.version, header.size, header.machine, header.padding, header.pid, header.flags)
    expected = (1, 40, MACHINES[os.uname().machine], 0, done.pid, 0)
    bench.equal("version, size, machine, padding, pid, flags", expected, fields)
    bench.equal("mode", "0600", "%04o" % stat.S_IMODE(os.stat(path).st_mode))
    bench.equal("descriptors of it", 0, answer["held"])
    page = os.sysconf("SC_PAGE_SIZE")
    marker = [(line[1], int(line[2], 16), extent(line[0])) for line in answer["marker"]]
    bench.equal("marker: rights, offset, length", [("r-xp", 0, page)], marker)
    bench.equal("a map", False, os.path.exists(bench.map_path(done.pid)))


def extent(range_text):
    start, end = (int(part, 16) for part in range_text.split("-"))
    return end - start


@case(CASES)
def jitdump_records(bench):
    done = run_with_jitdump(bench, "-c", LOOK)
    answer, dump = json.loads(done.out), jitdump_parser.load(bench.dump_path(done.pid))
    kinds = [record.kind for record in dump.records]
    pairs = [jitdump_parser.UNWINDING_INFO, jitdump_parser.LOAD] * (len(kinds) // 2)
    bench.that("records", "100 or more", len(kinds) >= 100, str(len(kinds)))
    bench.equal("unwinding before load, each time", True, kinds == pairs)
    look_at_loads(bench, dump, done.pid)
    look_at_clock(bench, dump, answer)
    names = [one.name for one in dump.loads]
    for name in ("called", "Class", "Class.method", "between"):
        bench.equal("records of %s" % name, 1, names.count("py::%s:<string>" % name))
    bench.equal("records of again, compiled 50 times", 1, names.count("py::again:<string>"))
    regions = [tuple(int(part, 16) for part in one.split("-")) for one in answer["text"]]
    inside = [one for one in dump.loads if any(low <= one.address < high for low, high in regions)]
    bench.equal("addresses outside the trampolines", 0, len(dump.loads) - len(inside))


def look_at_loads(bench, dump, pid):
    loads, unwindings = dump.loads, [one for one in dump.records if one not in dump.loads]
    bench.equal("pid of the records", {pid}, {one.pid for one in loads})
    bench.equal("indexes", list(range(len(loads))), [one.index for one in loads])
    bench.equal("vma is the address", [], [one.name for one in loads if one.vma != one.address][:3])
    bench.equal("bytes of code used twice", 0, len(loads) - len({one.code for one in loads}))
    strange = [one.name for one in loads if not re.match("py::.+:.+$", one.name)]
    bench.equal("names that are none", [], strange[:3])
    placed = sorted(
        (one.address, -(-one.code_size // 8) * 8 + info.mapped_size)
        for info, one in zip(unwindings, loads)
    )
    close = [hex(low) for (low, size), (high, _) in zip(placed, placed[1:]) if low + size > high]
    bench.equal("code and unwind data that would overlap the next", [], close[:3])
    # .eh_frame_hdr is at the end and has version 1 (LSB, 10.6.2).
    wrong = [one for one in unwindings if one.unwinding[-one.header_size :][:1] != b"\1"]
    bench.equal("unwinding info without .eh_frame_hdr at its end", 0, len(wrong))


def look_at_clock(bench, dump, answer):
    times = [dump.header.timestamp] + [one.timestamp for one in dump.records]
    bench.equal("timestamps in order", True, times == sorted(times))
    by_name = {one.name: one.timestamp for one in dump.loads}
    seen = by_name["py::Class.method:<string>"] / 1e9
    good = answer["start"] <= seen <= answer["end"]
    got = "%r <= %r <= %r" % (answer["start"], seen, answer["end"])
    bench.that("clock", "CLOCK_MONOTONIC", good, got)


MEANWHILE = """
import sys
sys.path.insert(0, sys.argv[1])
import jitdump_parser, os
path, seen = "/tmp/jit-%d.dump" % os.getpid(), []
def names():
    dump = jitdump_parser.load(path)
    return [one.name for one in dump.loads]
for number in range(200):
    space = {"names": names}
    text = "def new_%d(): return 'py::new_%d:<string>' in names()\\nseen = new_%d()"
    exec(text % ((number,) * 3), space)
    seen.append(space["seen"])
print(seen.count(True))
"""


@case(CASES)
def jitdump_before_it_runs(bench):
    """Each function reads its own record in the dump when it runs for the first time."""
    done = run_with_jitdump(bench, "-c", MEANWHILE, harness.HERE)
    bench.equal("found their own", (0, "200\n", ""), done.seen)


def record_stacks(bench):
    program = [bench.program("stacks.py"), cases_stacks.SECONDS_A_PATH]
    words = [bench.python, "-X", "perf_jit"] + program
    done, data = perf.record(bench, words, ["-k", "1"], support=None, images=False)
    bench.equal("status", 0, done.status)
    expected = cases_stacks.Expected(done.out)
    bench.pids.add(expected.pid)
    injected = os.path.join(bench.folder, "perf.jit.data")
    command = ["perf", "inject", "--jit", "-i", data, "-o", injected]
    plain = bench.environment(preload=False, support=None, images=False)
    bench.equal("perf inject: status", 0, bench.run(command, plain).status)
    return expected, injected


@case(CASES, needs=("perf",))
def jitdump_stacks(bench):
    """As in CPython's documentation of perf_jit: perf record -k 1, perf inject --jit."""
    version = bench.run(["perf", "version"], bench.environment(preload=False, support=None)).out
    if version.startswith("perf version 5."):
        raise harness.Skip("%s does not unwind through the files of perf inject" % version.strip())
    expected, data = record_stacks(bench)
    samples = [one for one in perf.script(bench, data) if one.pid == expected.pid]
    cases_stacks.look_at_stacks(bench, expected, samples)
    objects = collections.Counter(
        re.sub(r"-\d+", "-N", os.path.basename(frame.object))
        for one in samples
        for frame in one.frames
        if frame.function
    )
    inside, whole = objects["jitted-N-N.so"], sum(objects.values())
    got = "%s; %s" % (perf.share(inside, whole), dict(objects))
    enough = inside >= 0.99 * whole > 0
    bench.that("Python frames in the files of perf inject", "99 % or more", enough, got)
    loads = jitdump_parser.load(bench.dump_path(expected.pid)).loads
    files = [path for path in bench.left(expected.pid) if "/jitted-" in path]
    bench.equal("files of perf inject", len(loads), len(files))


def kill_once(bench, delay):
    """Errors in a dump whose writer was killed after that time; and how far it got."""
    progress = os.path.join(bench.folder, "progress")
    harness.remove(progress)
    words = [bench.python, "-X", "perf_jit", bench.program("progress.py"), progress]
    process = bench.start(words, switch_environment(bench))
    time.sleep(delay)
    done = harness.kill(process)
    written = []
    if os.path.exists(progress):
        with open(progress) as file:
            written = file.read().split()
    problems = [] if (done.status, done.err) == (-9, "") else [str(done.seen)]
    names = []
    if os.path.exists(bench.dump_path(done.pid)):
        try:
            dump = jitdump_parser.load(bench.dump_path(done.pid))
            names = [re.sub(r":progress-\d\.py$", "", one.name) for one in dump.loads]
        except jitdump_parser.Damaged as error:
            # Killed between open and the header: the file is empty.
            size = os.path.getsize(bench.dump_path(done.pid))
            if size > 0:
                problems.append("after %.4f s: %s, of %d bytes" % (delay, error, size))
                written = []
    missing = {"py::" + name for name in written} - set(names)
    problems += ["after %.4f s: %s is missing" % (delay, name) for name in sorted(missing)[:3]]
    for path in bench.left(done.pid):
        harness.remove(path)
    return problems, len(written), len(names)


def kills(bench):
    everywhere = os.environ.get(ALL_KILLS, "0") not in ("", "0")
    chosen = bench.version == (3, 11) and bench.interpreter.kind == "shared"
    return KILLS if everywhere or chosen else FEW_KILLS


@case(CASES)
def jitdump_of_killed_process(bench):
    """SIGKILL at a random moment, its start included."""
    moments, problems, functions, empty = random.Random(SEED), [], 0, 0
    for _ in range(kills(bench)):
        found, called, recorded = kill_once(bench, moments.uniform(0.0, 0.25))
        problems += found
        functions += called
        empty += recorded == 0
    named = "%d kills" % kills(bench)
    bench.equal("%s: damaged dumps and functions missing" % named, [], problems[:5])
    bench.that("%s: functions called" % named, "1000 or more", functions >= 1000, str(functions))
    few = 2 * empty < kills(bench)
    bench.that("%s: before the first record" % named, "less than half", few, str(empty))


LAST = """
import os, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def last(): %s
last()
"""


@case(CASES)
def jitdump_of_exited_process(bench):
    """The last record is in the file after os._exit, a signal, an abort and an exception."""
    for what, words, status in (
        ("os._exit", "os._exit(5)", 5),
        ("SIGTERM", "os.kill(os.getpid(), 15)", -15),
        ("abort", "os.abort()", -6),
        ("exception", "1 / 0", 1),
        ("exec", "os.execv('/bin/true', ['true'])", 0),
    ):
        done = run_with_jitdump(bench, "-c", LAST % words)
        names = [one.name for one in jitdump_parser.load(bench.dump_path(done.pid)).loads]
        found = names.count("py::last:<string>")
        bench.equal("%s: status, the last function" % what, (status, 1), (done.status, found))


OWN = {
    "parent": {"in_parent", "parent_hot", "only_before"},
    "child": {"in_child", "child_hot"},
    "grandchild": {"in_grandchild", "grandchild_hot"},
}


@case(CASES)
def jitdump_of_forked_processes(bench):
    """Each process has its own dump, and no record is in two of them."""
    program = bench.program("forks.py")
    for how in ("os", "c"):
        done = run_with_jitdump(bench, program, how, "0.01")
        bench.equal("%s: status, stderr" % how, (0, ""), (done.status, done.err))
        family = json.loads(done.out)
        bench.pids.update(family.values())
        dumps = {who: jitdump_parser.load(bench.dump_path(pid)) for who, pid in family.items()}
        codes = collections.Counter()
        for who, dump in dumps.items():
            pids = {dump.header.pid} | {one.pid for one in dump.loads}
            bench.equal("%s: pids in the dump of the %s" % (how, who), {family[who]}, pids)
            own = [one.name for one in dump.loads if one.name.endswith(":" + program)]
            names = {name[len("py::") : -len(program) - 1] for name in own}
            bench.equal("%s: the %s's own missing" % (how, who), [], sorted(OWN[who] - names))
            others = set().union(*(OWN[other] for other in OWN if other != who))
            what = "%s: others' in the dump of the %s" % (how, who)
            bench.equal(what, [], sorted(others & names))
            codes.update(one.code for one in dump.loads)
        bench.equal("%s: records in two dumps" % how, 0, sum(codes.values()) - len(codes))
