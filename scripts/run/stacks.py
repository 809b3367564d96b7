"""Samples and tasks of a perf.data, one after the other, and its header."""

import errno
import os
import re
import subprocess
import tempfile

import enclosing
import perf_script
import python2
import roots
import running

# Of perf record the program that it runs, behind what pyperf-run starts it with; not where it records others.
PROGRAM = re.compile(r" -- (?:.*/launch\.sh .* PYTHONPERFSUPPORT=1 (?:[A-Z\d]* )*)?(\S.*?) *$")
OTHERS = re.compile(r" (-[ptua]|--pid|--tid|--uid|--all-cpus)\b")
# perf record's own limit: the size travels in 16 bits, and is a multiple of 8 (perf_event_open(2)).
LARGEST_COPY = 65528
DEFAULT_COPY = 8192  # of perf record --call-graph dwarf
NO_STACKS = "none"
INSIDE = "inside"  # of the sampler: samples.py


class Failed(Exception):
    """One line for the user: what happened, why, what to do."""


class Recording:
    """How a profile was recorded, by its header."""

    # Of the sampler's profiles alone: CPU time of the program, its duration, its begin, and words for the summary.
    used = lasted = began = how = None

    def __init__(self, path, text, files=None):
        self.path, self.sources = path, enclosing.Sources(files)
        sizes = re.findall(r"sample_stack_user = (\d+)", text)
        limits = re.findall(r"sample_max_stack = (\d+)", text)
        command = re.search(r"^# cmdline : (.*)", text, re.M)
        command = command.group(1) if command else ""
        self.command = program(command)
        self.stack_size = max([int(size) for size in sizes] or [None])
        self.max_stack = max([int(limit) for limit in limits] or [None])
        self.mode = None  # not known
        copied = re.search(r"--call-graph[ =]dwarf(?:,(\d+))?", command)
        if copied and not self.stack_size and "CALLCHAIN" in text:
            # perf_chains.py has put call chains in place of the copies.
            self.stack_size = int(copied.group(1) or DEFAULT_COPY)
        if self.stack_size:
            self.mode = "dwarf"
        elif re.search(r"(--call-graph[ =]|-g ?)lbr\b", command):
            self.mode = "lbr"
        elif "CALLCHAIN" in text:
            self.mode = "fp"
        elif "sample_type = " in text:
            self.mode = NO_STACKS
        self.events = re.findall(r"^# event : name = ([^,]+),", text, re.M)
        self.first, self.last = seconds(text, "first"), seconds(text, "last")

    def first_line(self, name, file):
        """By the source, where it is here: perf knows none."""
        return self.sources.first_line(name, file)

    def has_lost(self, name):
        """Whether the file of that name is known to differ from the program's. The kernel is no
        file."""
        recorded = build_ids(self.path).get(name) if name.startswith("/") else None
        if recorded is None or recorded in build_ids(name).values():
            return False
        return not os.path.exists(os.path.join(copies(self.path), ".build-id", recorded[:2], recorded[2:], "elf"))


def program(command):
    """With its arguments; None where it is not known."""
    match = PROGRAM.search(command)
    return match.group(1) if match and not OTHERS.search(command[: match.start()]) else None


def seconds(text, which):
    match = re.search(r"^# time of %s sample : +(\d+\.\d+)" % which, text, re.M)
    return float(match.group(1)) if match else None


def environment():
    return dict(os.environ, LC_ALL="C")


def copies(path):
    """The build-id cache with what the program has removed (unpacked.sh), or nothing; its folder "files" has
    a libc with unwind data (unwind.sh). While the profile is not at its place pyperf-run says where it is; later it is
    beside it (places.sh)."""
    if "PYPERF_BUILDID_DIR" in os.environ:
        return os.environ["PYPERF_BUILDID_DIR"]
    images = (path[: -len(".old")] if path.endswith(".old") else path) + ".images"
    try:
        inode = "%d" % os.stat(path).st_ino
        for run in sorted(os.listdir(images)):
            debug = os.path.join(images, run + ".debug")
            profiles = os.path.join(images, run, "profiles")
            if os.path.isdir(debug) and os.path.isfile(profiles):
                with open(profiles) as lines:
                    if inode in lines.read().split("\n"):
                        return debug
    except (IOError, OSError):
        pass
    return ""


