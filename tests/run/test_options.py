#!/usr/bin/env python3
"""scripts/pyperf-run's options: which options perf gets, and which are refused. One line for each
check; the exit status is 1 if any failed. No perf is needed."""

import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True

from canned import EVALUATOR, RUN, START, Canned, header, py, sample
from looks import ROOT, case, main

CASES = []
TEXT = sample([EVALUATOR, py("f")] + START)


def recorded_with(canned, *options):
    """The arguments of perf record, and the outcome of pyperf-run."""
    canned.write("commands", "")
    seen = canned.pyperf_run(*options, "true")
    lines = [line.split() for line in canned.read("commands").splitlines() if " record -o " in line]
    return (lines[0] if lines else []), seen


def value_of(words, option):
    return words[words.index(option) + 1] if option in words else None


@case(CASES)
def numbers(look):
    """Decimal, with any number of leading zeros."""
    with Canned(TEXT) as canned:
        for options, name, expected in (
            (["--stack-size", "8192"], "--call-graph", "dwarf,8192"),
            (["--stack-size", "08192"], "--call-graph", "dwarf,8192"),
            (["--stack-size=010000"], "--call-graph", "dwarf,10000"),
            (["--stack-size", "0000065528"], "--call-graph", "dwarf,65528"),
            (["--stack-size", "8190"], "--call-graph", "dwarf,8192"),
            (["--stack-size", "1"], "--call-graph", "dwarf,8"),
            (["--call-graph", "dwarf,08192"], "--call-graph", "dwarf,8192"),
            (["--call-graph=dwarf,8192"], "--call-graph", "dwarf,8192"),
            (["-F", "0199"], "-F", "199"),
            (["-F09"], "-F", "9"),
            (["--freq=max"], "-F", "max"),
        ):
            words, seen = recorded_with(canned, *options)
            got = (seen.status, value_of(words, name))
            look.equal(" ".join(options), (0, expected), got)
        two = TEXT + sample([EVALUATOR, py("g")] + START)
        canned.write("text", two)
        for number, rows in (("1", 1), ("01", 1), ("08", 2), ("0", 2), ("00", 2)):
            seen = canned.pyperf_run("--top", number, "true")
            got = sum("/srv/app.py" in line for line in seen.err.splitlines())
            look.equal("--top %s: rows" % number, rows, got)


@case(CASES)
def frequencies(look):
    """Small samples are taken more often."""
    with Canned(TEXT) as canned:
        for options, expected in (
            ([], "199"),
            (["--call-graph", "fp"], "499"),
            (["--call-graph", "dwarf"], "199"),
            (["--call-graph", "fp", "-F", "99"], "99"),
            (["-c", "1000", "--"], None),
        ):
            words, _ = recorded_with(canned, *options)
            look.equal(" ".join(options) or "no option", expected, value_of(words, "-F"))


@case(CASES)
def events(look):
    """Several add up."""
    with Canned(TEXT) as canned:
        for options, expected in (([], None), (["-e", "cycles"], "cycles"), (["-ecycles", "--event=faults"], "cycles,faults")):
            words, _ = recorded_with(canned, *options)
            look.equal(" ".join(options) or "no option", expected, value_of(words, "-e"))


@case(CASES)
def no_numbers(look):
    with Canned(TEXT) as canned:
        for option, values in (
            ("--stack-size", ("0", "000", "-8", "+8", "8k", "0x2000", "65529", "9" * 20, "8 ", "1e3")),
            ("--call-graph", ("dwarf,", "dwarf,x", "dwarf,0", "dwarf,65536", "dwarf,0x20", "dwarf,8,8")),
            ("--call-graph", ("frames", "dwarf 8192", "FP")),
            ("--freq", ("0", "00", "-1", "often", "1.5", "1 2", "0x10")),
            ("--top", ("-1", "all", "1.5", "0x1", " 1")),
        ):
            for value in values:
                words, seen = recorded_with(canned, option, value)
                got = (seen.status, seen.out, seen.err.count("\n"), words)
                look.equal("%s %r: status, stdout, lines, perf" % (option, value), (2, "", 1, []), got)
                said = "pyperf-run: %s %s: " % (option, value)
                look.that("%s %r: says" % (option, value), said, seen.err.startswith(said), repr(seen.err))


