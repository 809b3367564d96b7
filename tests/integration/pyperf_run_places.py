"""Cases of test_pyperf_run.py about where pyperf-run is, where it may write, and as whom."""

import glob
import os
import shutil

from pyperf_run_bench import BUILD, RUN, names
from pyperf_run_programs import HOT


def no_execution(bench):
    """On a noexec file system, images are kept elsewhere than beside the profile."""
    bench.clear_work()
    place = os.path.join(bench.work, "noexec")
    os.mkdir(place)
    data = os.path.join(place, "empty", "perf.data")
    mount = 'mount -t tmpfs -o noexec,size=64m none "$1" && mkdir "$1/empty" && shift && exec "$@"'
    command = [RUN, "-o", data, "--", bench.interpreter, "-c", "print('ran')"]
    probe = bench.run(["unshare", "-m", "sh", "-c", mount, "sh", place, "true"])
    if probe.returncode:
        print("SKIP %s, noexec: %s" % (bench.interpreter, probe.stderr.strip()))
        return
    done = bench.run(["unshare", "-m", "sh", "-c", mount, "sh", place] + command)
    kept = os.listdir(bench.temporary)
    bench.check("noexec: the program ran", (0, "ran\n"), (done.returncode, done.stdout))
    said = len(kept) == 1 and kept[0] in done.stderr
    bench.check("noexec: images are kept, and said so", True, said)
    for name in kept:
        shutil.rmtree(os.path.join(bench.temporary, name))


def ordinary_user(bench):
    """The user nobody, with the kernel's default permissions."""
    if os.getuid():
        return
    for path in (bench.folder, bench.temporary, bench.work, bench.home):
        os.chmod(path, 0o777)
    bench.clear_work()
    os.chmod(bench.work, 0o777)
    # The checkout may lie where only root can read.
    run = copy_checkout(os.path.join(bench.folder, "checkout"))
    command = [run] + bench.command("-c", HOT, "alone")[1:]
    copied = {k: v for k, v in bench.environment.items() if k != "PYPERF_LIBRARY"}
    paranoid = "/proc/sys/kernel/perf_event_paranoid"
    with open(paranoid) as file:
        before = file.read()
    try:
        with open(paranoid, "w") as file:
            file.write("2")
    except OSError:
        print("SKIP %s, ordinary user: %s cannot be set" % (bench.interpreter, paranoid))
        return
    try:
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if bench.run(as_nobody + ["test", "-r", bench.interpreter]).returncode:
            print("SKIP %s, ordinary user: may not run it" % bench.interpreter)
            return
        done = bench.run(as_nobody + command, env=copied)
    finally:
        with open(paranoid, "w") as file:
            file.write(before)
    bench.check("ordinary user: status and stderr", (0, ""), (done.returncode, done.stderr))
    bench.check("ordinary user: names", True, "hot:<string>" in names(bench.samples("-f")))


def copy_checkout(folder):
    """What pyperf-run needs of it. Returns the copy of pyperf-run."""
    scripts, build = os.path.join(folder, "scripts"), os.path.join(folder, "build")
    shutil.copytree(os.path.join(os.path.dirname(RUN), "run"), os.path.join(scripts, "run"))
    os.mkdir(build)
    for pattern in ("*.so", "pyperf-inspect"):
        for built in glob.glob(os.path.join(glob.escape(BUILD), pattern)):
            shutil.copy(built, build)
    return shutil.copy(RUN, scripts)


def odd_places(bench):
    """A checkout whose path LD_PRELOAD cannot hold, called through a link."""
    run = copy_checkout(os.path.join(bench.folder, "two words: $LIB"))
    link = os.path.join(bench.work, "link")
    os.symlink(run, link)
    bare = {k: v for k, v in bench.environment.items() if k != "PYPERF_LIBRARY"}
    code = "with open('/proc/self/maps') as maps: print('libpyperf.so' in maps.read())"
    done = bench.run([link, "-q", bench.interpreter, "-c", code], env=bare)
    bench.check("path with blanks, through a link", ("True\n", ""), (done.stdout, done.stderr))
