#!/usr/bin/env python3
"""scripts/pyperf-run: the program must not notice that it is profiled.

Usage: test_pyperf_run.py INTERPRETER        (PYPERF_BUILD names the build directory)

Each case is one line: verdict, interpreter, case, expected, got. Programs get their own HOME and
TMPDIR, so that parallel runs do not see each other's files and perf's cache stays clean. """

import glob
import json
import os
import pty
import re
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True

import harness
from pyperf_run_bench import BUILD, RUN, Bench, names
from pyperf_run_places import no_execution, odd_places, ordinary_user
from pyperf_run_programs import COPIES, DISPOSITIONS, HANDLER, HOT


def passes_through(bench):
    odd = ["a b", "", "-x", "--", "'\"", "two\nlines", "$HOME", "*", "\\n"]
    code = "import sys; print(sys.argv[1:]); print(sys.stdin.read(), end='', file=sys.stderr)"
    done = bench.run(bench.command("-c", code, *odd), input="from\nstdin\n")
    bench.check("arguments and stdout", repr(odd) + "\n", done.stdout)
    bench.check("stdin and stderr", "from\nstdin\n", done.stderr)
    bench.check("status 0", 0, done.returncode)
    done = bench.run([RUN, "-q", bench.interpreter, "-c", "raise SystemExit(41)"])
    bench.check("status 41, without --", 41, done.returncode)
    bench.check("nothing added to output", ("", ""), (done.stdout, done.stderr))
    code = "import os; print(os.environ.get('HOME'))"
    bare = {k: v for k, v in bench.environment.items() if k != "HOME"}
    done = bench.run(bench.command("-c", code), env=bare)
    bench.check("HOME unset stays unset", "None\n", done.stdout)
    code = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    plain = bench.run([bench.interpreter, "-c", code])
    done = bench.run(bench.command("-c", code))
    bench.check("open descriptors", plain.stdout, done.stdout)


def refuses(bench):
    done = bench.run([RUN, "--", "no-such-program"])
    bench.check("not found", 127, done.returncode)
    bench.check("not found, message", "pyperf-run: no-such-program: not found in PATH\n", done.stderr)
    done = bench.run([RUN, "--", "./no/such/program"])
    bench.check("not found, path", 127, done.returncode)
    plain = os.path.join(bench.work, "plain")
    open(plain, "w").close()
    bench.check("not executable", 126, bench.run([RUN, "--", "./plain"]).returncode)
    bench.check("a directory", 126, bench.run([RUN, "--", bench.work]).returncode)
    bench.check("no program", 2, bench.run([RUN]).returncode)
    bench.check("no program after --", 2, bench.run([RUN, "--"]).returncode)
    for case, options in (
        ("an option of perf without --", ["-k", "1", "true"]),
        ("an unknown option", ["--no-such-option", "--", "true"]),
        ("an option without its value", ["--top"]),
        ("no number", ["--freq=often", "true"]),
        ("a stack too large", ["--stack-size", "65536", "true"]),
        ("no such call graph", ["--call-graph", "guess", "true"]),
        ("the profile to stdout", ["-o-", "--", "true"]),
        ("--report and a program", ["--report", "perf.data", "--", "true"]),
    ):
        done = bench.run([RUN] + options)
        got = (done.returncode, done.stdout, len(done.stderr.splitlines()))
        bench.check(case + ": status, stdout, lines on stderr", (2, "", 1), got)
    done = bench.run([RUN, "-e", "no-such-event", "--", bench.interpreter, "-c", "print('ran')"])
    bench.check("perf's error: status, program not run", (1, ""), (done.returncode, done.stdout))
    bench.check("perf's error is shown", True, "no-such-event" in done.stderr)
    broken = dict(bench.environment, PYPERF_LIBRARY="/no/such/library.so")
    done = bench.run(bench.command("-c", "print('ran')"), env=broken)
    bench.check("library not found", (1, ""), (done.returncode, done.stdout))
    # Without the option the sampler would take perf's place.
    words = [RUN, "--sampler=perf", "--", bench.interpreter, "-c", "print('ran')"]
    done = bench.run(words, env=not_permitted(bench))
    bench.check("perf not permitted: status, program not run", (1, ""), (done.returncode, done.stdout))
    bench.check("perf not permitted: one line", 1, len(done.stderr.splitlines()))
    bench.check("perf not permitted: the value", True, "kernel.perf_event_paranoid is" in done.stderr)
    bench.check("refusals leave nothing", [], os.listdir(bench.temporary))


