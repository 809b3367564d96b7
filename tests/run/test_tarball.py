#!/usr/bin/env python3
"""The tarball of "make tarball": its contents, and what it does where part of it cannot be used.

    test_tarball.py [--build DIR] [--twice]

Each case is one line: verdict, case, expected, got.
"""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import looks
import harness
import test_libc
from looks import ROOT, make
from interpreters import plain_environment

LARGEST = 1500000
WANTED = """
bin/pyperf-run lib/libpyperf.so lib/libpyperf-plan.so lib/libpyperf/pyperf-inspect lib/libpyperf/pyperf-unwind lib/libpyperf/pyperf-attach lib/libpyperf/record.sh
lib/libpyperf/table.py lib/libpyperf/doctor.py share/man/man1/pyperf-run.1 share/man/man7/libpyperf.7
share/bash-completion/completions/pyperf-run share/libpyperf/flamegraph.html share/libpyperf/flamegraph.LICENSE
share/doc/libpyperf/README.md share/doc/libpyperf/LICENSE share/doc/libpyperf/docs/design.md
share/doc/libpyperf/licences/SOURCES share/doc/libpyperf/licences/libelf share/doc/libpyperf/licences/libcapstone
share/doc/libpyperf/licences/liblzma share/doc/libpyperf/licences/LGPL-3 share/doc/libpyperf/licences/GPL-3
share/doc/libpyperf/relink/relink
""".split()
# A name that LD_PRELOAD, the shell and a line of text cannot hold as it is.
ODD = "two words: $LIB\nof 'it'"
PROGRAM = """
import time
def work():
    return sum(range(10000))
def main():
    end = time.time() + 0.5
    while time.time() < end:
        work()
main()
print("ran")
"""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def is_linked(path):
    """Whether it is an ELF file that a loader takes: ET_EXEC or ET_DYN (elf(5))."""
    with open(path, "rb") as file:
        start = file.read(18)
    return start[:4] == b"\177ELF" and start[16] in (2, 3)


def files(top):
    for folder, _, names in os.walk(top):
        for name in names:
            yield os.path.join(folder, name)


def build_id(path):
    # A debug file lacks the bytes of PT_INTERP, which readelf says.
    notes = subprocess.check_output(["readelf", "-n", path], stderr=subprocess.DEVNULL, universal_newlines=True)
    return re.findall(r"Build ID: (\w+)", notes)