@case(CASES)
def json_of_its_own(look):
    """The output is complete and alone in its file, whatever the program prints."""
    noise = ["sh", "-c", "echo out; echo '{' >&2; exit 3"]
    with Canned(TEXT) as canned:
        out = canned.path("work/out.json")
        for options in (["--json", "out.json"], ["-q", "--json=out.json"]):
            seen = canned.pyperf_run(*options, *noise)
            what = " ".join(options)
            with open(out) as file:
                look.equal(what, ["f"], [one["name"] for one in event(file)["functions"]])
            look.equal("%s: the program's" % what, (3, "out\n"), (seen.status, seen.out))
            table = "/srv/app.py" in seen.err
            look.equal("%s: a table on stderr" % what, "-q" not in options, table)
            os.unlink(out)
        for path in ("/dev/fd/%d", "/proc/self/fd/%d"):
            with open(out, "w+") as file:
                canned.pyperf_run("--json", path % file.fileno(), *noise, pass_fds=[file.fileno()])
                file.seek(0)
                look.equal(path, ["f"], [one["name"] for one in event(file)["functions"]])
        seen = canned.pyperf_run("--report", canned.data, "--json", "-")
        look.equal("--report --json -", "f", seen.event["functions"][0]["name"])
        for where, status, said in (
            ("-", 2, "belongs to the program"),
            ("none/out.json", 1, "none/out.json: there is no such directory"),
            (".", 1, ".: is a directory"),
        ):
            words, seen = recorded_with(canned, "--json", where)
            got = (seen.status, seen.err.count("\n"), words)
            look.equal("--json %s: status, lines, perf" % where, (status, 1, []), got)
            look.that("--json %s: says" % where, said, said in seen.err, repr(seen.err))


@case(CASES)
def time_used(look):
    """Of the program and those that it has waited for, in the kernel's ticks of 10 ms. -E, since the perf support
    of 3.12 and later would leave maps in /tmp."""
    busy = "import time\nwhile time.process_time() < %s: pass"
    half, quarter = (["-c", busy % seconds] for seconds in (0.5, 0.25))
    children = "import subprocess, sys; subprocess.run([sys.executable, '-E'] + %r)" % quarter
    with Canned(TEXT) as canned:
        for what, words, seconds in (
            ("busy", half, 0.5),
            ("a child", ["-c", children], 0.25),
            ("waiting", ["-c", "import time; time.sleep(1)"], 0),
        ):
            canned.pyperf_run("-q", "--json", "out.json", "--", sys.executable, "-E", *words)
            with open(canned.path("work/out.json")) as file:
                used = json.load(file)["cpu_seconds"]
            look.that(what, "%s s and some" % seconds, -0.02 <= used - seconds < 0.6, str(used))


@case(CASES)
def units_in_json(look):
    events = ("cpu-clock:ppp", "task-clock", "page-faults", "cycles")
    text = "".join(sample([py("f")] + START, event=name, period=1500000) for name in events)
    with Canned(text, header(events=events)) as canned:
        seen = canned.pyperf_run("--report", canned.data, "--json=-")
        got = [(one["unit"], one["functions"][0]["own"]) for one in json.loads(seen.out)["events"]]
    times = [("ns", 1500000)] * 2
    look.equal("units", times + [("count", 1500000)] * 2, got)


