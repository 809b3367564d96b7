"""The advice below the table: what is missing from the stacks, and what to do."""

import os
import tempfile

from canned import CUT, EVALUATOR, PAGE_FAULT, START, Canned, header, py, sample, table, task
from looks import case

CASES = []
WHOLE = sample([EVALUATOR, py("f"), EVALUATOR] + START)


def cut(depth):
    return sample([EVALUATOR, py("f")] * depth + [CUT])


def look_for(look, what, parts, text, head, *options):
    advice = table(text, "--json=-", *options, head=head).advice or "none"
    look.that(what, " and ".join(parts), all(part in advice for part in parts), advice)


@case(CASES)
def larger_copies(look):
    for size, larger in ((8192, 16384), (16384, 32768), (20000, 32768), (32768, 65528)):
        parts = ["%d bytes" % size, "--stack-size %d" % larger]
        look_for(look, str(size), parts, WHOLE + cut(30), header(size))
    given = ["8192 bytes", "--stack-size 16384"]
    look_for(look, "given", given, WHOLE + cut(30), header(65528), "--stack-size", "8192")
    deep = ["65528 bytes", "do not fit", "--sampler=inside takes them whole", "--call-graph fp"]
    look_for(look, "65528, deep", deep, WHOLE + cut(200), header(65528))
    odd = sample([EVALUATOR, "[unknown] (/opt/lib/jit.so)", CUT])
    parts = ["though 65528 bytes", "jit.so", "cannot unwind"]
    look_for(look, "65528, not deep", parts, WHOLE + odd, header(65528))
    libc = sample([EVALUATOR, "[unknown] (/usr/lib/x86_64-linux-gnu/libc.so.6)"])
    parts = ["though 65528 bytes", "libc.so.6", "libc6-dbg"]
    look_for(look, "65528, in libc", parts, WHOLE + libc, header(65528))


@case(CASES)
def other_file(look):
    """The file in which stacks end differs from the recorded one."""
    there, gone = os.path.realpath(__file__), "/tmp/_MEIx/libpython3.9.so.1.0"
    for what, file, here, parts in (
        ("the same", there, "c0ffee\n", ["cannot unwind"]),
        ("changed", there, "beef\n", ["most end in " + there, "build id", "--archive"]),
        ("gone", gone, None, ["most end in " + gone, "not here", "--onedir", "--archive"]),
    ):
        with Canned(WHOLE + sample([EVALUATOR, "[unknown] (%s)" % file, CUT])) as canned:
            canned.write("ids.perf.data", "c0de /lib/libc.so.6\nc0ffee %s\n" % file)
            if here:
                canned.write("ids." + os.path.basename(file), here)
            advice = canned.run("--json=-").advice or "none"
        look.that(what, " and ".join(parts), all(part in advice for part in parts), advice)
    in_kernel = WHOLE + sample([PAGE_FAULT, CUT]) + sample([EVALUATOR, py("f")] + START)
    with Canned(in_kernel) as canned:
        canned.write("ids.perf.data", "c0ffee [kernel.kallsyms]\n")
        advice = canned.run("--json=-").advice or "none"
    look.that("no file at all", "nothing of build ids", "build id" not in advice, advice)


@case(CASES)
def from_which_share_on(look):
    enough = table(WHOLE * 99 + cut(30), "--json=-", head=header(8192))
    look.equal("99 %", (0.99, None), (enough.event["complete"], enough.advice))
    less = table(WHOLE * 98 + cut(30), head=header(8192))
    look.that("98.99 %: heading", "98.9 % complete", "98.9 % of" in less.lines[0], less.lines[0])
    # A sentence may take several lines.
    last = " ".join(less.lines[-3:])
    look.that("98.99 %: last line", "--stack-size 16384.", last.endswith("size 16384."), last)
    look.equal("nothing at 100 %", None, table(WHOLE, "--json=-").advice)


@case(CASES)
def frame_pointers(look):
    head = header(0, kind="CALLCHAIN|PERIOD", command="perf record --call-graph fp")
    broken = sample([EVALUATOR, py("f"), "_PyObject_Call (/opt/libpython3.9.so)"] + [CUT])
    parts = ["frame pointers", "libpython3.9.so", "--call-graph dwarf"]
    look_for(look, "a library without", parts, WHOLE + broken, head)
    full = sample([EVALUATOR] + [py("f")] * 126)
    parts = ["127 frames", "sysctl kernel.perf_event_max_stack=1024"]
    look_for(look, "127 frames", parts, WHOLE + full * 2, head)
    limited = header(0, kind="CALLCHAIN|PERIOD", more=", sample_max_stack = 15")
    parts = ["15 frames", "kernel.perf_event_max_stack"]
    look_for(look, "max-stack=15", parts, WHOLE + sample([py("f")] * 15), limited)
    parts = ["frame pointers", "--call-graph dwarf"]
    look_for(look, "126 frames", parts, WHOLE + sample([py("f")] * 126), head)


@case(CASES)
def other_ways(look):
    head = header(0, kind="CALLCHAIN|PERIOD|BRANCH_STACK", command="perf record --call-graph lbr")
    look_for(look, "lbr", ["lbr", "32 calls"], WHOLE + sample([py("f")] * 32), head)
    clock = sample(["[unknown] ([vdso])", CUT])
    look_for(look, "no copy of the vdso", ["[vdso]", "-N and -B"], WHOLE + clock, header(8192))
    look_for(look, "no header", ["--stack-size 65528"], WHOLE + cut(30), "")


