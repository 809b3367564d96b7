"""A process with little address space, no /tmp, no /proc, another root or another pid: the program
behaves as without libpyperf, and the profile is as complete as possible."""

import os

import harness
import perf
from cases_files import CALLS, HOT, LEFT, lines_of_ours
from harness import Skip, case
from maps import Map
from outcome import switch_environment

CASES = []
MIB = 1024  # KiB, as ulimit counts
# Beyond the program's own need.
SPACES = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 32, 48, 64, 96, 128, 160, 192, 256)


def apart(text):
    """The number of our lines, and the other output."""
    ours = lines_of_ours(text)
    return len(ours), "".join(line for line in text.splitlines(True) if line[:-1] not in ours)


def limited(bench, option, kibibytes, program, environment):
    words = ["sh", "-c", 'ulimit %s %d; exec "$@"' % (option, kibibytes), "sh"]
    return bench.run(words + [bench.python, program], environment)


def needed(bench, option, program):
    """The KiB with which the program works by itself, and with a little more, too: its memory is allocated in arenas, so
    that somewhat more may be too little again."""
    plain = bench.environment(preload=False, support=None, images=False)

    def works(limit):
        return limited(bench, option, limit, program, plain).status == 0

    low, high = 1000, 400000
    while high - low > 256:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    too_little = [more for more in range(0, 2 * MIB, 128) if not works(high + more)]
    return high + max(too_little, default=-128) + 128


def look_at_limit(bench, option, program):
    least = needed(bench, option, program)
    for asked, environment in (
        ("not asked", bench.environment(support=None)),
        ("map", bench.environment()),
        ("dump", switch_environment(bench, jit="1")),
    ):
        wrong, left = [], []
        for space in SPACES:
            done = limited(bench, option, least + space * MIB, program, environment)
            lines, rest = apart(done.err)
            expected = (0, "end\n", "")
            if LEFT in done.err:
                left.append(space)  # which ends the program when it finds no memory
            elif (done.status, done.out, rest) != expected or lines > (asked != "not asked"):
                wrong.append((space, done.seen))
        named = "ulimit %s, %s: differs from plain at MiB more" % (option, asked)
        bench.equal(named, [], wrong[:3])
        if bench.interpreter.native and asked != "not asked":
            named = "ulimit %s, %s: left to its own support at MiB more" % (option, asked)
            bench.that(named, "below 24 alone", max(left, default=0) < 24, repr(left))
        if asked == "map":
            names = Map(bench.map_path(done.pid)).of_file("many.py")
            count = len(set(names) - {"<module>"})
            bench.equal("ulimit %s: functions named where there is room" % option, 3000, count)


@case(CASES)
def confined_to_address_space(bench):
    """Limits from the program's own need up to plenty."""
    program = bench.write("calls.py", CALLS)
    for option in ("-v", "-d"):
        look_at_limit(bench, option, program)


# Makes a root with all folders of the machine, with or without /tmp and /proc; the build is on its
# /mnt, the case's folder on its /media.
OTHER_ROOT = r"""
root=$1 build=$2 folder=$3 tmp=$4 proc=$5
shift 5
mount -t tmpfs none "$root" || exit 99
for path in /*; do
    case $path in
    /tmp | /proc | /mnt | /media) continue ;;
    esac
    if [ -h "$path" ]; then
        cp -P "$path" "$root" || exit 99
    elif [ -d "$path" ]; then
        mkdir "$root$path" && mount --rbind "$path" "$root$path" || exit 99
    fi
done
mkdir "$root/mnt" "$root/media" || exit 99
mount --bind "$build" "$root/mnt" && mount --bind "$folder" "$root/media" || exit 99
[ "$proc" = "no /proc" ] || { mkdir "$root/proc" && mount --rbind /proc "$root/proc" || exit 99; }
case $tmp in
"no /tmp") ;;
"full /tmp") mkdir "$root/tmp" && mount -t tmpfs -o size=4k none "$root/tmp" &&
    head -c 4096 /dev/zero >"$root/tmp/full" || exit 99 ;;
"/tmp for reading") mkdir "$root/tmp" && mount -t tmpfs -o ro none "$root/tmp" || exit 99 ;;
/tmp) mkdir "$root/tmp" && mount --bind /tmp "$root/tmp" || exit 99 ;;
esac
exec chroot "$root" env LD_PRELOAD=/mnt/libpyperf.so "$@"
"""


def in_other_root(bench, tmp, proc, command, environment):
    if os.geteuid() != 0:
        raise Skip("only root can change its root")
    root = os.path.join(bench.folder, "root")
    os.makedirs(root, exist_ok=True)
    words = ["unshare", "-m", "sh", "-c", OTHER_ROOT, "sh", root, bench.build, bench.folder]
    return bench.run(words + [tmp, proc] + command, environment)


@case(CASES)
def confined_to_another_root(bench):
    """With and without /tmp and /proc, and with the image in /tmp or elsewhere."""
    bench.write("hot.py", HOT.replace("print(os.getpid())", 'print("end")'))
    command = [bench.python, "/media/hot.py", "0"]
    probe = in_other_root(bench, "/tmp", "/proc", ["/bin/true"], bench.environment(preload=False))
    if probe.status != 0:
        raise Skip("no other root can be had here: %s" % probe.err.strip())
    for proc in ("/proc", "no /proc"):
        for tmp in ("/tmp", "no /tmp", "/tmp for reading", "full /tmp"):
            for images in ("/media/images", "/tmp"):
                environment = bench.environment(preload=False, PYPERF_DIR=images)
                done = in_other_root(bench, tmp, proc, command, environment)
                named = "%s, %s, images in %s" % (tmp, proc, images)
                look_at_other_root(bench, named, tmp, proc, images, done)