def not_permitted(bench):
    """A perf that fails as the real one does, because no setting makes a kernel refuse root."""
    folder = os.path.join(bench.folder, "refusing")
    os.mkdir(folder)
    fake = os.path.join(folder, "perf")
    with open(fake, "w") as out:
        out.write('#!/bin/sh\n[ "$1" != version ] || exec echo perf version 6.1\n')
        out.write("echo 'Consider /proc/sys/kernel/perf_event_paranoid' >&2\nexit 255\n")
    os.chmod(fake, 0o755)
    return dict(bench.environment, PATH=folder + ":" + bench.environment["PATH"])


def signals(bench):
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT")
    for case, send in ((" is passed on", os.kill), (" to the group arrives once", os.killpg)):
        started = [(name, bench.start(name)[0]) for name in names]
        for name, process in started:
            send(process.pid, getattr(signal, name))
        for name, process in started:
            out, err = process.communicate(timeout=60)
            bench.check(name + case, "seen [%d]\n" % getattr(signal, name), out)
            bench.check(name + case + ": status and stderr", (7, ""), (process.returncode, err))

    process, _ = bench.start()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    bench.check("SIGTERM kills the program", -signal.SIGTERM, process.returncode)
    for name in ("SIGKILL", "SIGSEGV"):
        process, program = bench.start()
        os.kill(program, getattr(signal, name))
        _, err = process.communicate(timeout=60)
        bench.check(name + " to the program", 128 + getattr(signal, name), process.returncode)
        bench.check(name + ": nothing printed", "", err)
    bench.check("signals leave nothing", [], os.listdir(bench.temporary))


def inherited_signals(bench):
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    for case, before in (("none", None), ("HUP and INT", ignore)):
        plain = bench.run([bench.interpreter, "-c", DISPOSITIONS], preexec_fn=before)
        done = bench.run(bench.command("-c", DISPOSITIONS), preexec_fn=before)
        bench.check("signals ignored at the start: " + case, plain.stdout, done.stdout)