class Archive:
    """Options for perf to read the files beside a profile in an archive (archive.sh)."""

    def __init__(self, path):
        self.folder = folder = os.path.dirname(os.path.realpath(path))
        self.before, self.after, kept = [], [], copies(path)
        if kept:
            self.before = ["--buildid-dir", kept]
        if kept and os.path.isdir(os.path.join(kept, "files")):
            self.after = ["--symfs", os.path.join(kept, "files"), "--kallsyms", "/proc/kallsyms"]
        if os.path.isdir(os.path.join(folder, "debug", ".build-id")):
            self.before, self.after = ["--buildid-dir", os.path.join(folder, "debug")], []
            for option, name in (("--symfs", "files"), ("--kallsyms", "kallsyms")):
                if os.path.exists(os.path.join(folder, name)):
                    self.after += [option, os.path.join(folder, name)]

    def mapped(self, pid, path):
        """The content of a file that libpyperf has made and the process has mapped: in the archive, or where it was
        made, which the process may have seen at another place. None if it is not there."""
        try:
            with open(os.path.join(self.folder, "calls", os.path.basename(path)), "rb") as file:
                return file.read(running.LARGEST)
        except (IOError, OSError):
            pass
        for file in roots.Roots(["/proc/%d/root" % pid]).opened(path):
            with file:
                return file.read(running.LARGEST)
        return None


def perf(words, **more):
    try:
        with open(os.devnull, "r+b") as nothing:
            more.setdefault("stderr", nothing)
            return subprocess.Popen(["perf"] + words, stdin=nothing, env=environment(), **more)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise Failed("perf is not installed: " + how_to_install("perf"))
        raise Failed("perf cannot be run: %s" % error.strerror)


def how_to_install(what):
    script = os.path.join(os.path.dirname(os.path.realpath(__file__)), "how_to_install.sh")
    return subprocess.check_output(["/bin/sh", script, what]).decode("ascii").strip()


def whole_stacks():
    """Of perf_script.WHOLE_STACKS what this perf has. One that lacks them does not cut, or expand, stacks."""
    child = perf(["script", "-h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    known = child.communicate()[0].decode("utf-8", "replace")
    words = perf_script.WHOLE_STACKS
    if "max-stack" not in known:
        words = [word for word in words if word not in ("--max-stack", "4096")]
    if "inline" not in known:
        words = [word for word in words if word != "--no-inline"]
    return words


def output(words):
    """perf's output, whatever its exit status."""
    child = perf(words, stdout=subprocess.PIPE)
    try:
        return child.communicate()[0].decode("utf-8", "replace")
    except BaseException:
        end(child)
        raise


def recording(path, files=None):
    """The header; records() says why a profile cannot be read. files: the roots.Roots in which sources are looked
    for."""
    return Recording(path, output(["report", "--header-only", "-i", path]), files)


def build_ids(path):
    """{name: build id} of the objects in a profile, or of an ELF file, without a name."""
    lines = output(["buildid-list", "-i", path]).splitlines()
    return {name: number for number, _, name in (line.partition(" ") for line in lines)}


def records(path):
    """All samples and tasks in perf's order. Raises Failed, possibly after some of them."""
    archive = Archive(path)
    words = archive.before + ["script", "-i", path, "--show-task-events", "--show-mmap-events"] + archive.after
    words += whole_stacks() + ["--fields", perf_script.FIELDS]
    with tempfile.TemporaryFile() as errors:
        child = perf(words, stdout=subprocess.PIPE, stderr=errors)
        try:
            with python2.text_of(child.stdout) as lines:
                for record in running.Running(archive.mapped).named(perf_script.parse(lines)):
                    yield record
            child.stdout.close()
            status = child.wait()
        except BaseException:
            end(child)
            raise
        if status != 0:
            errors.seek(0)
            raise Failed(explain(path, status, errors.read().decode("utf-8", "replace")))


def end(child):
    child.kill()
    child.stdout.close()
    child.wait()


def explain(path, status, errors):
    """perf's reason in words that say what to do."""
    if "not owned by current user" in errors:
        return "%s belongs to another user, and perf does not trust it: make a copy" % path
    if "incompatible file format" in errors:
        return "%s is not a profile of perf record" % path
    lines = [line for line in errors.split("\n") if line.strip()]
    reason = lines[-1].strip() if lines else "it says nothing"
    return "perf script cannot read %s to its end, record again (status %d: %s)" % (
        path,
        status,
        reason,
    )


def check_readable(path):
    again = "record again with: pyperf-run -o %s program" % path
    try:
        with open(path, "rb") as profile:
            empty = not profile.read(1)
    except (IOError, OSError) as error:
        if error.errno == errno.ENOENT:
            raise Failed("%s: no such file; record it with: pyperf-run -o %s program" % (path, path))
        if error.errno == errno.EISDIR:  # of perf record --threads
            return
        raise Failed("%s: %s" % (path, error.strerror))
    if empty:
        raise Failed("%s is empty, perf did not come to write it: %s" % (path, again))