def look_at_other_root(bench, named, tmp, proc, images, done):
    lines, rest = apart(done.err)
    bench.equal("%s: status, output" % named, (0, "end\n", ""), (done.status, done.out, rest))
    files, wanted = bench.image_paths(done.pid, bench.images), []
    if proc == "no /proc":
        said = LEFT if bench.interpreter.native else "not profiling"
        declined = lines == 1 and said in done.err
        bench.that("%s: declined" % named, "one line", declined, repr(done.err))
    elif tmp == "/tmp":
        bench.equal("%s: lines of ours" % named, 0, lines)
        names = Map(bench.map_path(done.pid)).of_file("/media/hot.py")
        bench.equal("%s: names" % named, ["<module>", "hot", "main"], names)
        wanted = files if images == "/media/images" else []
    else:
        # One line for the map; one more without an image.
        bench.equal("%s: lines of ours" % named, 1 if images == "/media/images" else 2, lines)
        wanted = files if images == "/media/images" else []
    if proc == "/proc" and images == "/media/images":
        bench.equal("%s: images" % named, 1, len(wanted))
        bench.equal("%s: names in the image" % named, True, has_name(wanted[0], "py::hot:"))
        harness.remove(wanted[0])
    else:
        bench.equal("%s: images" % named, [], files)


def has_name(path, name):
    with open(path, "rb") as file:
        return name.encode() in file.read()


ENTER_ROOT = """
import os, sys
def first(): pass
first()
os.chroot(sys.argv[1])
os.chdir("/")
for number in range(3000):
    exec(compile("def later%d(): pass\\nlater%d()" % (number, number), "later.py", "exec"), {})
    if sys.argv[2] == "switching" and number % 500 == 0:
        for switch in (sys.deactivate_stack_trampoline, sys.activate_stack_trampoline):
            try:
                switch(*["perf"] * (switch is sys.activate_stack_trampoline))
            except RuntimeError:
                pass
pid = os.fork()
if pid == 0:
    exec("def child(): return 1\\nchild()")
    os._exit(0)
print("end", os.waitpid(pid, 0)[1])
"""


@case(CASES)
def confined_by_itself(bench):
    """A daemon that changes its root to an empty directory: no files and no /proc from then on."""
    if os.geteuid() != 0:
        raise Skip("only root can change its root")
    program = bench.write("enter.py", ENTER_ROOT)
    empty = os.path.join(bench.folder, "empty")
    os.mkdir(empty)
    for how in ("on", "switching"):
        for environment in (bench.environment(), switch_environment(bench, jit="1")):
            done = bench.run_python(program, empty, how, environment=environment)
            lines, rest = apart(done.err)
            bench.equal("%s: status, output" % how, (0, "end 0\n", ""), (*done.seen[:2], rest))
            # The map, the dump, the image, the hook; and the child's map and image, because it does
            # not inherit their failures.
            bench.that("%s: lines of ours" % how, "at most 6", lines <= 6, repr(done.err))
            bench.equal("%s: files made there" % how, [], os.listdir(empty))


# Process 1 of its own pid namespace, as in a container, with its own /tmp.
OWN_NAMESPACE = """
mount --bind "$1" /mnt && mount --bind "$2" /media && mount -t tmpfs none /tmp || exit 99
shift 2
exec env LD_PRELOAD=/mnt/libpyperf.so "$@"
"""
BUSY = """
import sys
def hot():
    for i in range(3000): pass
def main():
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    while True: hot()
main()
"""


def samples_of(bench, environment):
    """Reports while the process still runs: its namespaces end with it."""
    words = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child"]
    words += ["sh", "-c", OWN_NAMESPACE, "sh", bench.build, bench.folder]
    process = bench.start(words + [bench.python, "/media/busy.py"], environment)
    try:
        if process.stdout.readline() != "ready\n":
            raise Skip("no namespaces can be had here: %s" % harness.kill(process).err.strip())
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as file:
            pid = file.read().split()[0]
        data = os.path.join(bench.folder, "perf.data")
        perf_words = ["perf", "record", "--call-graph", perf.call_graph(bench), "-F", perf.FREQUENCY]
        plain = bench.environment(preload=False, support=None, images=False)
        recorded = bench.run(perf_words + ["-o", data, "-p", pid, "--", "sleep", "0.6"], plain)
        if recorded.status != 0:
            raise RuntimeError("perf record: %s" % recorded.err)
        if bench.interpreter.musl:
            perf.add_unwind_data(bench)
        # For inlined functions perf 6.1 asks an addr2line outside of the namespace, which cannot
        # answer, and perf crashes.
        return perf.script(bench, data, ["--no-inline"])
    finally:
        if process.poll() is None:
            harness.kill(process)


@case(CASES, needs=("perf",))
def confined_to_own_namespaces(bench):
    """perf looks for the files of the pid in the innermost namespace, in the process's own /tmp."""
    if os.geteuid() != 0:
        raise Skip("perf needs root to look into another namespace")
    perf.need_libunwind(bench)
    bench.write("busy.py", BUSY)
    chain = ["%s:/media/busy.py" % name for name in ("hot", "main", "<module>")]
    for what, images, depth in (("image", "/media/images", 3), ("map alone", "/nowhere", 1)):
        samples = samples_of(bench, bench.environment(preload=False, PYPERF_DIR=images))
        good = [one for one in samples if one.python[:depth] == chain[:depth]]
        least = 90 if bench.interpreter.debug else 95
        enough = 100 * len(good) >= least * len(samples) > 45 * 95
        got = perf.share(len(good), len(samples))
        bench.that("%s: hot() and below" % what, "%d %% of 50 or more" % least, enough, got)