@case(CASES)
def archives(look):
    """An archive's needs are checked before the run; --report also reads archives."""
    with Canned(TEXT) as canned:
        os.makedirs(canned.path("work/none.tar.bz2"))
        for name, said in (
            ("x.tar", "must end in .tar.bz2"),
            ("none/x.tar.bz2", "cannot write to"),
            ("none.tar.bz2", "is a directory"),
        ):
            words, seen = recorded_with(canned, "--archive", name)
            got = (seen.status, seen.err.count("\n"), words, said in seen.err)
            look.equal("--archive %s: status, lines, perf" % name, (1, 1, [], True), got)
        tools = canned.path("tools")
        os.mkdir(tools)
        for tool in os.listdir("/usr/bin"):
            if tool not in ("bzip2", "perf"):
                os.symlink("/usr/bin/" + tool, os.path.join(tools, tool))
        environment = {"PATH": canned.path("bin") + ":" + tools}
        seen = canned.pyperf_run("--archive", "x.tar.bz2", "true", **environment)
        expected = (1, "pyperf-run: bzip2 is not installed: apt-get install bzip2\n")
        look.equal("no bzip2: status, stderr", expected, (seen.status, seen.err))
        top = canned.path("work/a b")
        os.makedirs(top + "/debug/.build-id")
        os.makedirs(top + "/files")
        open(top + "/kallsyms", "w").close()
        os.link(canned.data, top + "/perf.data")
        subprocess.run(["tar", "-cjf", "a b.tar.bz2", "./a b"], cwd=canned.path("work"), check=True)
        for report in (top + "/perf.data", top, "a b.tar.bz2"):
            canned.write("commands", "")
            seen = canned.pyperf_run("--report", report, "--collapsed", "folded")
            look.equal("--report %s: rows" % report, 1, seen.out.count("/srv/app.py"))
            asked = [one for one in canned.read("commands").splitlines() if " script -i " in one]
            good = len(asked) == 1 and all(
                re.search(r" %s \S*a b/%s( |$)" % pair, asked[0])
                for pair in (("--buildid-dir", "debug"), ("--symfs", "files"), ("--kallsyms", "kallsyms"))
            )
            look.that("--report %s: perf is asked for" % report, "its files", good, repr(asked))
        left = [name for name in os.listdir(canned.folder) if name.startswith("pyperf-")]
        look.equal("left in TMPDIR", [], left)
        seen = canned.pyperf_run("--report", canned.write("work/bad.tar.bz2", "x"))
        look.equal("no archive: status, lines", (1, 1), (seen.status, seen.err.count("\n")))


@case(CASES)
def told_by_perf(look):
    """What perf record says is passed on, without its chatter."""
    with Canned(TEXT) as canned:
        canned.write("told", "[ perf record: Woken up 1 times ]\nFailed to open /proc/schedstat\nWARNING: lost\n")
        look.equal("stderr", "WARNING: lost\n", recorded_with(canned, "-q")[1].err)


ISOLATED = (
    ("-I x.py", "-I"),
    ("-E", "-E"),
    ("-Es x.py", "-E"),
    ("-sBE -u x.py", "-E"),
    ("-W error -I x.py", "-I"),
    ("-Werror -X dev -I -c pass", "-I"),
    ("-Ic pass", "-I"),
    ("-I -m x", "-I"),
    ("--check-hash-based-pycs always -I x.py", "-I"),
    ("-I -X perf x.py", None),
    ("-X perf_jit -Es x.py", None),
    ("-EXperf x.py", None),
    ("-IX perf x.py", None),
    ("-X dev -s x.py", None),
    ("x.py -I", None),
    ("-c pass -E", None),
    ("-m x -E", None),
    ("-mE", None),
    ("-cI", None),
    ("-W E x.py", None),
    ("-WE -XI x.py", None),
    ("- -I", None),
    ("-- -I", None),
)


