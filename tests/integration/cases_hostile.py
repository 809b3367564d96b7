"""Foreign files at the paths of ours, and changes to our files: no link is followed, no foreign
file is written to, and the program continues."""

import json
import os
import shutil
import stat

import harness
import jitdump_parser
from harness import Skip, case
from outcome import switch_environment

CASES = []
OURS = "libpyperf: "
FILES = (("map", "-X perf"), ("dump", "-X perf_jit"))
PROGRAM = "import sys\ndef f(): return sys.is_stack_trampoline_active()\nprint(f())"
# Switched on by the program itself.
ACTIVATING = "import sys\nsys.activate_stack_trampoline(%r)\n" + PROGRAM[len("import sys\n") :]

PLANTED = (
    *("symbolic link", "link to nothing", "link to a directory", "hard link", "FIFO"),
    *("directory", "socket", "device", "another user's file"),
)
NEED_ROOT = ("device", "another user's file", "privileges dropped")


def split(text):
    """Our lines, and the other output."""
    ours = [line for line in text.splitlines(True) if line.startswith(OURS)]
    return ours, "".join(line for line in text.splitlines(True) if not line.startswith(OURS))


def path_of(bench, file, pid):
    return bench.map_path(pid) if file == "map" else bench.dump_path(pid)


def describe(path):
    """The properties of a file that must not change."""
    status = os.lstat(path)
    content = b""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as opened:
            content = opened.read()
    times = (status.st_mtime_ns,)
    return (status.st_ino, status.st_mode, status.st_uid, status.st_size) + times + (content,)


