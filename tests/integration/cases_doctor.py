"""scripts/run/doctor.py: its findings on this machine, and with simulated faults."""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import harness
import perf
from cases_files import on_own_mount
from harness import LIBRARY, OTHERS, Skip, case
from outcome import compile_program

CASES = []
ROOT = os.path.dirname(os.path.dirname(harness.HERE))
PARTS = os.path.join(ROOT, "scripts", "run")
FINDING = re.compile(r"^(ok|warn|FAIL) +(.{20}) (.*)")
NOBODY = 65534
TOOLS = ("pyperf-inspect", "pyperf-unwind", "pyperf-walk.so")


class Findings:
    """subject: (verdict, what was found, what to do)"""

    def __init__(self, done):
        self.status, self.err = done.status, done.err
        self.lines = done.out.splitlines()
        self.all, subject = {}, None
        for line in self.lines:
            match = FINDING.match(line)
            if match:
                subject = match.group(2).strip()
                self.all[subject] = (match.group(1), match.group(3), "")
            elif line.startswith(" ") and subject:
                verdict, found, steps = self.all[subject]
                text = line.strip()
                if steps or text.startswith("-> "):
                    self.all[subject] = (verdict, found, (steps + " " + text).strip())
                else:
                    self.all[subject] = (verdict, found + " " + text, steps)

    def verdict(self, subject):
        return self.all.get(subject, ("absent", "", ""))[0]

    def of(self, verdict):
        return sorted(subject for subject in self.all if self.all[subject][0] == verdict)


def command(bench, python, *options, **more):
    library = more.get("library", bench.library)
    runs = bench.python or sys.executable
    return [runs, os.path.join(PARTS, "doctor.py"), "--library", library] + list(options) + [python]


def plain(bench, **more):
    more.setdefault("TMPDIR", bench.folder)
    return bench.environment(preload=False, support=None, images=False, **more)


def examine(bench, words, **more):
    """Runs a doctor, and checks what holds for all its output and files."""
    findings = Findings(bench.run(words, plain(bench, **more), timeout=60))
    bench.equal("stderr", "", findings.err)
    longest = max(map(len, findings.lines), default=0)
    # A path alone may be longer than a line.
    bench.equal("too long lines", [], [one for one in findings.lines if too_long(one)])
    bench.that("longest line", "some", longest > 0, str(longest))
    bench.equal("colours", [], [one for one in findings.lines if "\033" in one])
    missing = [one for one in findings.of("warn") + findings.of("FAIL") if not findings.all[one][2]]
    bench.equal("findings without a next step", [], missing)
    look_at_rest(bench)
    return findings


def too_long(line):
    return len(line) > 100 and " " in line[26:].strip().replace("-> ", "")


def look_at_rest(bench):
    bench.equal("left in TMPDIR", [], glob.glob(os.path.join(bench.folder, "pyperf-doctor-*")))
    bench.equal("compiled beside the scripts", [], glob.glob(os.path.join(PARTS, "__pycache__")))


def found(bench, findings, subject, verdict, *words):
    """Checks the finding, and words in it or in its next step."""
    got = findings.all.get(subject, ("absent", "", ""))
    text = " ".join(got)
    good = got[0] == verdict and all(word in text for word in words)
    bench.that(subject, "%s, with %s" % (verdict, " and ".join(words)), good, text)


@case(CASES, needs=("perf",))
def doctor(bench):
    findings = examine(bench, command(bench, bench.python))
    bench.equal("status", 0, findings.status)
    bench.equal("FAIL", [], findings.of("FAIL"))
    found(bench, findings, "profile", "ok", "complete:", "all 13 functions")
    found(bench, findings, "profile of a child", "ok", "complete:", "all 13 functions")
    kind = "static" if bench.interpreter.kind == "static" else "libpython"
    found(bench, findings, "interpreter", "ok", "known to libpyperf", kind)
    found(bench, findings, "frame evaluator", "ok", "dynsym")
    found(bench, findings, "hook", "ok", "in place")
    if bench.interpreter.musl:
        found(bench, findings, "unwind data", "ok", "which has none")
    look_at_walk(bench, findings)


def look_at_walk(bench, findings):
    """Complete, or incomplete for libunwind's own reason."""
    if not os.path.exists(os.path.join(bench.build, "pyperf-walk.so")):
        bench.skip("stack from within", "pyperf-walk.so is not built: no libunwind")
        return
    if bench.interpreter.musl:
        found(bench, findings, "stack from within", "warn", "needs a libunwind for glibc")
        return
    verdict, text, _ = findings.all.get("stack from within", ("absent", "", ""))
    good = (verdict == "ok" and "complete:" in text) or (verdict == "warn" and "rbp of 0" in text)
    bench.that("stack from within", "complete, or rbp of 0", good, "%s %s" % (verdict, text))


