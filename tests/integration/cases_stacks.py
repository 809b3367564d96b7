"""Complete stacks in perf and gdb: every Python function, in order, down to <module>."""

import collections
import itertools
import json
import os
import re
import subprocess

import harness
import interpreters
import perf
from harness import case

CASES = []
AT_LEAST = 0.99
SAMPLES = 300  # in hot functions, for each interpreter
SECONDS_A_PATH = "0.15"


class Expected:
    """The output of programs/stacks.py."""

    def __init__(self, out):
        answer = json.loads(out)
        self.pid, self.hot = answer["pid"], answer["hot"]
        self.left_out = answer["left_out"]
        self.paths = {tuple(chain): name for name, chain in answer["paths"].items()}
        self.roots = {chain[-1] for chain in self.paths}


def look_at_stacks(bench, expected, samples, named=""):
    """Checks the shares, and that no path is missing."""
    for name in expected.left_out:
        bench.skip(named + name, "libffi's trampolines are mapped below it, and perf 6.1 loses its stacks")
    samples = [one for one in samples if one.pid == expected.pid]
    hot = [number for number, one in enumerate(samples) if expected.hot in one.python]
    good, bad = collections.Counter(), collections.Counter()
    for number in hot:
        chain = tuple(samples[number].python)
        if chain in expected.paths:
            good[expected.paths[chain]] += 1
        else:
            bad[chain] += 1
    complete = sum(good.values())
    bench.that(named + "samples in hot()", "%d or more" % SAMPLES, len(hot) >= SAMPLES, str(len(hot)))
    bench.that(
        named + "every frame down to <module>",
        "%.0f %% or more" % (100 * AT_LEAST),
        complete >= AT_LEAST * len(hot) > 0,
        "complete %s%s" % (perf.share(complete, len(hot)), worst(bad)),
    )
    # A stack that ends below the first trampoline does not count as one of hot().
    between = samples[hot[0] : hot[-1] + 1] if hot else []
    rooted = [one for one in between if one.python and one.python[-1] in expected.roots]
    lost = collections.Counter(tuple(one.python) for one in between if one not in rooted)
    # After the leave at the end of code with frame pointers, its unwind data has the caller's rbp
    # below the stack pointer, which perf does not copy. Code without optimisation has many such
    # places.
    some = 0.05 if perf.frame_pointers(bench) != "no" else 0
    at_least = AT_LEAST - (0.1 if bench.interpreter.debug else some)
    bench.that(
        named + "any sample meanwhile reaches <module>",
        "%d %% or more" % (100 * at_least),
        len(rooted) >= at_least * len(between) > 0,
        "%s%s" % (perf.share(len(rooted), len(between)), worst(lost)),
    )
    seen = {name for name in good if good[name] >= 5}
    missing = sorted(set(expected.paths.values()) - seen)
    bench.equal(named + "paths with less than 5 complete samples", [], missing)


def worst(counter):
    if not counter:
        return ""
    chain, count = counter.most_common(1)[0]
    return "; %d times %s" % (count, " < ".join(os.path.basename(part) for part in chain) or "none")


def record_stacks(bench, options=(), **environment):
    command = [bench.python, bench.program("stacks.py"), SECONDS_A_PATH]
    done, data = perf.record(bench, command, options, **environment)
    bench.equal("status", 0, done.status)
    expected = Expected(done.out)
    bench.pids.add(expected.pid)
    return expected, data


@case(CASES, needs=("perf",))
def stacks(bench):
    """As on the command line: images in /tmp."""
    expected, data = record_stacks(bench, images=False)
    bench.equal("images in /tmp", 1, len(bench.image_paths(expected.pid)))
    look_at_stacks(bench, expected, perf.script(bench, data))


