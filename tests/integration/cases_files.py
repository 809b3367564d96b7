"""PYPERF_DIR, and files that cannot be made: the program runs, and one line says why."""

import os
import subprocess

import perf
from harness import Skip, case
from maps import Map

CASES = []
OURS = "libpyperf: "
HOT = """
import os, sys, time
def hot():
    for i in range(3000): pass
def main():
    end = time.process_time() + float(sys.argv[1])
    while time.process_time() < end: hot()
hot()
main()
print(os.getpid())
"""
CALLS = """
for number in range(3000):
    exec(compile("def called%d(): pass\\ncalled%d()" % (number, number), "many.py", "exec"), {})
print("end")
"""


# Reported before the interpreter's own support, which may fail fatally.
LEFT = "left to the interpreter's own perf support"


def lines_of_ours(text):
    return [line for line in text.splitlines() if line.startswith(OURS)]


def only_ours(bench, done):
    lines = done.err.splitlines()
    good = lines_of_ours(done.err) == lines[:2]
    bench.that("stderr", "lines of ours, at most 2", good, repr(lines))


@case(CASES)
def directory(bench):
    program = bench.write("hot.py", HOT)
    folder = os.path.join(bench.folder, "a folder")
    os.mkdir(folder)
    os.symlink(folder, os.path.join(bench.folder, "link"))
    for what in (folder, os.path.join(bench.folder, "link"), "a folder", folder + "/"):
        done = bench.run_python(program, "0", environment=bench.environment(PYPERF_DIR=what))
        bench.equal("status, stderr", (0, ""), (done.status, done.err))
        images = bench.image_paths(done.pid, folder)
        bench.equal("images in it", 1, len(images))
        bench.equal("images in /tmp", [], bench.image_paths(done.pid))
        bench.equal("mode", "600", "%o" % (os.stat(images[0]).st_mode & 0o777) if images else None)
        bench.equal("map in /tmp", True, os.path.exists(bench.map_path(done.pid)))
    done = bench.run_python(program, "0", environment=bench.environment(PYPERF_DIR=""))
    bench.equal("empty means /tmp", 1, len(bench.image_paths(done.pid)))


def look_at_fallback(bench, what, program, done):
    """Without an image: one line, and the map names the functions."""
    ours = lines_of_ours(done.err)
    bench.equal("%s: lines of ours" % what, 1, len(ours))
    rest = [one for one in done.err.splitlines() if one not in ours]
    bench.equal("%s: status, stderr less ours" % what, (0, []), (done.status, rest))
    names = Map(bench.map_path(int(done.out))).of_file(program)
    bench.equal("%s: names in the map" % what, ["<module>", "hot", "main"], names)


@case(CASES)
def directory_unusable(bench):
    program = bench.write("hot.py", HOT)
    file = bench.write("file", "")
    for what in ("/nonexistent/folder", file, "/proc/self", "relative"):
        environment = bench.environment(PYPERF_DIR=what)
        done = bench.run_python(program, "0", environment=environment)
        look_at_fallback(bench, what.replace(bench.folder, ""), program, done)
        bench.equal("images in /tmp", [], bench.image_paths(done.pid))