@case(CASES, OTHERS, needs=("perf",))
def doctor_of_others(bench):
    findings = examine(bench, [sys.executable] + command(bench, bench.python)[1:])
    bench.equal("status", 1, findings.status)
    if bench.interpreter.free_threaded:
        found(bench, findings, "interpreter", "warn", "free-threaded", "python3.13t")
        found(bench, findings, "hook", "FAIL", "free-threaded", "python3.13t")
        return
    found(bench, findings, "interpreter", "FAIL", "not known to libpyperf", "3.6 to 3.15")
    found(bench, findings, "hook", "FAIL", "this version of Python is not known")


# Runs the program given with -c as another implementation would.
PYPY = """#!/bin/sh
exec %s -c "import platform; platform.python_implementation = lambda: 'PyPy'
$2"
"""


@case(CASES, LIBRARY, needs=("perf",))
def doctor_of_another_implementation(bench):
    """Nothing is asked for that would not help."""
    with open(os.path.join(bench.folder, "pypy3"), "w") as out:
        out.write(PYPY % sys.executable)
    os.chmod(out.name, 0o755)
    findings = examine(bench, command(bench, out.name))
    bench.equal("status", 1, findings.status)
    found(bench, findings, "interpreter", "FAIL", "PyPy", "for CPython alone", "run the program with CPython")
    for subject in ("frame evaluator", "hook", "profile", "stack from within"):
        bench.equal(subject, "absent", findings.verdict(subject))
    shown = " ".join(findings.lines)
    bench.that("advice", "not of symbols", "symbols" not in shown, shown)


