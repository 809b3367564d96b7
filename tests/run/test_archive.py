#!/usr/bin/env python3
"""Archives, read on a machine that has nothing but perf: in a root with perf's own files.

    test_archive.py [--build DIR] [--python PATH] [--only CASE]...

One line for each check: verdict, interpreter, case, expected, got. PYPERF_NO_PERF=1 skips all of
it.
"""

import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile

sys.dont_write_bytecode = True

import recorded  # finds tests/integration, too

import harness
import perf
from harness import SUPPORTED, case

CASES = []
NAME = "my job's"  # needs quoting in a shell
MAPPED = "print([line.split()[5] for line in open('/proc/self/maps') if 'r-xp' in line])"


class Elsewhere:
    """Another machine: perf and its libraries are in a folder that no profile mentions, so that
    nothing is at the paths of the recording."""

    def __init__(self, bench):
        self.bench = bench
        self.root = os.path.join(bench.folder, "elsewhere")
        os.makedirs(os.path.join(self.root, "reader"))
        program = shutil.which("perf")
        needed = bench.run(["ldd", program]).out
        for path in re.findall(r"/\S+", needed) + [program]:
            shutil.copy(path, os.path.join(self.root, "reader"))
        loader = re.search(r"/\S*/(ld-\S+|ld\S*\.so\S*)", needed)
        if not loader:
            raise RuntimeError("no dynamic loader in ldd %s: %s" % (program, needed))
        self.perf = ["/reader/" + loader.group(1), "--library-path", "/reader", "/reader/perf"]
        self.enter = ["chroot", self.root]
        if os.geteuid() != 0:
            self.enter = ["unshare", "-r"] + self.enter
        started = self.run(["--version"])
        if os.geteuid() != 0 and "unshare" in started.err:
            raise harness.Skip("no user namespaces here: %s" % started.err.strip())
        if started.status != 0:
            raise RuntimeError("perf does not start in a root of its own: %s" % started.err)

    def run(self, arguments):
        environment = self.bench.environment(preload=False, support=None, images=False)
        return self.bench.run(self.enter + self.perf + arguments, environment)

    def unpack(self, archive):
        """Unpacks as READ-ME says; returns its text."""
        shutil.copy(archive, self.root)
        with tarfile.open(archive) as tar:
            text = tar.extractfile("./%s/READ-ME" % NAME).read().decode("utf-8")
        command = re.search(r"^    (tar .*)$", text, re.MULTILINE).group(1)
        subprocess.run(["sh", "-c", command], cwd=self.root, check=True)
        return text

    def read(self, text, what, more=()):
        """The output of READ-ME's command; its paths are relative to the new root."""
        command = re.search(r"^    perf (.* %s .*)$" % what, text, re.MULTILINE).group(1)
        done = self.run(shlex.split(command) + list(more))
        if done.status != 0:
            raise RuntimeError("perf %s there: status %d: %s" % (what, done.status, done.err))
        return done.out


def pack(bench, data, debug):
    archive = os.path.join(bench.folder, NAME + ".tar.bz2")
    done = recorded.run_part(bench, "archive.sh", data, debug, archive)
    if done.status != 0:
        raise RuntimeError("archive.sh: status %d: %s" % (done.status, done.err.strip()))
    bench.equal("what is said", ("", ""), (done.out, done.err))
    return archive


def read_here(bench, data, debug, more=()):
    environment = bench.environment(preload=False, support=None, images=False)
    words = ["perf", "--buildid-dir", debug, "script", "-i", data, "--no-inline"]
    return bench.run(words + ["--max-stack", "4096"] + list(more), environment).out


def summary(shown):
    names = len(re.findall(r" py::", shown))
    return "%d lines, %d Python frames" % (shown.count("\n"), names)


def look_at_script(bench, what, here, there):
    """Compares every name and every frame, and checks that there are enough."""
    good = here == there and len(re.findall(r" py::deep:", here)) > 5 * recorded.DEPTH
    bench.that(what, summary(here), good, summary(there))


def look_at_stacks(bench, what, here, there):
    """Files of debugging symbols, such as libc's own, are not found with --symfs: neither their names nor, for
    a few of libc's functions, their unwind data; nor is the vdso."""
    here, there = frames(here), frames(there)
    cut = sum(one != other for one, other in zip(here, there))
    python_frames = sum(len(one[1]) for one in here)
    bench.that(
        what + " of each sample, but 2 %",
        "%d samples, %d Python frames" % (len(here), python_frames),
        len(here) == len(there) and cut <= len(here) / 50 and python_frames > 5 * recorded.DEPTH,
        "%d samples, %d Python frames, %d other stacks" % (len(there), sum(len(one[1]) for one in there), cut),
    )