@case(CASES)
def isolated(look):
    """Where the command line shows that PYTHONPERFSUPPORT is ignored, it is said before the run."""
    with Canned(TEXT) as canned:
        fake = canned.write("bin/python3", "#!/bin/sh\nexit 0\n")
        old = canned.write("bin/python2", "#!/bin/sh\necho Python 2.7.18 >&2\n")
        script = canned.write("bin/script", "#!%s -Es\n" % sys.executable)
        by_env = canned.write("bin/by_env", "#!/usr/bin/env -S python3 -u -I\n")
        for path in (fake, old, script, by_env):
            os.chmod(path, 0o755)
        commands = [(["python3"] + line.split(), option) for line, option in ISOLATED]
        commands += [([script], "-E"), ([by_env, "-X", "perf"], "-I"), (["sh", "-c", "true", "-I"], None)]
        for words, option in commands:
            seen = canned.pyperf_run("-q", "--", *words)
            said = [line for line in seen.err.splitlines() if "ignores the environment" in line]
            good = not said if option is None else len(said) == 1 and all(
                part in said[0] for part in ("with %s Python ignores" % option, "-X perf")
            )
            look.that(" ".join(words), "says %s" % option, good, repr(seen.err))
        seen = canned.pyperf_run("-q", "--", old, "-E", "x.py")
        look.that("2.7", "leave -E out", "leave -E out" in seen.err, repr(seen.err))


DF = """#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo "/dev/x 1000 1000 %d 99%% /"
"""
# As Debian and Ubuntu have had it: a script that starts the perf of the kernel that runs.
WRAPPER = """#!/bin/sh
echo "WARNING: perf not found for kernel $(uname -r)" >&2
exit 2
"""


@case(CASES)
def told_before_the_run(look):
    """What would make the run vain, with nothing left behind and the program not run."""
    with Canned(TEXT) as canned:
        look_at_refusal(look, canned, "no folder", ["-o", "none/p.data"], "none/p.data: there is no such directory")
        look_at_refusal(look, canned, "a file", ["-o", "/etc/passwd/p.data"], "there is no such directory")
        os.chmod(canned.write("bin/df", DF % 4000), 0o755)
        look_at_refusal(look, canned, "full", [], "3 MiB are free", "-o FILE")
        os.chmod(canned.write("bin/df", DF % 100000), 0o755)
        words, seen = recorded_with(canned)
        good = "97 MiB are free" in seen.err and "13 MB a CPU second" in seen.err and bool(words)
        look.that("nearly full", "a line, and it records", good, seen.err)
        look.equal("nearly full, -q", "", recorded_with(canned, "-q")[1].err)
        os.unlink(canned.path("bin/df"))
        os.chmod(canned.write("bin/perf", WRAPPER), 0o755)
        os.chmod(canned.write("bin/perf_5.10", "#!/bin/sh\necho perf version 5.10.1\n"), 0o755)
        release = os.uname().release
        look_at_refusal(look, canned, "wrapper", [], release, canned.path("bin/perf_5.10"), "version 5.10.1")


def look_at_refusal(look, canned, what, options, *parts):
    os.makedirs(canned.path("work"), exist_ok=True)
    before = os.listdir(canned.folder) + os.listdir(canned.path("work"))
    seen = canned.pyperf_run(*options, "sh", "-c", "echo it ran")
    got = (seen.status, seen.out, seen.err.count("\n"))
    look.equal("%s: status, stdout, lines" % what, (1, "", 1), got)
    look.that("%s: says" % what, " and ".join(parts), all(one in seen.err for one in parts), seen.err)
    after = os.listdir(canned.folder) + os.listdir(canned.path("work"))
    look.equal("%s: left" % what, [], sorted(set(after) - set(before) - {"commands"}))


COMMAND = re.compile(r"\bperf (?:--\S+ \S+ )?(?:report|script)(?: -.*|$)")
# Without stacks: the progress of reading, mappings, a header.
OTHER = re.compile(r"--header-only|--show-mmap-events|-g none|--inject")


@case(CASES)
def commands_for_whole_stacks(look):
    """Each command in documents and messages shows more than perf's default of 127 frames."""
    files = ["README.md", "scripts/demo", "scripts/pyperf-run"]
    for folder in ("docs", "docs/man", "scripts/run"):
        files += [os.path.join(folder, name) for name in os.listdir(os.path.join(ROOT, folder))]
    seen = 0
    for name in files:
        if not name.endswith((".md", ".scd", ".sh", ".py", "demo", "pyperf-run")):
            continue
        with open(os.path.join(ROOT, name), encoding="utf-8") as text:
            lines = [line for line in text.read().replace("\\\n", "").split("\n") if COMMAND.search(line)]
        for line in lines:
            seen += 1
            # archive.sh has its options in a variable.
            good = "--max-stack 4096" in line or "$options" in line or OTHER.search(line)
            look.that("%s: %s" % (name, line.strip()), "--max-stack 4096", good, line)
    look.that("commands", "8 or more", seen >= 8, str(seen))