def text_of(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


@case(CASES, LIBRARY, needs=("perf",))
def doctor_no_interpreter(bench):
    for path, words in (("/bin/true", "not a Python interpreter"), ("/nonexistent", "not found")):
        findings = examine(bench, command(bench, path))
        bench.equal("%s: status" % path, 1, findings.status)
        found(bench, findings, "interpreter", "FAIL", path, words, "--doctor PATH")
        bench.equal("%s: profile" % path, "absent", findings.verdict("profile"))


@case(CASES, LIBRARY)
def doctor_without_perf(bench):
    empty = os.path.join(bench.folder, "empty")
    os.mkdir(empty)
    os.symlink("/bin/true", os.path.join(empty, "apt-get"))
    findings = examine(bench, command(bench, sys.executable), PATH=empty)
    bench.equal("status", 1, findings.status)
    found(bench, findings, "perf", "FAIL", "not found in PATH", "as root: apt-get install linux-perf", "--sampler=inside")
    found(bench, findings, "profile", "FAIL", "not tried", "see perf, above")


# A perf that may not record, and a wrapper whose package is missing.
REFUSED = """#!/bin/sh
case $1 in
version) echo 'perf version 5.10.1' ;;
*) echo 'Error:
Access to performance monitoring and observability operations is limited.' >&2; exit 255 ;;
esac
"""
WRAPPER = """#!/bin/sh
echo 'WARNING: perf not found for kernel 5.15.0-1' >&2
exit 2
"""
WITHOUT_UNWINDERS = """#!/bin/sh
[ "$*" != "version --build-options" ] || {
    echo '  libunwind: [ OFF ]  # HAVE_LIBUNWIND_SUPPORT'
    exit 0
}
PATH=$REAL_PATH exec perf "$@"
"""


@case(CASES, LIBRARY, needs=("perf",))
def doctor_of_bad_perfs(bench):
    folder = os.path.join(bench.folder, "bin")
    os.mkdir(folder)
    other = bench.write("bin/perf_5.10", REFUSED)
    os.chmod(other, 0o755)
    for what, text, subject, verdict, words in (
        ("refused", REFUSED, "perf permitted", "FAIL", ("is limited", "PERFMON", "--sampler=inside")),
        ("wrapper", WRAPPER, "perf", "FAIL", ("does not run", "not found for kernel", "install", other)),
        ("no unwinders", WITHOUT_UNWINDERS, "perf call graphs", "warn", ("without libunwind",)),
    ):
        os.chmod(bench.write("bin/perf", text), 0o755)
        real = os.environ.get("PATH", "/usr/bin:/bin")
        words_of = command(bench, "/bin/true")
        findings = examine(bench, words_of, PATH=folder + ":/usr/bin:/bin", REAL_PATH=real)
        found(bench, findings, subject, verdict, *words)
        bench.equal("%s: status" % what, 1, findings.status)


@case(CASES, LIBRARY, needs=("perf",))
def doctor_of_folders(bench):
    """Runs with /bin/true, because the interpreter does not matter here."""
    folder = os.path.join(bench.folder, "mounted")
    for variable in ("PYPERF_DIR", "TMPDIR"):
        for options, words in (("noexec", "noexec"), ("ro", "Read-only file system")):
            words_of = on_own_mount(bench, options, folder, command(bench, "/bin/true"))
            findings = examine(bench, words_of, **{variable: folder})
            found(bench, findings, variable, "FAIL", folder, words, "export %s=/" % variable)
        findings = examine(bench, command(bench, "/bin/true"), **{variable: "/nonexistent"})
        found(bench, findings, variable, "FAIL", "/nonexistent", "No such file")
    words_of = on_own_mount(bench, "size=64m", folder, command(bench, "/bin/true"))
    found(bench, examine(bench, words_of, TMPDIR=folder), "TMPDIR", "warn", "MiB free", "free some")


@case(CASES)
def doctor_without_ctypes(bench):
    """Without ctypes, and without libpyperf-plan.so."""
    bench.write("ctypes.py", "raise ImportError('no ctypes here')\n")
    folder = os.path.join(bench.folder, "a b")
    os.mkdir(folder)
    for one in os.scandir(bench.build):  # not its folders, which may hold whole trees of other systems
        if one.is_file():
            shutil.copy(one.path, folder)
    words = command(bench, bench.python, library=os.path.join(folder, "libpyperf.so"))
    findings = examine(bench, words, PYTHONPATH=bench.folder, PATH="/nonexistent")
    found(bench, findings, "stack from within", "warn", "no ctypes here")
    found(bench, findings, "hook", "ok", "in place")
    os.unlink(os.path.join(folder, "libpyperf-plan.so"))
    findings = examine(bench, words, PATH="/nonexistent")
    found(bench, findings, "hook", "FAIL", "cannot load libpyperf-plan.so", "ldd")
    found(bench, findings, "profile", "FAIL", "see hook, above")
    bench.equal("status", 1, findings.status)


@case(CASES, needs=("perf",))
def doctor_interrupted(bench):
    """Signals at several times: it dies of the signal and leaves no files and no processes."""
    for number, seconds in ((signal.SIGINT, 0), (signal.SIGINT, 1), (signal.SIGTERM, 1.6)):
        process = bench.start(command(bench, bench.python), plain(bench))
        process.stdout.readline()
        time.sleep(seconds)
        done = harness.kill(process, number)
        what = "%s after %s s" % (signal.Signals(number).name, seconds)
        bench.equal("%s: status, stderr" % what, (-number, ""), (done.status, done.err))
        look_at_rest(bench)
        bench.equal("%s: processes left" % what, "", processes_of(bench.folder))


@case(CASES, needs=("perf",))
def doctor_unread(bench):
    """The reader of stdout ends; SIGHUP stays ignored under nohup."""
    words = 'trap "" HUP; { "$@"; echo "$?" >status; } | head -n 1'
    process = bench.start(["sh", "-c", words, "sh"] + command(bench, bench.python), plain(bench))
    done = harness.finish(process)
    bench.equal("stderr", "", done.err)
    bench.equal("status", "1\n", text_of(os.path.join(bench.folder, "status")))
    look_at_rest(bench)
    process = bench.start(["nohup"] + command(bench, bench.python), plain(bench))
    time.sleep(1)
    process.send_signal(signal.SIGHUP)
    done = harness.finish(process)
    bench.equal("nohup: status", 0, done.status)
    look_at_rest(bench)


def processes_of(folder):
    """Command lines that name the folder."""
    lines = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        line = text_of(path).replace("\0", " ")
        if folder + "/pyperf-doctor-" in line:
            lines.append(line)
    return "\n".join(lines)


@case(CASES, needs=("perf",))
def doctor_of_a_user(bench):
    """An ordinary user, with the files of "make install"."""
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    as_nobody = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    home = os.path.join(bench.folder, "user")
    install(bench, home)
    # Running it proves nothing: setpriv can exec a file that user nobody cannot read.
    if subprocess.call(as_nobody + ["test", "-r", bench.python]) != 0:
        raise Skip("the interpreter lies where only root can reach it")
    words = as_nobody + [bench.python, os.path.join(home, "lib", "libpyperf", "doctor.py")]
    findings = examine(bench, words + [bench.python], TMPDIR=os.path.join(home, "tmp"))
    if findings.verdict("perf permitted") == "FAIL":
        found(bench, findings, "perf permitted", "FAIL", "kernel.perf_event_paranoid")
        return
    bench.equal("status", 0, findings.status)
    found(bench, findings, "perf permitted", "ok", "kernel.perf_event_paranoid")
    found(bench, findings, "profile", "ok", "complete:", "all 13 functions")


def install(bench, home):
    parts = os.path.join(home, "lib", "libpyperf")
    os.makedirs(parts)
    os.mkdir(os.path.join(home, "tmp"))
    for path in glob.glob(os.path.join(PARTS, "*.py")) + glob.glob(os.path.join(PARTS, "*.sh")):
        shutil.copy(path, parts)
    for name in TOOLS:
        if os.path.exists(os.path.join(bench.build, name)):
            shutil.copy(os.path.join(bench.build, name), parts)
    for path in glob.glob(os.path.join(bench.build, "libpyperf*.so")):
        shutil.copy(path, os.path.join(home, "lib"))
    for folder in (bench.folder, home, os.path.join(home, "lib"), parts):
        os.chmod(folder, 0o755)
    os.chown(os.path.join(home, "tmp"), NOBODY, NOBODY)


@case(CASES, needs=("perf",))
def doctor_without_unwind_data(bench):
    """On musl, with a part missing by which perf gets its unwind data: the doctor says that."""
    if not bench.interpreter.musl:
        raise Skip("this libc has unwind data")
    home = os.path.join(bench.folder, "user")
    install(bench, home)
    parts = os.path.join(home, "lib", "libpyperf")
    for missing, why in (("unwind.sh", "unwind.sh"), ("pyperf-unwind", "pyperf-unwind is missing")):
        os.unlink(os.path.join(parts, missing))
        findings = examine(bench, [bench.python, os.path.join(parts, "doctor.py"), bench.python])
        found(bench, findings, "unwind data", "warn", "stacks end there", why, "unpack")


# Reports frame pointers for any interpreter.
MISLED = """#!/bin/sh
printf 'file=%s\\nevaluator=0x1000 10\\nfound=dynsym\\nframe-pointers=yes\\nshare=9/9\\n' "$1"
"""


@case(CASES, needs=("perf",))
def doctor_of_broken_stacks(bench):
    """Stacks are walked by frame pointers that this interpreter does not have."""
    if not os.path.exists(os.path.join(bench.build, "pyperf-inspect")):
        raise Skip("pyperf-inspect is not built")
    if perf.frame_pointers(bench) != "no":
        raise Skip("it has frame pointers")
    home = os.path.join(bench.folder, "misled")
    install(bench, home)
    parts = os.path.join(home, "lib", "libpyperf")
    with open(os.path.join(parts, "pyperf-inspect"), "w") as out:
        out.write(MISLED)
    words = [bench.python, os.path.join(parts, "doctor.py"), bench.python]
    findings = examine(bench, words)
    bench.equal("status", 1, findings.status)
    found(bench, findings, "frame pointers", "ok", "yes, stacks are walked by them", "9 of 9")
    found(bench, findings, "profile", "FAIL", "not complete", "--call-graph dwarf,65528")
    found(bench, findings, "depth of stacks", *depth_by_frame_pointers())


def depth_by_frame_pointers():
    frames = int(text_of("/proc/sys/kernel/perf_event_max_stack") or "512")
    if frames >= 512:
        return "ok", str(frames)
    return "warn", str(frames), "sysctl kernel.perf_event_max_stack=1024"


@case(CASES, needs=("perf",))
def doctor_under_mdwe(bench):
    """No memory may become executable, in the doctor and its children."""
    findings = examine(bench, locked(bench, "mdwe") + command(bench, bench.python))
    bench.equal("status", 0, findings.status)
    found(bench, findings, "profile", "ok", "complete:")


def locked(bench, word):
    program = compile_program(bench, "locked.c", "locked", [])
    probe = bench.run([program, word, "--", "/bin/true"], plain(bench))
    if probe.status == 99:
        raise Skip("not here: " + probe.err.strip())
    return [program, word, "--"]


@case(CASES, LIBRARY, needs=("perf",))
def doctor_under_seccomp(bench):
    """As in a container: the doctor and pyperf-run name the option that the container needs."""
    prefix = locked(bench, "no-perf")
    findings = examine(bench, prefix + command(bench, sys.executable))
    bench.equal("status", 1, findings.status)
    found(bench, findings, "perf permitted", "FAIL", "a seccomp filter", "seccomp=unconfined")
    run = os.path.join(ROOT, "scripts", "pyperf-run")
    done = bench.run(prefix + [run, "--sampler=perf", "-o", "profile", "--", "/bin/true"], plain(bench))
    one_line = done.err.count("\n") == 1 and "seccomp=unconfined" in done.err
    bench.that("--sampler=perf", "one line that says what to do", one_line, repr(done.err))
    bench.equal("--sampler=perf: status, output", (1, ""), (done.status, done.out))
    busy = "import time\ndef busy():\n    while time.process_time() < 0.5: pass\nbusy()"
    done = bench.run(prefix + [run, "-o", "profile", "--", sys.executable, "-c", busy], plain(bench))
    bench.equal("without perf: status, output", (0, ""), (done.status, done.out))
    first = done.err.split("\n")[0]
    bench.that("without perf", "says why", "seccomp=unconfined" in first and "sampler" in first, repr(first))
    bench.that("without perf", "a table that names busy", " busy " in done.err, repr(done.err))