def on_terminal(bench, command, until=None, send=b""):
    """Returns what is shown, and the status; types `send` half a second after `until` was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(bench.work)
        os.environ.update(bench.environment)
        os.execv(command[0], command)
    text = b""
    while until and until not in text:
        text += os.read(terminal, 1000)
    if until:
        time.sleep(0.5)
        os.write(terminal, send)
    try:
        while True:
            chunk = os.read(terminal, 1000)
            if not chunk:
                break
            text += chunk
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return text.decode(), status


def control_c(bench):
    command = bench.command("-c", HANDLER, "SIGINT", "SIGTERM")
    text, status = on_terminal(bench, command, b"ready", b"\x03")
    bench.check("Ctrl-C arrives once, SIGTERM never", ["seen [2]"], re.findall(r"seen .*\]", text))
    bench.check("Ctrl-C: the program's status", (True, 7), (os.WIFEXITED(status), status >> 8))
    ours = re.findall("pyperf-run|samples", text)
    bench.check("Ctrl-C, -q on a terminal: no line of pyperf-run", [], ours)


def progress(bench):
    """A terminal shows growing samples and megabytes, which are erased at the end."""
    script = os.path.join(bench.folder, "hot.py")
    text, status = on_terminal(bench, [RUN, bench.interpreter, script])
    bench.check("on a terminal: status", 0, status)
    shown = re.findall(r"\r([\d.]+) s, (\d+) samples, ([\d.]+) MB\x1b\[K\r", text)
    figures = [tuple(map(float, one)) for one in shown]
    grows = len(figures) >= 2 and figures == sorted(figures) and figures[-1][1] > 20
    bench.check("on a terminal: progress grows", True, grows)
    bench.check("on a terminal: wiped away", True, "\r\x1b[K" in text.split(" MB")[-1])
    bench.check("on a terminal: where the profile is", True, "the profile is perf.data" in text)


def profile(bench):
    bench.clear_work()
    script = os.path.join(bench.folder, "hot.py")
    with open(script, "w") as out:
        out.write(HOT)
    before = glob.glob("/tmp/perf-*.map")  # of processes that had the same pids
    done = bench.run(bench.command(script))
    pids = done.stdout.split()
    bench.check("parent and child ran", 2, len(set(pids)))
    bench.check("default output", ["perf.data", "perf.data.images"], sorted(os.listdir(bench.work)))
    bench.check("nothing in perf's cache", [], os.listdir(bench.home))
    images = os.path.join(bench.work, "perf.data.images")
    modes = {os.stat(os.path.join(images, name)).st_mode & 0o777 for name in os.listdir(images)}
    bench.check("nobody else may write beside the images", {0o755}, modes)
    maps = ["/tmp/perf-%s.map" % pid for pid in pids]
    bench.check("maps are gone", [], [path for path in maps if os.path.exists(path) and path not in before])
    bench.check("private directory is gone", [], os.listdir(bench.temporary))
    samples = bench.samples()
    for pid, who in zip(pids, ("parent", "child")):
        stacks = [one for one in samples if one.pid == int(pid)]
        named = [one for one in stacks if "hot:" + script in one.python]
        bench.check("names after all is gone, " + who, True, len(named) >= len(stacks) / 2 > 5)
    other = os.path.join(bench.folder, "other.data")
    done = bench.run([RUN, "-q", "-o", other, "-F", "99", "--", bench.interpreter, script, "alone"])
    bench.check("-o", (0, True), (done.returncode, os.path.exists(other)))
    bench.check("-o: names", True, "hot:" + script in names(bench.samples("-i", other)))


FORKING = """
import os
def hot(): return sum(range(1000))
hot()
print(os.getpid())
for _ in range(50):
    pid = os.fork()
    if pid == 0:
        hot()
        os._exit(0)
    os.waitpid(pid, 0)
    print(pid)