def take_away(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        harness.remove(path)


def plant(bench, what, file, words):
    """Runs the interpreter with that at the path of its file; returns what was observed."""
    victim = os.path.join(bench.folder, "victim", "file")
    os.makedirs(os.path.dirname(victim), exist_ok=True)
    with open(victim, "w") as opened:
        opened.write("precious\n")
    before = describe(victim)
    environment = bench.environment(preload=False, support=None, images=False)
    words, later = bench.asked([bench.python] + words, switch_environment(bench))
    environment["PLANTED_ENVIRONMENT"] = json.dumps(later)
    command = [bench.python, bench.program("planted.py"), what, file, victim]
    done = bench.run(command + words, environment)
    # Planting itself only adds a hard link.
    same = describe(victim) == before and sorted(os.listdir(os.path.dirname(victim))) == ["file"]
    return done, same, path_of(bench, file, done.pid)


def look_at_planted(bench, what, file, words, how):
    done, same, path = plant(bench, what, file, words)
    ours, rest = split(done.err)
    named = "%s in the place of the %s, %s" % (what, file, how)
    bench.equal("%s: status, output" % named, (0, "True\n", ""), (done.status, done.out, rest))
    bench.equal("%s: lines of ours" % named, 1, len(ours))
    bench.equal("%s: victim as before" % named, True, same)
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    unlike = kind == stat.S_IFREG and what not in ("hard link", "another user's file")
    bench.equal("%s: still there" % named, False, unlike)
    if what == "another user's file":
        bench.equal("%s: its text" % named, b"foreign\n", describe(path)[-1])
    take_away(path)


def devices_can_be_made(bench):
    """Not even root can in a user namespace (user_namespaces(7))."""
    path = os.path.join(bench.folder, "device")
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        return False
    os.unlink(path)
    return True


@case(CASES)
def hostile_planted(bench):
    for what in PLANTED:
        if what in NEED_ROOT and os.geteuid() != 0:
            bench.skip(what, "needs root")
            continue
        if what == "device" and not devices_can_be_made(bench):
            bench.skip(what, "no device can be made here")
            continue
        for file, option in FILES:
            look_at_planted(bench, what, file, option.split() + ["-c", PROGRAM], "from the start")
            backend = option.split()[1]
            look_at_planted(bench, what, file, ["-c", ACTIVATING % backend], "switched on later")


@case(CASES)
def hostile_own_file(bench):
    """Files of an earlier process with our pid: lines are appended to the map, and the dump is
    replaced."""
    done, _, path = plant(bench, "own file", "map", ["-X", "perf", "-c", PROGRAM])
    bench.equal("map: status, output", (0, "True\n", ""), done.seen)
    with open(path) as file:
        lines = file.read().splitlines()
    bench.equal("map: first line", "1000 10 py::earlier:program.py", lines[0])
    bench.equal("map: names", True, any(line.endswith(" py::f:<string>") for line in lines))
    done, _, path = plant(bench, "own file", "dump", ["-X", "perf_jit", "-c", PROGRAM])
    bench.equal("dump: status, output", (0, "True\n", ""), done.seen)
    names = [one.name for one in jitdump_parser.load(path).loads]
    bench.equal("dump: names", 1, names.count("py::f:<string>"))


def look_at_files(bench, named, folder, pid):
    """Checks that all lines of a map and all records of a dump are complete."""
    dump, map_file = (os.path.join(folder, name % pid) for name in ("jit-%d.dump", "perf-%d.map"))
    if os.path.isfile(dump) and not os.path.islink(dump) and os.path.getsize(dump) > 0:
        try:
            found = "%d records" % (len(jitdump_parser.load(dump).records) % 2)
        except jitdump_parser.Damaged as error:
            found = str(error)
        bench.equal("%s: dump, records without a partner" % named, "0 records", found)
    if os.path.isfile(map_file) and not os.path.islink(map_file):
        with open(map_file, "rb") as file:
            text = file.read()
        bench.equal("%s: whole lines" % named, True, text == b"" or text.endswith(b"\n"))
        lines = [line for line in text.split(b"\n") if line]
        damaged = [line for line in lines if len(line.split(b" ", 2)) != 3 or b"\0" in line]
        bench.equal("%s: map, damaged lines" % named, [], damaged[:3])


RUNNING = (
    *("nothing", "size limit, 0 more", "size limit, 100 more", "size limit, 10000 more"),
    *("size limit, 0", "no descriptors", "removed", "replaced by a link"),
    *("replaced by a hard link", "replaced by a FIFO", "replaced by a directory"),
    *("replaced by another file", "truncated", "privileges dropped"),
)


def look_at_running(bench, what, file, option):
    victim = bench.write("victim", "precious\n")
    before = describe(victim)
    command = [bench.python] + option.split() + [bench.program("hostile.py"), what, victim]
    done = bench.run(command, switch_environment(bench))
    ours, rest = split(done.err)
    named = "%s of the %s" % (what, file)
    bench.equal("%s: status, output" % named, (0, "end 0\n", ""), (done.status, done.out, rest))
    most = 0 if what == "nothing" else 2
    bench.that("%s: lines of ours" % named, "at most %d" % most, len(ours) <= most, repr(ours))
    bench.equal("%s: victim as before" % named, True, describe(victim) == before)
    path = path_of(bench, file, done.pid)
    if what == "replaced by another file":
        text = describe(path)[-1]
        kept = text == b"mine\n" if file == "dump" else text.startswith(b"mine\n")
        bench.that("%s: its text" % named, "kept", kept, repr(text[:80]))
    elif what not in ("truncated", "replaced by a hard link"):
        look_at_files(bench, named, "/tmp", done.pid)
    take_away(path)


@case(CASES)
def hostile_while_running(bench):
    """The files are limited, removed, replaced and truncated while the program runs; SIGXFSZ is
    never raised."""
    for what in RUNNING:
        if what in NEED_ROOT and os.geteuid() != 0:
            bench.skip(what, "needs root")
            continue
        for file, option in FILES:
            look_at_running(bench, what, file, option)


@case(CASES)
def hostile_limits_from_the_start(bench):
    """RLIMIT_FSIZE is set before the interpreter starts, with SIGXFSZ's default action."""
    program = bench.program("hostile.py")
    for kibibytes in (0, 1, 4, 16, 64, 256):
        for file, option in FILES:
            # bash counts in 1024 bytes, others in 512.
            limit = "ulimit -f %d; exec \"$@\"" % kibibytes
            command = ["bash", "-c", limit, "bash", bench.python] + option.split()
            done = bench.run(command + [program, "nothing", "-"], switch_environment(bench))
            ours, rest = split(done.err)
            named = "%s, %d KiB" % (file, kibibytes)
            got = (done.status, done.out, rest)
            bench.equal("%s: status, output" % named, (0, "end 0\n", ""), got)
            bench.that("%s: lines of ours" % named, "at most 2", len(ours) <= 2, repr(ours))
            look_at_files(bench, named, "/tmp", done.pid)


# In a mount namespace of its own: the build on /mnt, the case's folder on /media, and a small file
# system on /tmp. The files are copied out at the end.
SMALL = """
mount --bind "$1" /mnt && mount --bind "$2" /media || exit 99
mount -t tmpfs -o "size=$3" none /tmp || exit 99
shift 3
"$@"
status=$?
cp /tmp/*.dump /tmp/*.map /media/out 2>/dev/null
exit $status
"""


def on_small_tmp(bench, size, command, environment):
    unshare = ["unshare", "-m"] + (["-r"] if os.geteuid() != 0 else [])
    words = unshare + ["sh", "-c", SMALL, "sh", bench.build, bench.folder, size]
    assignments = ["env", "LD_PRELOAD=/mnt/libpyperf.so"]
    return bench.run(words + assignments + command, environment)


@case(CASES)
def hostile_disk_full(bench):
    """/tmp fills up, with the image there or elsewhere."""
    out = os.path.join(bench.folder, "out")
    os.mkdir(out)
    shutil.copy(bench.program("hostile.py"), bench.folder)
    probe = on_small_tmp(bench, "64k", ["true"], bench.environment(preload=False, support=None))
    if probe.status != 0:
        raise Skip("no file system can be mounted here: %s" % probe.err.strip())
    for size in ("4k", "32k", "128k", "256k", "512k"):
        for file, option in FILES:
            for images in ("/media/images", "/tmp"):
                where = "there too" if images == "/tmp" else "elsewhere"
                named = "%s on %s, image %s" % (file, size, where)
                look_at_disk_full(bench, named, size, option, images, out)


def look_at_disk_full(bench, named, size, option, images, out):
    environment = switch_environment(bench, preload=False, PYPERF_DIR=images)
    command = [bench.python] + option.split() + ["/media/hostile.py", "nothing", "-"]
    done = on_small_tmp(bench, size, command, environment)
    ours, rest = split(done.err)
    bench.equal("%s: status, output" % named, (0, "end 0\n", ""), (done.status, done.out, rest))
    bench.that("%s: lines of ours" % named, "at most 2", len(ours) <= 2, repr(ours))
    for name in os.listdir(out):
        pid = int(name.replace("jit-", "perf-").split("-")[1].split(".")[0])
        look_at_files(bench, named, out, pid)
        os.unlink(os.path.join(out, name))


PLAIN_ENV = """
import os, sys
os.umask(int(sys.argv[1], 8))
sys.activate_stack_trampoline(sys.argv[2])
def f(): return 1
f()
"""


@case(CASES)
def hostile_umask(bench):
    """The files have mode 0600, whatever the program's umask is."""
    for umask in ("000", "022", "077"):
        for file, option in FILES:
            words = ["-c", PLAIN_ENV, umask, option.split()[1]]
            done = bench.run_python(*words, environment=switch_environment(bench))
            bench.equal("%s: status, output" % umask, (0, "", ""), done.seen)
            mode = stat.S_IMODE(os.stat(path_of(bench, file, done.pid)).st_mode)
            bench.equal("%s: mode of the %s" % (umask, file), "0600", "%04o" % mode)