class Tarball:
    def __init__(self, look, build):
        self.look, self.folder = look, look.folder
        self.equal, self.that = look.equal, look.that
        made = make("tarball", "O=" + build)
        if "as archives that glibc 2.17 suffices for" in made.stderr and test_libc.is_newer():
            raise harness.Skip("the archives of this machine need more than glibc 2.17")
        self.equal("make tarball", (0, ""), (made.returncode, made.stderr))
        self.path = made.stdout.strip().split("\n")[-1].split(" ", 1)[-1]
        self.sums = os.path.join(os.path.dirname(self.path), "SHA256SUMS")
        self.top = self.unpack(look.folder)

    def unpack(self, folder, suffix=".tar.xz"):
        os.makedirs(folder, exist_ok=True)
        subprocess.check_call(["tar", "xf", self.path.replace(".tar.xz", suffix), "-C", folder])
        return glob.glob(os.path.join(glob.escape(folder), "libpyperf-*"))[0]

    def run(self, top, *words, **more):
        """pyperf-run of the tarball at top, in a folder of its own. status, stdout, stderr"""
        environment = plain_environment()
        work = os.path.join(self.folder, "work")
        os.makedirs(work, exist_ok=True)
        prefix = more.pop("prefix", [])
        environment.update(more)
        words = prefix + [os.path.join(top, "bin/pyperf-run")] + list(words)
        done = looks.run(*words, cwd=work, env=environment, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def one_line(self, case, seen, *parts, **more):
        """The program has run, and one line says something of it."""
        status, out, err = seen
        lines = err.splitlines()
        good = (status, out) == (0, "ran\n") and len(lines) <= more.get("most", 1)
        good = good and len(lines) >= more.get("least", 1) and all(part in err for part in parts)
        self.that(case, "it runs, one line with %s" % (parts,), good, repr(seen))


# cases


def contents(tarball):
    names = {os.path.relpath(path, tarball.top) for path in files(tarball.top)}
    tarball.equal("is missing", [], sorted(set(WANTED) - names))
    tarball.equal("needs libunwind", [], [name for name in names if "walk" in name])
    size = os.path.getsize(tarball.path)
    tarball.that("size", "at most %d" % LARGEST, size <= LARGEST, str(size))
    listed = subprocess.check_output(["tar", "tvf", tarball.path], universal_newlines=True).splitlines()
    tarball.equal("owners", {"0/0"}, {line.split()[1] for line in listed})
    modes = {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}
    tarball.equal("modes", modes, {line.split()[0] for line in listed})
    with open(tarball.sums) as sums:
        told = dict(reversed(line.split()) for line in sums)
    folder = os.path.dirname(tarball.path)
    tarball.equal("SHA256SUMS", told, {name: digest(os.path.join(folder, name)) for name in told})
    tarball.equal("archives", 2, len(told))


def elf_files(tarball):
    debug = tarball.unpack(os.path.join(tarball.folder, "debug"), "-debug.tar.xz")
    linked = [path for path in list(files(tarball.top)) + list(files(debug)) if is_linked(path)]
    tarball.that("ELF files", "11: five, their debug files, a stub", len(linked) == 11, str(len(linked)))
    newer = []
    for path in linked:
        if path.endswith(".debug"):
            continue
        for symbol, version, _ in test_libc.imports(path):
            match = re.match(r"GLIBC_(\d+)\.(\d+)", version)
            if match and tuple(map(int, match.groups())) > test_libc.NEWEST:
                newer.append((path, symbol, version))
    tarball.equal("newer than glibc 2.17", [], newer)
    for name in ("lib/libpyperf.so", "lib/libpyperf-plan.so", "lib/libpyperf/pyperf-inspect"):
        path = os.path.join(tarball.top, name)
        shown = subprocess.check_output(["readelf", "-SW", path], universal_newlines=True)
        tarball.equal("%s has debug data" % name, False, ".debug_info" in shown)
        link = subprocess.check_output(
            ["readelf", "--string-dump=.gnu_debuglink", path], encoding="utf-8", errors="replace"
        )
        detached = os.path.join(debug, os.path.dirname(name), ".debug", os.path.basename(name) + ".debug")
        tarball.that("%s names its debug file" % name, detached, os.path.basename(detached) in link, link)
        tarball.equal("%s, its build id" % name, build_id(path), build_id(detached))


def relinked(tarball):
    """The plan library can be linked with another libelf, as the LGPL asks."""
    folder = os.path.join(tarball.top, "share/doc/libpyperf/relink")
    done = subprocess.run(["sh", os.path.join(folder, "relink")], stderr=subprocess.PIPE)
    tarball.equal("relink", (0, b""), (done.returncode, done.stderr))
    for name, shipped in (("libpyperf-plan.so", "lib"), ("pyperf-inspect", "lib/libpyperf")):
        both = os.path.join(folder, name), os.path.join(tarball.top, shipped, name)
        tarball.equal("relinked %s" % name, *[sorted(test_libc.imports(path)) for path in both])


def odd_folder(tarball):
    top = tarball.unpack(os.path.join(tarball.folder, ODD))
    for case, more in (("odd folder", {}), ("odd folder, and TMPDIR", {"TMPDIR": os.path.dirname(top)})):
        status, out, err = tarball.run(top, "-o", "odd.data", "--", sys.executable, "-c", PROGRAM, **more)
        tarball.equal("%s: status, stdout" % case, (0, "ran\n"), (status, out))
        tarball.that("%s: the table" % case, "main", " main " in err and "ld.so" not in err, err)


def half_unpacked(tarball):
    """Whatever is missing of it, the program runs."""
    top = tarball.unpack(os.path.join(tarball.folder, "half"))
    words = ["-q", "--", sys.executable, "-c", "print('ran')"]
    for part in sorted(files(os.path.join(top, "lib"))):
        name = os.path.relpath(part, top)
        if "doctor" in name:
            continue
        os.rename(part, part + ".away")
        silent = name.endswith(("pyperf-inspect", "pyperf-unwind", "pyperf-attach"))
        tarball.one_line("%s is missing" % name, tarball.run(top, *words), least=not silent, most=not silent)
        os.rename(part + ".away", part)
    status, out, err = tarball.run(top, *words)
    tarball.equal("nothing is missing", (0, "ran\n", ""), (status, out, err))
    os.rename(os.path.join(top, "lib/libpyperf"), os.path.join(top, "lib/away"))
    tarball.one_line("lib/libpyperf is missing", tarball.run(top, *words), "unpack")
    for option in ("--doctor", "--report=perf.data"):
        status, out, err = tarball.run(top, option)
        tarball.equal(option + " without it", (1, "", 1), (status, out, err.count("\n")))


def damaged(tarball):
    top = tarball.unpack(os.path.join(tarball.folder, "damaged"))
    words = ["-q", "--", sys.executable, "-c", "print('ran')"]
    plan = os.path.join(top, "lib/libpyperf-plan.so")
    with open(plan, "rb") as file:
        bytes_there = file.read()
    with open(plan, "wb") as file:
        file.write(re.sub(rb"(libpyperf \d+\.\d+\.)\d(-\w)", rb"\g<1>9\2", bytes_there))
    tarball.one_line("a plan library of another version", tarball.run(top, *words), "of another build")
    with open(os.path.join(top, "lib/libpyperf.so"), "r+b") as file:
        file.truncate(20000)
    tarball.one_line("libpyperf.so is cut", tarball.run(top, *words), "cannot be loaded here")


def not_executable(tarball):
    """On a mount without execution: a copy elsewhere is loaded."""
    script = 'mount -t tmpfs -o noexec none "$1" && cp -a "$2" "$1" && shift 2 && exec sh "$@"'
    mount = os.path.join(tarball.folder, "noexec")
    os.mkdir(mount)
    prefix = ["unshare", "-m", "sh", "-c", script, "sh", mount, tarball.top]
    if subprocess.run(prefix + ["-c", ":"], stderr=subprocess.DEVNULL).returncode:
        return tarball.look.skip("a noexec mount needs root")
    top = os.path.join(mount, os.path.basename(tarball.top))
    words = ["-o", "noexec.data", "--", sys.executable, "-c", PROGRAM]
    status, out, err = tarball.run(top, *words, prefix=prefix)
    tarball.equal("noexec: status, stdout", (0, "ran\n"), (status, out))
    tarball.that("noexec: the table", "main", " main " in err and "ld.so" not in err, err)


def install_commands(tarball):
    """What is missing on a machine is named in its own words, never in those of a build."""
    script = os.path.join(tarball.top, "lib/libpyperf/how_to_install.sh")
    for tool, wanted in (
        ("apt-get", "apt-get install "),
        ("dnf", "dnf install perf\n"),
        ("yum", "yum install perf\n"),
        ("apk", "apk add perf\n"),
        ("none", "install your distribution's package of perf\n"),
    ):
        tools = os.path.join(tarball.folder, tool)
        os.mkdir(tools)
        for name, target in ((tool, "/bin/true"), ("sed", shutil.which("sed")), ("uname", shutil.which("uname"))):
            os.symlink(target, os.path.join(tools, name))
        done = subprocess.check_output(
            ["/bin/sh", script, "perf"], env={"PATH": tools}, universal_newlines=True
        )
        tarball.that("install perf with " + tool, wanted, done.startswith(wanted), done)
    for name in os.listdir(os.path.dirname(script)):
        with open(os.path.join(os.path.dirname(script), name), "rb") as file:
            told = re.findall(rb"apt-get install [a-z-]*|make install", file.read())
        if not name.endswith(("how_to_install.sh", "pyperf-inspect", "pyperf-unwind", "pyperf-attach")):
            tarball.equal("%s: words of a build" % name, [], told)


def refused(tarball):
    made = make("tarball", "O=" + os.path.join(tarball.folder, "build"), "SHARED=1")
    line = [one for one in made.stderr.splitlines() if "statically" in one]
    tarball.equal("SHARED=1", (2, 1), (made.returncode, len(line)))


def reproducible(tarball):
    """Built in another folder: the same bytes."""
    other = os.path.join(tarball.folder, "another", "checkout")
    shutil.copytree(ROOT, other, symlinks=True, ignore=shutil.ignore_patterns("build", "__pycache__"))
    os.makedirs(os.path.join(other, "elsewhere"))
    for name in ("flamegraph.html", "flamegraph.LICENSE"):
        shutil.copy(os.path.join(os.path.dirname(tarball.path), name), os.path.join(other, "elsewhere"))
    date = subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, universal_newlines=True)
    old = os.umask(0o077)
    made = make("-j2", "tarball", "O=elsewhere", "SOURCE_DATE_EPOCH=" + date.strip(), top=other)
    os.umask(old)
    tarball.equal("built in another folder", (0, ""), (made.returncode, made.stderr))
    sums = os.path.join(other, "elsewhere", "SHA256SUMS")
    with open(sums) as theirs, open(tarball.sums) as ours:
        tarball.equal("the same bytes", ours.read(), theirs.read())


CASES = [contents, elf_files, odd_folder, half_unpacked, damaged, not_executable, install_commands, refused, relinked]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--twice", action="store_true", help="also built in another folder")
    arguments = parser.parse_args()

    def unpacked(look):
        tarball = Tarball(look, os.path.abspath(arguments.build))
        for case in CASES + [reproducible] * arguments.twice:
            case(tarball)

    return looks.main("tarball", [unpacked], looks.missing("scdoc", "dpkg-query", "xz", "perf"))


if __name__ == "__main__":
    sys.exit(main())