def on_own_mount(bench, options, folder, command):
    """The command, with a private tmpfs of these options on the folder."""
    os.makedirs(folder, exist_ok=True)
    mount = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"'
    unshare = ["unshare", "-m"] + (["-r"] if os.geteuid() != 0 else [])
    words = unshare + ["sh", "-c", mount, "sh", options, folder]
    try:
        subprocess.run(words + ["true"], check=True, stderr=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip("no file system can be mounted here: %s" % error)
    return words + command


@case(CASES)
def directory_noexec(bench):
    program = bench.write("hot.py", HOT)
    folder = os.path.join(bench.folder, "noexec")
    command = on_own_mount(bench, "noexec", folder, [bench.python, program, "0"])
    done = bench.run(command, bench.environment(PYPERF_DIR=folder))
    look_at_fallback(bench, "noexec", program, done)


@case(CASES)
def directory_full(bench):
    """No SIGBUS, whenever the space runs out."""
    program = bench.write("calls.py", CALLS)
    folder = os.path.join(bench.folder, "full")
    for size in ("4k", "64k", "256k", "320k", "400k", "512k"):
        command = on_own_mount(bench, "size=" + size, folder, [bench.python, program])
        done = bench.run(command, bench.environment(PYPERF_DIR=folder))
        bench.equal("%s: status, output" % size, (0, "end\n"), (done.status, done.out))
        lines = lines_of_ours(done.err)
        bench.that("%s: lines of ours" % size, "at most 1", len(lines) <= 1, repr(lines))
        names = Map(bench.map_path(done.pid)).of_file("many.py")
        bench.equal("%s: functions named" % size, 3000, len(set(names) - {"<module>"}))


@case(CASES, needs=("perf",))
def fallback_stacks(bench):
    """Without an image perf names the innermost Python function from the map."""
    perf.need_libunwind(bench)
    program = bench.write("hot.py", HOT)
    folder = os.path.join(bench.folder, "nowhere")
    done, data = perf.record(bench, [bench.python, program, "0.8"], PYPERF_DIR=folder)
    pid = int(done.out)
    bench.pids.add(pid)
    samples = [one for one in perf.script(bench, data) if one.pid == pid]
    named = [one for one in samples if one.python and one.python[0] == "hot:" + program]
    # The other samples are the interpreter's start and main() itself.
    got = "%s of all samples" % perf.share(len(named), len(samples))
    enough = len(named) >= 0.6 * len(samples) > 60
    bench.that("hot() is the innermost", "60 % of 100 or more", enough, got)


@case(CASES)
def limits(bench):
    """The process may write no files, or open none."""
    program = bench.write("calls.py", CALLS)
    for limit in ("-f 0", "-f 100", "-n 4", "-n 5", "-c 0", "-v 400000"):
        words = ["sh", "-c", 'ulimit %s; exec "$@"' % limit, "sh", bench.python, program]
        plain = bench.run(words, bench.environment(preload=False, support=None, images=False))
        done = bench.run(words)
        ours = lines_of_ours(done.err)
        rest = "".join(line for line in done.err.splitlines(True) if not line.startswith(OURS))
        if "the interpreter's own perf support" in "".join(ours):  # which keeps a descriptor
            plain = bench.run(words, bench.environment(preload=False, images=False))
        bench.equal("ulimit %s: status, output" % limit, plain.seen, (done.status, done.out, rest))
        bench.that("ulimit %s: lines of ours" % limit, "at most 2", len(ours) <= 2, repr(ours))


CLEANED = """
import glob, os
def first(): pass
first()
for path in glob.glob(os.environ["PYPERF_DIR"] + "/*") + ["/tmp/perf-%d.map" % os.getpid()]:
    os.unlink(path)
for number in range(5000):
    exec(compile("def later%d(): pass\\nlater%d()" % (number, number), "later.py", "exec"), {})
print("end")
"""


@case(CASES)
def files_removed_meanwhile(bench):
    """A cleaner of /tmp does not disturb the program."""
    done = bench.run_python(bench.write("cleaned.py", CLEANED))
    bench.equal("status, output", (0, "end\n"), (done.status, done.out))
    only_ours(bench, done)


DROPPED = """
import os
def first(): pass
first()
os.setuid(65534)
for number in range(3000):
    exec(compile("def later%d(): pass\\nlater%d()" % (number, number), "later.py", "exec"), {})
print("end")
"""


@case(CASES)
def rights_dropped_meanwhile(bench):
    """A daemon that drops root, and with it the right to write to its files."""
    if os.geteuid() != 0:
        raise Skip("only root can")
    environment = bench.environment(images=False)
    done = bench.run_python(bench.write("dropped.py", DROPPED), environment=environment)
    bench.equal("status, output", (0, "end\n"), (done.status, done.out))
    only_ours(bench, done)
    left = bench.left(done.pid)
    bench.that("images", "1 or 2", len(bench.image_paths(done.pid)) in (1, 2), repr(left))


CLOSED = """
import os, sys
listed = sorted(os.listdir("/proc/self/fd"))
for number in range(3000):
    exec(compile("def called%d(): pass\\ncalled%d()" % (number, number), "many.py", "exec"), {})
with open(sys.argv[1], "w") as out:
    out.write(repr((listed, sorted(os.listdir("/proc/self/fd")))))
"""


@case(CASES)
def standard_descriptors_closed(bench):
    """Files that are opened get the numbers 0 to 2, and libpyperf writes nothing to them."""
    program, answers = bench.write("closed.py", CLOSED), []
    for preload in (False, True):
        answer = os.path.join(bench.folder, "answer%d" % preload)
        words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", bench.python, program, answer]
        environment = bench.environment(preload=preload, support="1" if preload else None)
        done = bench.run(words, environment)
        with open(answer) as file:
            answers.append((done.seen, file.read()))
    bench.equal("status, output, descriptors", answers[0], answers[1])


FOREIGN = """
import os, sys
path = "/tmp/perf-%d.map" % os.getpid()
if sys.argv[1] == "link":
    os.symlink(sys.argv[2], path)
elif sys.argv[1] == "fifo":
    os.mkfifo(path)
elif sys.argv[1] == "directory":
    os.mkdir(path)
elif sys.argv[1] == "hard link":
    os.link(sys.argv[2], path)
os.environ.update(PYTHONPERFSUPPORT="1", LD_PRELOAD=sys.argv[3])
os.execv(sys.executable, [sys.executable, "-c", "def f(): return 1\\nprint(f())"])
"""


@case(CASES)
def map_not_followed(bench):
    """A file at the map's path that is not ours stays unchanged."""
    program = bench.write("foreign.py", FOREIGN)
    for what in ("link", "hard link", "fifo", "directory"):
        victim = bench.write("victim", "precious\n")
        plain = bench.environment(preload=False, support=None)
        done = bench.run_python(program, what, victim, bench.library, environment=plain)
        path = bench.map_path(done.pid)
        (os.rmdir if os.path.isdir(path) else os.unlink)(path)
        bench.equal("%s: status, output" % what, (0, "1\n"), (done.status, done.out))
        with open(victim) as file:
            bench.equal("%s: the other file" % what, "precious\n", file.read())
        bench.equal("%s: lines" % what, 1, len(lines_of_ours(done.err)))
