"""Switching while the program runs: which functions get names, the cost, and safety."""

import collections
import json
import re

from harness import case
from maps import Map
from outcome import switch_environment

CASES = []
SWITCHES = 100000
THREAD_SWITCHES = 10000

# The stages of programs/toggle_stages.py: active, and the names added to the map and the dump.
STAGES = (
    ("off from the start", False, None, None),
    ("on, running() is on the stack and inside() is called", True, ["inside"], None),
    ("a generator goes on", True, ["generator"], None),
    ("first()", True, ["first"], None),
    ("deactivating() calls second() when it is off", False, ["deactivating"], None),
    ("off twice; second(), third()", False, [], None),
    ("on again", True, [], None),
    ("on twice; third()", True, ["third"], None),
    ("running() again", True, ["running"], None),
    ("first() again: a name once", True, [], None),
    ("to the dump: both(), first()", True, [], ["both", "first"]),
    ("off: fourth()", False, [], []),
    ("to the map: both()", True, ["both"], []),
    ("to the dump: both() again, inside()", True, [], ["inside"]),
    ("to the map: fourth()", True, ["fourth"], []),
)


def more(before, after):
    """What was added to a file; a text if it did not only grow."""
    if before is None or after is None:
        return after
    return after[len(before) :] if after[: len(before)] == before else "not as before: %r" % after


@case(CASES)
def toggle_stages(bench):
    environment = switch_environment(bench)
    done = bench.run_python(bench.program("toggle_stages.py"), environment=environment)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    before, files = (None, None), [None, None]
    for expected, got in zip(STAGES, json.loads(done.out)):
        name, active, *names, identities = got
        news = [more(*pair) for pair in zip(before, names)]
        bench.equal(expected[0], list(expected[1:]), [active] + news)
        kept = [old is None or old == new for old, new in zip(files, identities)]
        bench.equal("%s: files as before" % expected[0], [True, True], kept)
        before, files = names, identities
    bench.equal("stages", len(STAGES), len(json.loads(done.out)))