"""


def short_children(bench):
    """Short children leave neither images nor maps."""
    bench.clear_work()
    before = glob.glob("/tmp/perf-*.map")  # of earlier processes with the same pids
    done = bench.run(bench.command("-c", FORKING))
    pids = done.stdout.split()
    bench.check("50 children", (0, 51), (done.returncode, len(set(pids))))
    paths = [os.path.join(at, name) for at, _, own in os.walk(bench.work) for name in own]
    images = [path for path in paths if os.path.basename(path).startswith("pyperf-")]
    bench.check("images of 50 short children and their parent", 1, len(images))
    maps = ["/tmp/perf-%s.map" % pid for pid in pids]
    bench.check("maps of short children", [], [path for path in maps if os.path.exists(path) and path not in before])


def libc_frames(bench):
    """perf 6.1 by chance loses the stacks of a library that was elsewhere before an exec, so there
    is more than one run."""
    for number in range(4):
        bench.run(bench.command("-c", COPIES))
        samples = bench.samples("--no-inline")
        # By the file: without its debug symbols the function has no name.
        copying = re.compile(r".*/(libc[.-]|ld-musl-)")
        stacks = [one for one in samples if one.frames and copying.match(one.frames[0].object)]
        whole = [one for one in stacks if any("<module>:" in name for name in one.python)]
        got = "%d of %d" % (len(whole), len(stacks))
        good = len(whole) >= 0.9 * len(stacks) > 20  # not all of them, or before <module>
        bench.tally.report("stacks in libc, run %d" % number, "90 % of 23 or more", good, got)


def answers(bench):
    """The table is on stderr when recording, and on stdout for --report."""
    bench.clear_work()
    script = os.path.join(bench.folder, "hot.py")
    words = [RUN, "--top", "3", "--collapsed", "folded", bench.interpreter, script, "alone"]
    done = bench.run(words)
    row = r"(?m)^ *\d+\.\d\d +\d+\.\d +\d+\.\d +\d+  hot"
    bench.check("table: stdout is the program's", 1, len(done.stdout.splitlines()))
    bench.check("table: hot() on stderr", True, bool(re.search(row, done.stderr)))
    with open(os.path.join(bench.work, "folded")) as file:
        bench.check("--collapsed", True, ";py::hot:" + script + ";" in file.read())
    done = bench.run([RUN, "--report=perf.data"])
    bench.check("--report: status, stderr", (0, ""), (done.returncode, done.stderr))
    bench.check("--report: hot() on stdout", True, bool(re.search(row, done.stdout)))
    done = bench.run([RUN, "--report", "perf.data", "--json=-"])
    names = [one["name"] for one in json.loads(done.stdout)["events"][0]["functions"]]
    bench.check("--json", True, "hot" in names)
    done = bench.run([RUN, "--report", "no.data"])
    got = (done.returncode, done.stdout, len(done.stderr.splitlines()))
    bench.check("--report, no profile: status, stdout, lines on stderr", (1, "", 1), got)
    done = bench.run([RUN, "--flamegraph", "/no/folder/out.html", bench.interpreter, "-c", "print(1)"])
    bench.check("--flamegraph to nowhere: not run", (1, ""), (done.returncode, done.stdout))


def call_graphs(bench):
    """Frame pointers if the interpreter's code has them, otherwise stack copies of the given
    size."""
    libraries = os.path.join(bench.folder, "libraries")
    os.mkdir(libraries)
    for name in ("libpyperf.so", "libpyperf-plan.so"):
        shutil.copy(os.path.join(BUILD, name), libraries)
    inspect = os.path.join(libraries, "pyperf-inspect")
    for answer, options, wanted in (
        ("no", [], "dwarf,65528"),
        ("partly", [], "dwarf,65528"),
        ("yes", [], "fp"),
        ("yes", ["--stack-size", "16381"], "dwarf,16384"),
        ("no", ["--call-graph=fp"], "fp"),
        ("yes", ["--call-graph=dwarf"], "dwarf,65528"),
    ):
        with open(inspect, "w") as out:
            out.write("#!/bin/sh\necho evaluator=1\necho frame-pointers=%s\n" % answer)
        os.chmod(inspect, 0o755)
        words = [RUN, "-q"] + options + ["--", bench.interpreter, "-c", "pass"]
        library = os.path.join(libraries, "libpyperf.so")
        bench.run(words, env=dict(bench.environment, PYPERF_LIBRARY=library))
        header = bench.run(["perf", "report", "--header-only", "-i", "perf.data"]).stdout
        # Not of its command line, which perf 7.2 does not keep.
        sizes = re.findall(r"sample_stack_user = (\d+)", header)
        got = "dwarf," + sizes[0] if sizes else "fp" if "CALLCHAIN" in header else "none"
        bench.check("frame pointers %s, %s" % (answer, " ".join(options)), wanted, got)


def runs(bench):
    """The images of a profile stay as long as perf keeps the profile, even if a later run fails."""
    bench.clear_work()
    kept = []
    for _ in range(4):
        bench.run(bench.command("-c", "pass"))
        folders = os.listdir(os.path.join(bench.work, "perf.data.images"))
        kept.append(sum(not folder.endswith(".debug") for folder in folders))  # unwind.sh
    bench.check("folders of images after each run", [1, 2, 2, 2], kept)
    bench.run([RUN, "-e", "no-such-event", "--", bench.interpreter, "-c", "pass"])
    for name in ("perf.data", "perf.data.old"):
        shown = bench.run(["perf", "script", "-i", name, "--show-mmap-events"]).stdout
        images = set(re.findall("/[^ ]*/pyperf-[^ ]*[.]so", shown))
        bench.check(name + ": images that are there", [True], [os.path.exists(i) for i in images])
    bench.clear_work()
    bench.run([RUN, "-q", "true"])
    bench.check("not Python: no images", ["perf.data"], os.listdir(bench.work))


def main():
    harness.clean_up_when_ended()
    bench = Bench(sys.argv[1])
    try:
        for cases in (
            passes_through,
            refuses,
            signals,
            inherited_signals,
            control_c,
            profile,
            short_children,
            progress,
            libc_frames,
            answers,
            call_graphs,
            runs,
            no_execution,
            ordinary_user,
            odd_places,
        ):
            cases(bench)
    finally:
        shutil.rmtree(bench.folder)
    print(bench.tally.closing())
    return 1 if bench.tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