@case(CASES, needs=("perf",))
def stacks_after_deletion(bench):
    """Names from perf's build-id cache, after our files are removed."""
    expected, data = record_stacks(bench, ["--buildid-all"], images=False)
    for path in bench.left(expected.pid):
        os.unlink(path)
    bench.equal("left in /tmp", [], bench.left(expected.pid))
    look_at_stacks(bench, expected, perf.script(bench, data))


@case(CASES, needs=("perf",))
def stacks_of_other_perfs(bench):
    """An older perf, and one that unwinds with libdw instead of libunwind."""
    fetched = interpreters.fetched("perf")
    if not fetched:
        raise harness.Skip("scripts/dev/fetch-interpreters has brought none")
    for bench.perf in fetched:
        named = os.path.basename(bench.perf)
        expected, data = record_stacks(bench, images=False)
        # Otherwise an addr2line for each address takes minutes, where the interpreter has debug information.
        samples = perf.script(bench, data, ["--no-inline"])
        look_at_stacks(bench, expected, samples, named + ": ")


STARTS = 8
SHORT = """
import os, time
def hot():
    for i in range(3000): pass
def main():
    end = time.process_time() + 0.2
    while time.process_time() < end: hot()
main()
print(os.getpid())
"""


def complete_of_short(bench, program, prefix):
    done, data = perf.record(bench, prefix + [bench.python, program])
    pid = int(done.out)
    bench.pids.add(pid)
    chain = ["%s:%s" % (name, program) for name in ("hot", "main", "<module>")]
    # Without the frames in between: perf 6.1 loses the vdso and libc when setarch had them
    # elsewhere.
    hot = [one for one in perf.script(bench, data) if one.pid == pid and chain[0] in one.python]
    return sum(one.python == chain for one in hot), len(hot)


@case(CASES, needs=("perf",))
def stacks_in_any_layout(bench):
    """Mappings are at other addresses on each start."""
    program = bench.write("short.py", SHORT)
    starts = [("start %d" % number, []) for number in range(1, STARTS + 1)]
    starts.append(("fixed addresses", ["setarch", "-R"]))
    starts.append(("mapped upwards", ["sh", "-c", 'ulimit -s unlimited; exec "$@"', "sh"]))
    for what, prefix in starts:
        if prefix and bench.run(prefix + ["true"], bench.environment(preload=False)).status != 0:
            bench.skip(what, "not permitted here")
            continue
        good, total = complete_of_short(bench, program, prefix)
        got = "complete " + perf.share(good, total)
        bench.that(what, "99 % of 40 or more", total >= 40 and good >= 0.99 * total, got)

MAPPED = re.compile(r"PERF_RECORD_MMAP2? (\d+)/\d+: \[(0x[0-9a-f]+)\((0x[0-9a-f]+)\) .*\]: \S+ (.*)$", re.M)
BEFORE = ["env"] * 6
LIBC_SIZE = 16 << 20  # and more


def remembered(shown, pid):
    """What perf 6.1 takes for the mappings of a process: all that it ever had, its parent's included,
    but those that a later one covers. (start, end, name), the latest last."""
    kept = []
    for number, start, length, name in MAPPED.findall(shown):
        if int(number) != pid:
            continue
        start = int(start, 16)
        end = start + int(length, 16)
        parts = [
            part
            for low, high, old in kept
            for part in ((low, min(high, start), old), (max(low, end), high, old))
        ]
        kept = [one for one in parts if one[0] < one[1]] + [(start, end, name)]
    return kept


@case(CASES, needs=("perf",))
def stacks_after_exec(bench):
    """Where env, sh or timeout had libc is not where the program has it: perf 6.1 takes the lower one."""
    for number in range(1, 4):
        done, data = perf.record(bench, BEFORE + [bench.python, "-c", "import os; print(os.getpid())"])
        pid = int(done.out)
        bench.pids.add(pid)
        shown = bench.run(["perf", "script", "-i", data, "-F", "comm", "--show-mmap-events"]).out
        libc = [one for one in remembered(shown, pid) if re.search(r"/libc[.-][^/]*$", one[2])]
        own = libc[-1][0] - LIBC_SIZE
        what = "start %d: what is left of another libc below the program's own" % number
        bench.equal(what, [], [hex(start) for start, _, _ in libc if start < own])