@case(CASES, SUPPORTED, needs=("perf",))
def archive_elsewhere(bench):
    debug = os.path.join(bench.folder, "cache")
    data = recorded.record(bench, debug)
    archive = pack(bench, data, debug)
    look_at_members(bench, archive)
    elsewhere = Elsewhere(bench)
    text = elsewhere.unpack(archive)
    look, fields = (look_at_stacks, perf.FIELDS) if looks_by_path(bench) else (look_at_script, [])
    here = read_here(bench, data, debug, fields)
    look(bench, "perf script", here, elsewhere.read(text, "script", fields))
    table = ["--stdio", "--children", "--fields", "overhead_children,symbol", "-g", "none"]
    shown = elsewhere.read(text, "report", table)
    bench.that("perf report", "py::work", "py::work:" in shown, summary(shown))
    place_others(bench, elsewhere)
    there = elsewhere.read(text, "script", fields)
    look(bench, "perf script, other files at these paths", here, there)
    bare = elsewhere.run(["script", "-i", NAME + "/perf.data", "--no-inline"]).out
    bench.equal("Python frames without the archive's files", 0, bare.count(" py::"))


def looks_by_path(bench):
    """As archive.sh knows it of perf 7.2."""
    environment = bench.environment(preload=False, support=None, images=False)
    return not re.match(r"perf version [1-6]\.", bench.run(["perf", "--version"], environment).out)


def look_at_members(bench, archive):
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    top = "./" + NAME
    outside = [one.name for one in members if not (one.name + "/").startswith(top + "/")]
    bench.equal("members outside of the folder", [], outside)
    bench.equal("owners", {(0, 0)}, {(one.uid, one.gid) for one in members})
    found = {one.name[len(top) + 1 :].split("/")[0] for one in members} - {""}
    by_path = ["files", "kallsyms"] if looks_by_path(bench) else []
    bench.equal("what is in the folder", sorted(["READ-ME", "debug", "perf.data"] + by_path), sorted(found))
    left = [name for name in os.listdir(bench.folder) if name.startswith(".archive")]
    bench.equal("temporary files left", [], left)


def place_others(bench, elsewhere):
    """Other versions are installed there: an ELF file of another build-id at each path."""
    for path in eval(bench.plain("-c", MAPPED).out):
        if os.path.isfile(path):
            os.makedirs(elsewhere.root + os.path.dirname(path), exist_ok=True)
            shutil.copy(shutil.which("perf"), elsewhere.root + path)


@case(CASES, SUPPORTED, needs=("perf",))
def archive_of_a_profile_that_is_there(bench):
    """Recorded without a cache of its own, as pyperf-run does when no archive is asked for."""
    data = recorded.record(bench)
    archive = os.path.join(bench.folder, NAME + ".tar.bz2")
    words = [os.path.join(recorded.ROOT, "scripts", "pyperf-run"), "--report", data, "--archive", archive]
    environment = bench.environment(preload=False, support=None, images=False)
    done = bench.run(words, environment)
    bench.that("the table", "work", done.status == 0 and " work " in done.out, repr(done.seen))
    bench.equal("stderr", "", done.err)
    here = bench.run(["perf", "script", "-i", data] + perf.FIELDS + perf.WHOLE_STACKS, environment).out
    elsewhere = Elsewhere(bench)
    text = elsewhere.unpack(archive)
    there = elsewhere.read(text, "script", perf.FIELDS)
    here, there = ([one.python for one in perf.samples(shown)] for shown in (here, there))
    bench.that("samples, Python functions", "%d" % len(here), here == there and len(here) > 50, "%d" % len(there))
    left = [name for name in os.listdir(bench.folder) if name.startswith(".archive")]
    bench.equal("temporary files left", [], left)


@case(CASES, SUPPORTED, needs=("perf",))
def archive_of_running_calls(bench):
    """The lists of calls that have no trampoline are in it, and the table there has their names."""
    environment = bench.environment(support=None, PYPERF_TOGGLE_SIGNAL="RTMIN+3")
    program = bench.start([bench.python, "-W", "ignore", bench.program("running.py"), bench.folder], environment)
    program.stdout.readline()
    os.kill(program.pid, signal.SIGRTMIN + 3)
    lists = harness.wait_for(lambda: glob.glob(os.path.join(bench.images, "*.calls")))
    data, archive = os.path.join(bench.folder, "p.data"), os.path.join(bench.folder, "calls.tar.bz2")
    words = ["perf", "record", "-q", "-N", "-g", "-e", "cpu-clock", "--call-graph", "dwarf,16384", "-o", data, "-p"]
    plain = bench.environment(preload=False, support=None, images=False)
    bench.run(words + [str(program.pid), "--", "sleep", "1"], plain)
    done = recorded.run_part(bench, "archive.sh", data, "-", archive)
    bench.equal("status, output", (0, "", ""), done.seen)
    for name in ("second", "end"):
        open(os.path.join(bench.folder, name), "w").close()
    harness.finish(program)
    for path in lists:
        os.unlink(path)
    subprocess.run(["tar", "xf", archive], cwd=bench.folder, check=True)
    names = sorted(os.listdir(os.path.join(bench.folder, "calls", "calls")))
    bench.equal("lists", sorted(os.path.basename(path) for path in lists), names)
    report = [os.path.join(recorded.ROOT, "scripts", "pyperf-run"), "--top", "0", "--report"]
    for what, path, expected in (("here", data, False), ("archive", os.path.join("calls", "perf.data"), True)):
        shown = bench.run(report + [os.path.join(bench.folder, path)], plain).out
        bench.equal("%s: has <module>" % what, expected, " <module> " in shown)