@case(CASES)
def toggle_cost(bench):
    """A hundred thousand switches leave nothing behind, whatever runs between them."""
    program = bench.program("toggle_cost.py")
    for what, count in (
        ("nothing", SWITCHES),
        ("calls", SWITCHES),
        ("on_alone", SWITCHES),
        ("errors", SWITCHES // 4),
        ("backends", SWITCHES // 4),
    ):
        environment = switch_environment(bench)
        done = bench.run_python(program, what, str(count), environment=environment)
        bench.equal("%s: status, stderr" % what, (0, ""), (done.status, done.err))
        if done.status != 0:
            continue
        answer = json.loads(done.out)
        before, after = answer["before"], answer["after"]
        grown = after.pop("resident KiB") - before.pop("resident KiB")
        named = "%s %d times" % (what, count)
        bench.that("%s: resident KiB more" % named, "128 or less", grown <= 128, str(grown))
        # One more can be an arena of the interpreter's own, independent of the number of switches.
        mappings = after.pop("mappings") - before.pop("mappings")
        bench.that("%s: mappings more" % named, "1 or less", mappings <= 1, str(mappings))
        for held in sorted(before):
            bench.equal("%s: %s" % (named, held), before[held], after[held])


ENTRY = """
import ctypes, json, sys
LENGTH = 32
api = ctypes.pythonapi
name = "_PyEval_EvalFrameDefault" if sys.version_info > (3,) else "PyEval_EvalFrameEx"
address = ctypes.cast(getattr(api, name), ctypes.c_void_p).value
with open("/proc/self/maps") as maps: mapped = list(maps)
for line in mapped:
    fields = line.split(None, 5)
    start, end = (int(part, 16) for part in fields[0].split("-"))
    if start <= address < end: break
with open(fields[5].rstrip("\\n"), "rb") as file:
    file.seek(address - start + int(fields[2], 16))
    original = file.read(LENGTH)

def look():
    with open("/proc/self/maps") as maps: mapped = list(maps)
    rights = [line.split()[1] for line in mapped
              if int(line.split("-")[0], 16) <= address < int(line.split("-")[1].split()[0], 16)]
    same = ctypes.string_at(address, LENGTH) == original
    if sys.version_info >= (3, 9):
        get, interpreter = api._PyInterpreterState_GetEvalFrameFunc, api.PyInterpreterState_Get
        get.argtypes = [ctypes.c_void_p]
        get.restype = interpreter.restype = ctypes.c_void_p
        same = [same, get(interpreter()) == address]
    return [rights[0], same]

def called(): return 1
seen = []
for backend in ("perf", "perf_jit", "perf", "perf"):
    sys.activate_stack_trampoline(backend)
    called()
    seen.append(look())
    sys.deactivate_stack_trampoline()
    called()
    seen.append(look())
print(json.dumps(seen))
"""


@case(CASES)
def toggle_entry(bench):
    """Off: the evaluator's first bytes are those of its file, and no other evaluator is set."""
    program = bench.write("entry.py", ENTRY)
    for switches in ([], ["-X", "perf"], ["-X", "perf_jit"]):
        environment = switch_environment(bench)
        done = bench.run([bench.python] + switches + [program], environment)
        bench.equal("status, stderr", (0, ""), (done.status, done.err))
        changed = [False, False] if bench.version >= (3, 11) else [False, True]
        on, off = (changed, [True, True]) if bench.version >= (3, 9) else (False, True)
        expected = [["r-xp", on], ["r-xp", off]] * 4
        what = " ".join(["on and off four times: rights, text as in the file"] + switches)
        bench.equal(what, expected, json.loads(done.out or "null"))


@case(CASES)
def toggle_threads(bench):
    """One thread switches while seven compute."""
    program = bench.program("toggle_threads.py")
    for between in ("perf,off", "perf_jit,off", "perf,perf_jit", "perf,off,perf_jit,perf"):
        for switches in ([], ["-X", "perf"]):
            environment = switch_environment(bench)
            count = THREAD_SWITCHES if between == "perf,off" else THREAD_SWITCHES // 5
            words = [bench.python] + switches + [program, str(count), between]
            done = bench.run(words, environment)
            what = "%d switches, %s" % (count, " ".join(switches + [between]))
            bench.equal("%s: status, output" % what, (0, "right True\n", ""), done.seen)


@case(CASES)
def toggle_anywhere(bench):
    """Switched in handlers, generators, finalisers, tracers, signals, children and at exit."""
    program = bench.program("toggle_anywhere.py")
    plain = bench.plain(program, "silent")
    for switches in ([], ["-X", "perf"], ["-X", "perf_jit"]):
        done = bench.run([bench.python] + switches + [program], switch_environment(bench))
        bench.equal(" ".join(["status, output"] + switches), plain.seen, done.seen)


@case(CASES)
def toggle_late(bench):
    """Names of what was defined before profiling began."""
    program = bench.program("toggle_late.py")
    for before in ("called before", "not called before"):
        for backend in ("perf", "perf_jit"):
            environment = switch_environment(bench)
            done = bench.run_python(program, before, backend, environment=environment)
            bench.equal("status, stderr", (0, ""), (done.status, done.err))
            if backend == "perf":
                names = Map(bench.map_path(done.pid)).of_file(program)
            else:
                with open(bench.dump_path(done.pid), "rb") as file:
                    end = b":%s\0" % re.escape(program).encode()
                    found = re.findall(b"py::([^\0]+)" + end, file.read())
                names = [name.decode() for name in found]
            what = "%s, %s" % (backend, before)
            expected, got = (collections.Counter(words) for words in (done.out.split(), names))
            bench.equal("%s: qualified names missing" % what, [], sorted(expected - got))
            bench.equal("%s: names that are none" % what, [], sorted(got - expected))


THOUSAND = """
import sys
for _ in range(1000): sys.activate_stack_trampoline("perf")
def after(): return 1
after()
"""


@case(CASES)
def toggle_more_than_255(bench):
    """CPython's own raises SystemError at the 255th call."""
    done = bench.run_python("-c", THOUSAND, environment=switch_environment(bench))
    bench.equal("status, output", (0, "", ""), done.seen)
    bench.equal("names", ["after"], Map(bench.map_path(done.pid)).of_file("<string>"))