@case(CASES, needs=("perf",))
def c_and_kernel_frames(bench):
    """Each function of programs/in_c.py spends its time in C; innermost first. Not in a library
    that perf itself has loaded: perf 6.1 takes its addresses before the exec for the present
    ones."""
    done, data = perf.record(bench, [bench.python, bench.program("in_c.py")])
    bench.equal("status", 0, done.status)
    samples = perf.script(bench, data)
    for function, marks in (
        ("read_zeros", (perf.KERNEL,)),
        ("query", ("libsqlite3.so", "/_sqlite3.")),
        ("digest", ("libcrypto.so", "/_hashlib.", "/_md5.")),
    ):
        names = (function, "main", "<module>")
        wanted = ["%s:%s" % (name, bench.program("in_c.py")) for name in names]
        inside = [one for one in samples if one.python and one.python[0] == wanted[0]]
        if function == "read_zeros" and not any(seen_in(one.frames, (perf.KERNEL,)) for one in samples):
            bench.skip(function, "perf may not record the kernel here")
            continue
        if function == "read_zeros" and bench.interpreter.debug:
            bench.skip(function, "a debug build fills what it allocates, and takes longer for that")
            continue
        good = [
            one
            for one in inside
            if one.python == wanted and seen_in(above(one), marks)
        ]
        expected = "%s above %s, 90 %% or more" % (marks[0], function)
        enough = len(good) >= 0.9 * len(inside) > 9
        bench.that(function, expected, enough, perf.share(len(good), len(inside)))


def above(sample):
    """The C frames below the innermost Python function."""
    return itertools.takewhile(lambda frame: frame.function is None, sample.frames)


def seen_in(frames, marks):
    return any(mark in frame.object for frame in frames for mark in marks)


@case(CASES)
def gdb_run(bench):
    """A program that gdb starts with the library in it runs to its end."""
    words = ["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]
    words += ["-ex", "set exec-wrapper env LD_PRELOAD=%s PYTHONPERFSUPPORT=1" % bench.library, "-ex", "run"]
    done = bench.run(words + ["--args", bench.python, "-c", "print(4711)"], bench.environment(preload=False, support=None))
    normally = "4711\n" in done.out and "exited normally" in done.out
    bench.that("output", "the program's, and a normal exit", normally, repr(done.out[-300:] + done.err[-300:]))


@case(CASES, needs=("gdb",))
def gdb(bench):
    process = bench.start([bench.python, bench.program("sleeping.py")])
    names = json.loads(process.stdout.readline())
    command = ["gdb", "-nx", "-batch", "-iex", "set auto-load off"]
    try:
        shown = subprocess.run(
            command + ["-iex", "set debuginfod enabled off", "-p", str(process.pid), "-ex", "bt"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=bench.environment(preload=False, support=None),
            encoding="utf-8",
            errors="backslashreplace",
            timeout=harness.TIMEOUT,
        ).stdout
    except FileNotFoundError:
        raise RuntimeError("gdb is not installed: apt-get install gdb")
    finally:
        harness.kill(process)
    if bench.interpreter.musl:  # without unwind data: gdb gets no further than its system calls
        bench.that("the first frame", "in musl", bool(re.search("^#0 .*ld-musl", shown, re.M)), repr(shown[-600:]))
        return
    frames = re.findall(r"^#\d+ .* in py::(.*?) \(", shown, re.M)
    # gdb takes names without capital letters for Ada's and shows their suffix in its form.
    frames = [re.sub(r"\[py\]$", ".py", name) for name in frames]
    bench.that("frames", repr(names), frames == names, repr(frames or shown[-600:]))
    broken = re.findall(r"Backtrace stopped.*|corrupt.*", shown)
    bench.equal("a stack that breaks off", [], broken)