@case(CASES, SUPPORTED, needs=("perf",))
def archive_without_build_ids(bench):
    """Without a build id, which perf needs to cache the interpreter."""
    python, variables = without_build_id(bench)
    debug = os.path.join(bench.folder, "cache")
    data = recorded.record(bench, debug, python=python, variables=variables)
    listed = bench.run(["perf", "buildid-list", "-i", data]).out
    bench.equal("the interpreter in perf's list", 0, listed.count(bench.folder + "/stripped/"))
    archive = pack(bench, data, debug)
    elsewhere = Elsewhere(bench)
    text = elsewhere.unpack(archive)
    here = read_here(bench, data, debug, perf.FIELDS)
    there = elsewhere.read(text, "script", perf.FIELDS)
    look_at_stacks(bench, "frames and Python names", here, there)


def frames(shown):
    return [(len(sample.frames), sample.python) for sample in perf.samples(shown)]


def without_build_id(bench):
    """Copies the interpreter, or its library, without the note; returns the program and its
    environment."""
    folder = os.path.join(bench.folder, "stripped")
    os.mkdir(folder)
    whole, variables = bench.python, []
    if bench.interpreter.kind == "shared":
        mapped = eval(bench.plain("-c", MAPPED).out)
        whole = [path for path in mapped if "/libpython" in path][0]
        variables = ["LD_LIBRARY_PATH=" + folder]
    copy = os.path.join(folder, os.path.basename(whole))
    done = bench.run(["objcopy", "--remove-section", ".note.gnu.build-id", whole, copy])
    if done.status != 0:
        raise RuntimeError("objcopy: %s" % done.err)
    return (bench.python if variables else copy), variables


@case(CASES, SUPPORTED, needs=("perf",))
def archive_refusals(bench):
    debug = os.path.join(bench.folder, "cache")
    data = recorded.record(bench, debug, seconds=0.2)
    archive = os.path.join(bench.folder, "some.tar.bz2")
    nothing = os.path.join(bench.folder, "nothing")
    junk = bench.write("junk.data", "not a profile")
    tools = os.path.join(bench.folder, "tools")
    os.mkdir(tools)
    for tool in ("sh", "basename", "dirname", "readlink", "tar"):
        os.symlink(shutil.which(tool), os.path.join(tools, tool))
    for what, expected, arguments, more in (
        ("no profile", "no such profile", [nothing, debug, archive], {}),
        ("no cache", "no build-id cache", [data, bench.folder, archive], {}),
        ("another name", "must end in .tar.bz2", [data, debug, nothing], {}),
        ("no directory", "cannot write to", [data, debug, nothing + "/x.tar.bz2"], {}),
        ("no profile at all", "perf cannot read", [junk, debug, archive], {}),
        ("no bzip2", "bzip2 is not installed", [data, debug, archive], {"PATH": tools}),
    ):
        done = recorded.run_part(bench, "archive.sh", *arguments, **more)
        one_line = done.err.startswith("pyperf-run: ") and done.err.count("\n") == 1
        good = done.status == 1 and one_line and expected in done.err
        bench.that(what, "one line: ...%s..." % expected, good, repr(done.seen))
    bench.equal("archives made", False, os.path.exists(archive))
    look_at_missing(bench, data, debug, archive)


def look_at_missing(bench, data, debug, archive):
    """A copy is missing in the cache, as without disk space."""
    image = os.path.join(debug, bench.images.lstrip("/"))
    shutil.rmtree(image)
    done = recorded.run_part(bench, "archive.sh", data, debug, archive)
    good = done.status == 0 and "not in the archive" in done.err and "pyperf-" in done.err
    bench.that("an image that is not in the cache", "named", good, repr(done.seen))


if __name__ == "__main__":
    sys.exit(recorded.main(CASES, __doc__))