def threads(count, seconds=0.003, first=100):
    """Threads that begin and end at once."""
    return "".join(
        task("fork", 10 + number, tid=number) + task("exit", 10 + number + seconds, tid=number)
        for number in range(first, first + count)
    )


@case(CASES)
def short_threads(look):
    """perf's timer starts with a thread: a thread that ends before its first expiry has no
    sample."""
    second = sample([EVALUATOR, py("f")] + START, period=5000000) * 200
    missed = ["1.0 s of 2.1 s of CPU time (48 %)", "300 of 301 threads and processes", "-F 1999"]
    one_seen = task("fork", 9, tid=8) + sample([py("f")] + START, tid=8, period=5000000)
    one_seen += task("exit", 11, tid=8)
    text = second + one_seen + threads(300)
    look_for(look, "threads", missed, text, header(), "--used", "0m2.0s 0m0.1s")
    odd = header(events=("cpu-clock:uppp",))
    nothing = ["none"]
    user = text.replace("cpu-clock:ppp", "cpu-clock:uppp")
    look_for(look, "user code alone", nothing, user, odd, "--used", "0m1.1s 0m1.0s")
    look_for(look, "user code, missed", ["of 2.1 s"], user, odd, "--used", "0m2.1s 0m1.0s")
    for what, used in (("enough", "0m1.1s 0m0.0s"), ("not measured", None), ("less", "0m0.1s 0m0.1s")):
        look_for(look, what, nothing, text, header(), *(["--used", used] if used else []))
    lost = ["1.0 s of 3.0 s of CPU time (33 %)", "lost", "--stack-size"]
    look_for(look, "lost", lost, second + threads(2), header(), "--used", "0m3.0s 0m0.0s")
    few = sample([EVALUATOR, py("f")] + START, period=1000000000)
    look_for(look, "one sample a second", nothing, few * 3, header(), "--used", "0m4.0s 0m0.0s")
    counted = second.replace("cpu-clock:ppp", "cycles")
    look_for(look, "no time", nothing, counted, header(events=("cycles",)), "--used", "0m9.0s 0m0.0s")
    both = ["--stack-size 16384.", "threads and processes"]
    cut_too = text + cut(30) * 50
    look_for(look, "cut, too", both, cut_too, header(8192), "--used", "0m2.0s 0m0.1s")


@case(CASES)
def no_names(look):
    c_only = sample([EVALUATOR] + START)
    other = sample(["work (/usr/bin/other)"] + START[:1], comm="other")
    look_for(look, "no interpreter", ["No Python interpreter"], other, None)
    image = "/srv/perf.data.images/pyperf-7-CE1wJv.so"
    lost = sample([EVALUATOR, "[unknown] (%s)" % image, CUT])
    look_for(look, "no image", ["missing", image, "must stay"], lost, None)
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "pyperf-7-CE1wJv.so")
        open(image, "w").close()
        lost = sample([EVALUATOR, "[unknown] (%s)" % image, CUT])
        look_for(look, "an image alone", [image, "--archive"], lost, None)


# Lines of perf script on mappings.
MAPPED = "python3  7/7  10.500000: PERF_RECORD_MMAP2 %d/%d: [0x7f0000(0x1000) @ 0 fe:00 3 4]: r-xp %s\n"
EXECUTED = "python3  7/7  10.500000: PERF_RECORD_COMM exec: python3:7/7\n"
FORKED = "python3  7/7  10.500000: PERF_RECORD_FORK(7:7):(6:6)\n"
IMAGE = "/srv/perf.data.images/1-2/pyperf-6-CE1wJv.so"


@case(CASES)
def no_functions(look):
    """How far libpyperf came in the process that ran the interpreter is what the sentence is about."""
    c_only = sample([EVALUATOR] + START) * 9
    cut_too = c_only + sample([EVALUATOR, CUT])
    library = MAPPED % (7, 7, "/opt/my lib/libpyperf.so")
    absent = ["not in it", "LD_PRELOAD"]
    silent = ["in it, but did not profile", "PYPERF_TOGGLE_SIGNAL", "-I or -E", "-X perf"]
    switched_on = ["though libpyperf was switched on"]
    for what, maps, parts in (
        ("nothing", "", absent),
        ("another process", MAPPED % (8, 8, "/opt/libpyperf.so"), absent),
        ("before an exec", library + EXECUTED, absent),
        ("after an exec", EXECUTED + library, silent),
        ("of its parent", MAPPED % (6, 6, "/opt/libpyperf.so") + FORKED, silent),
        ("switched on", library + MAPPED % (7, 7, IMAGE), switched_on),
        ("its parent was", MAPPED % (6, 6, IMAGE) + FORKED, switched_on),
        ("another was", library + MAPPED % (8, 8, IMAGE), silent),
    ):
        for text in (c_only, cut_too):
            with Canned(text, header(8192)) as canned:
                canned.write("maps", maps)
                advice = canned.run("--json=-").advice or "none"
            if text is cut_too and parts is switched_on:
                parts = ["8192 bytes"]
            kind = "cut" if text is cut_too else "whole"
            look.that("%s, %s" % (what, kind), " and ".join(parts), all(part in advice for part in parts), advice)
