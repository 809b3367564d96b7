"""PYPERF_DEBUG: the log has what a bug report needs, and the program is otherwise unchanged."""

import os
import re

from harness import LIBRARY, case
from outcome import switch_environment

CASES = []
PROGRAM = """
import os, sys
def functions(count):
    for number in range(count):
        exec("def f%d(): pass\\nf%d()" % (number, number), {})
functions(5000)
sys.activate_stack_trampoline("perf_jit")
functions(10)
sys.deactivate_stack_trampoline()
sys.stdout.flush()
child = os.fork()
if child == 0:
    functions(3)
    sys.exit(0)
print(os.waitpid(child, 0)[1])
sys.stderr.write("the program's own\\n")
"""
LINE = re.compile(r"libpyperf: (\d+) (\w+):([123]) (.+)$")
ALWAYS = set("process python plan layout detour switches profile image map jitdump".split())


def modules(bench, what, lines):
    """The parsed lines; checks that all are complete."""
    matches = [LINE.match(line) for line in lines]
    bad = [line for line, match in zip(lines, matches) if match is None]
    bench.equal("%s: other lines" % what, [], bad[:3])
    return [match for match in matches if match]


def look_at_detour(bench, found):
    """Original, relocated and patched instructions, with their bytes and as text."""
    parts = {"original": [], "relocated": [], "patched": []}
    for match in found:
        part = re.match(r"(original|relocated|patched) 0x[0-9a-f]+: ((?:[0-9a-f]{2} )+) *(\S+)", match[4])
        if match[2] == "detour" and part:
            parts[part[1]].append((part[2].split(), part[3]))
    count = {name: sum(len(code) for code, _ in part) for name, part in parts.items()}
    texts = {name: [text for _, text in part] for name, part in parts.items()}
    good = count["original"] >= 5 and count["patched"] % 5 == 0
    bench.that("detour:3: bytes", "5 or more replaced by a jump of 5", good, repr(count))
    jumps = [texts["relocated"][-1:], texts["patched"][-1:]]
    bench.equal("detour:3: ends in", [["jmp"], ["jmp"]], jumps)


@case(CASES)
def debug_log(bench):
    program = bench.write("program.py", PROGRAM)
    log = os.path.join(bench.folder, "debug.log")
    expected = (0, "0\n", "the program's own\n")
    for setting in ("all:3,file=debug.log", "all:3,file=" + log):
        done = bench.run_python(program, environment=bench.environment(PYPERF_DEBUG=setting))
        bench.equal("%s: status, output" % setting, expected, done.seen)
        with open(log) as file:
            found = modules(bench, setting, file.read().splitlines())
        os.unlink(log)
        bench.equal("%s: silent modules" % setting, set(), ALWAYS - {match[2] for match in found})
        pids = {int(match[1]) for match in found}
        bench.that("%s: processes" % setting, "2", len(pids) == 2 and done.pid in pids, repr(pids))
        look_at_detour(bench, found)


@case(CASES)
def debug_log_on_stderr(bench):
    program = bench.write("program.py", PROGRAM)
    for setting, wanted in (("profile:1,map:1", {"profile", "map"}), ("switches:1", {"switches"})):
        done = bench.run_python(program, environment=bench.environment(PYPERF_DEBUG=setting))
        lines = done.err.splitlines()
        bench.equal("%s: the program's" % setting, 1, lines.count("the program's own"))
        found = modules(bench, setting, [line for line in lines if line != "the program's own"])
        bench.equal("%s: modules" % setting, wanted, {match[2] for match in found})
        bench.equal("%s: status, stdout" % setting, (0, "0\n"), done.seen[:2])


@case(CASES)
def debug_log_of_dormant(bench):
    """Profiling off, with a toggle signal."""
    program = bench.write("program.py", "print(1)\n")
    for more, wanted in (({}, set()), ({"PYPERF_TOGGLE_SIGNAL": "RTMIN+3"}, {"toggle"})):
        if more and bench.version < (3,):
            continue  # refused: case toggle-signal-of-python-2
        environment = switch_environment(bench, PYPERF_DEBUG="all:1", **more)
        done = bench.run_python(program, environment=environment)
        found = modules(bench, "off %s" % more, done.err.splitlines())
        seen = {match[2] for match in found}
        missing = ({"process", "python", "plan", "layout", "detour", "switches"} | wanted) - seen
        bench.equal("off %s: silent modules" % more, set(), missing)
        bench.equal("off %s: status, stdout" % more, (0, "1\n"), done.seen[:2])


@case(CASES)
def debug_log_with_a_typo(bench):
    """One line that says what to write instead; nothing is logged."""
    program = bench.write("program.py", "print(1)\n")
    os.symlink("/dev/null", os.path.join(bench.folder, "link"))
    for setting, said in (
        ("detuor:3", "there is no module \"detuor\""),
        ("detour", "write detour:1, :2 or :3"),
        ("detour:7", "write detour:1, :2 or :3"),
        ("detour:1,file=/no/such", "No such file or directory"),
        ("detour:1,file=link", "Too many levels of symbolic links"),
    ):
        environment = switch_environment(bench, PYPERF_DEBUG=setting)
        done = bench.run_python(program, environment=environment)
        lines = done.err.splitlines()
        good = len(lines) == 1 and lines[0].startswith("libpyperf: PYPERF_DEBUG is not used: ")
        bench.that(setting, "one line, '...%s...'" % said, good and said in done.err, done.err)
        bench.equal("%s: status, stdout" % setting, (0, "1\n"), done.seen[:2])


@case(CASES, LIBRARY)
def debug_log_of_others(bench):
    """Nothing is logged in processes that are not Python."""
    done = bench.run(["/bin/echo", "1"], bench.environment(PYPERF_DEBUG="all:3"))
    bench.equal("status, output", (0, "1\n", ""), done.seen)