@case(CASES)
def profiles_that_are_there(look):
    """One, several, two that are compared; blanks in their names."""
    with Canned(TEXT) as canned:
        other = canned.write("the größe of b", "PERFILE2")
        for words, rows, names in (
            (["--report", canned.data], 1, None),
            (["--report", canned.data, other], 1, [canned.data, other]),
            (["--report", canned.data, "--report", other, "--top", "3"], 1, [canned.data, other]),
            (["--top", "3", "--report=" + canned.data, other, other], 1, [canned.data, other, other]),
            (["--diff", canned.data, other], 1, [canned.data, other]),
            (["--diff", canned.data, "--top", "1", other], 1, [canned.data, other]),
        ):
            seen = canned.pyperf_run(*words)
            got = (seen.status, seen.err, seen.out.count("/srv/app.py"))
            look.equal("%s: status, stderr, rows" % words[:1], (0, "", rows), got)
            told = json.loads(canned.pyperf_run(*words, "--json", "-").out)
            look.equal("%s: JSON" % words[:1], names, told.get("profiles"))
        for words, said in (
            (["--diff", other], "compares two profiles, name the second one"),
            (["--diff", other, other, other], "compares two profiles, here are 3"),
            (["--diff", other, other, "--report", other], "leave --report out"),
            (["--diff", other, other, "--by", "thread"], "--by is not for --diff"),
            (["--diff", other, other, "--callers", "f", "--pprof", "x"], "--callers is not for --diff"),
            (["--report", other, other, "--perf-data", "x"], "--perf-data is not for several profiles"),
            (["--report", other, other, "--archive", "x.tar.bz2"], "--archive is not for several profiles"),
            (["--report", other, "--", "true"], "what is true for?"),
            (["--sort", "name", "true"], "--sort name: there are own and total"),
            (["--by", "cpu", "true"], "--by cpu: there are thread and process"),
            (["--callers", "f", "--by", "thread", "true"], "--callers f: stands in place of the table"),
            (["--only"], "--only needs a value"),
        ):
            seen = canned.pyperf_run(*words)
            got = (seen.status, seen.out, seen.err.count("\n"), said in seen.err)
            look.equal("%s: status, stdout, lines, said" % " ".join(words), (2, "", 1, True), got)


@case(CASES)
def what_is_shown(look):
    """The options reach the table, also after a recording."""
    text = TEXT + sample([EVALUATOR, py("g", "/srv/my größe/b.py"), EVALUATOR, py("f")] + START)
    with Canned(text) as canned:
        for words, names in (
            (["--only", "my größe"], ["g"]),
            (["--only=/srv/app.py", "--only", "my größe"], ["f", "g"]),
            (["--python-only"], ["f", "g"]),
            (["--sort", "total"], ["f", "g"]),
        ):
            seen = canned.pyperf_run(*words, "--report", canned.data, "--json", "-")
            got = sorted(one["name"] for one in seen.event["functions"]) if not seen.status else seen.err
            look.equal(" ".join(words), names, got)
        seen = canned.pyperf_run("--callers", "g", "--only", "/srv", "true")
        look.that("recorded", "called by", "called by" in seen.err and seen.status == 0, seen.err)
        seen = canned.pyperf_run("--callers", "no one", "--report", canned.data)
        look.equal("unknown: status, lines", (1, "", 1), (seen.status, seen.out, seen.err.count("\n")))


def event(file):
    return json.load(file)["events"][0]


if __name__ == "__main__":
    sys.exit(main("options", CASES))
