"""What perf and the machine allow, independent of the interpreter."""

import glob
import mmap
import os
import re
import resource
import shutil
import stat
import tempfile

import doctor_tools
import stacks

MIB = 1 << 20
# A second of a busy CPU: 199 samples of 65528 bytes each.
SPACE_MIN = 1024 * MIB
# An image takes 18 MiB, and libpyperf leaves 128 to the program; the interpreter has its own.
ADDRESS_SPACE_MIN = 256 * MIB
# perf's buffer is the largest power of two that perf_event_mlock_kb allows, less a page; a sample
# with its stack takes 64 KiB of it, and one that finds no room is lost: with 64 all of them are.
BUFFER_KIB_MIN, BUFFER_KIB_WANTED = 128, 256
FRAMES_WANTED = 512  # a Python call has 3 to 5
CAPABILITIES = {"CAP_PERFMON": 38, "CAP_SYS_ADMIN": 21}  # linux/capability.h
UNWINDERS = ("libunwind", "libdw-dwarf-unwind", "libdw", "dwarf-unwind-support")
KERNEL = "/proc/sys/kernel/"


def install_perf():
    return "as root: " + stacks.how_to_install("perf")


def ways_to_other_perfs():
    """Those that a wrapper of Debian or Ubuntu does not start, since they are of another kernel's version."""
    patterns = [os.path.join(glob.escape(one), "perf_[0-9]*") for one in os.get_exec_path()]
    patterns += ["/usr/lib/linux-tools/*/perf", "/usr/lib/linux-tools-*/perf"]
    others = [path for pattern in patterns for path in sorted(glob.glob(pattern)) if os.access(path, os.X_OK)]
    return ["or put a link of the name perf into PATH before it, to %s" % path for path in others[:1]]


WITHOUT_PERF = "or without perf: pyperf-run --sampler=inside"


class Perf:
    def __init__(self, findings, place):
        self.findings, self.place = findings, place
        self.path = shutil.which("perf")
        self.works = False  # it runs, and may record
        self.unwinds = None  # stacks that were copied; None: it does not say

    def examine(self):
        if self.path is None:
            self.findings.fail("perf", "not found in PATH", install_perf(), WITHOUT_PERF)
            return
        done = self.place.run([self.path, "version"])
        version = re.search(r"perf version (\S+)", done.out)
        if done.status != 0 or not version:
            text = "%s does not run: %s" % (self.path, done.complaint())
            self.findings.fail("perf", text, install_perf(), WITHOUT_PERF, *ways_to_other_perfs())
            return
        self.findings.ok("perf", "%s, version %s" % (self.path, version.group(1)))
        self.examine_permission()
        self.examine_unwinding()

    def examine_permission(self):
        data = self.place.path("true.data")
        command = [self.path, "record", "-N", "-F", "199", "-o", data, "--", "/bin/true"]
        done = self.place.run(command)
        paranoid = number_in_kernel("perf_event_paranoid")
        if done.status == 0 and os.path.exists(data) and os.path.getsize(data) > 0:
            self.works = True
            self.findings.ok("perf permitted", "yes, %s" % permitted_as(paranoid))
        else:
            text = "no: kernel.perf_event_paranoid is %s%s; perf says: %s"
            confined = ", a seccomp filter is on" if is_confined() else ""
            text %= (paranoid, confined, done.complaint())
            self.findings.fail("perf permitted", text, *(ways_to_permission(paranoid) + [WITHOUT_PERF]))

    def examine_unwinding(self):
        """perf before 4.19 does not know the option."""
        done = self.place.run([self.path, "version", "--build-options"])
        built = re.findall(r"^\s*([\w-]+): \[\s*(on|OFF)", done.out + done.err, re.M)
        known = {name: answer == "on" for name, answer in built if name in UNWINDERS}
        if not known:
            self.findings.ok("perf call graphs", "perf does not say with what it was built")
            return
        self.unwinds = any(known.values())
        if self.unwinds:
            names = " and ".join(sorted(name for name in known if known[name]))
            self.findings.ok("perf call graphs", "of stack copies (dwarf) with " + names)
        else:
            self.findings.warn(
                "perf call graphs",
                "this perf was built without libunwind and libdw: only interpreters with frame "
                "pointers have whole stacks",
                install_perf() + " (or build perf with libunwind-dev or libdw-dev installed)",
            )


def number_in_kernel(name):
    return doctor_tools.number_in(KERNEL + name)


def of_status(key):
    """A field of /proc/self/status, None where there is none."""
    try:
        with open("/proc/self/status") as source:
            found = re.search(r"^%s:\t(.*)" % key, source.read(), re.M)
    except OSError:
        return None
    return found and found.group(1).strip()


def capabilities():
    effective = int(of_status("CapEff") or "0", 16)
    return [name for name, bit in CAPABILITIES.items() if effective >> bit & 1]


def is_confined():
    return of_status("Seccomp") == "2"


def permitted_as(paranoid):
    """The right by which perf works here, and other users' rights."""
    if capabilities():
        text = "with " + capabilities()[0]
        if paranoid is not None and paranoid > 2:
            text += "; users without it may not (kernel.perf_event_paranoid is %d)" % paranoid
        return text
    kernel = "" if paranoid is None or paranoid < 2 else ", frames in the kernel are not shown"
    return "kernel.perf_event_paranoid is %s%s" % (paranoid, kernel)


def ways_to_permission(paranoid):
    """The next step: a seccomp filter refuses everyone; without one, rights are missing."""
    ways = []
    with_rights = "--cap-add PERFMON (Docker 20.10: SYS_ADMIN)"
    if is_confined():
        options = "--security-opt seccomp=unconfined"
        if paranoid is None or paranoid > 2 or capabilities():
            options += " " + with_rights
        ways.append("in a container: start it with " + options)
    elif paranoid is not None and paranoid > 1 and not capabilities():
        ways.append("as root: sysctl kernel.perf_event_paranoid=1")
    else:
        ways.append("in a container: start it with " + with_rights)
    if not capabilities():
        ways.append("or run this as root, or with CAP_PERFMON")
    return ways


def examine_kernel(findings, by_frame_pointers):
    frames = number_in_kernel("perf_event_max_stack")
    text = "%s frames at most (kernel.perf_event_max_stack)" % frames
    if frames is None:
        findings.ok("depth of stacks", "the kernel does not say (before 4.8: 127 frames)")
    elif by_frame_pointers and frames < FRAMES_WANTED:
        text += ": by frame pointers, of deeper stacks the outer functions are missing"
        findings.warn("depth of stacks", text, "as root: sysctl kernel.perf_event_max_stack=1024")
    else:
        findings.ok("depth of stacks", text if by_frame_pointers else copied_depth(frames))
    kib = number_in_kernel("perf_event_mlock_kb")
    if kib is None:
        findings.ok("perf's buffer", "the kernel does not say how large it may be")
        return
    usable = 4
    while 2 * usable <= kib - resource.getpagesize() // 1024:
        usable *= 2
    text = "%d KiB a CPU (kernel.perf_event_mlock_kb is %d), a sample takes 64" % (usable, kib)
    step = "as root: sysctl kernel.perf_event_mlock_kb=516"
    if by_frame_pointers or usable >= BUFFER_KIB_WANTED:
        findings.ok("perf's buffer", text)
    elif usable >= BUFFER_KIB_MIN:
        findings.warn("perf's buffer", text + ": some will be lost", step)
    else:
        findings.fail("perf's buffer", text + ": all are lost", step)


def copied_depth(frames):
    text = "65528 bytes are copied of each; perf report shows %d frames, more with --max-stack"
    return text % frames


def examine_limits(findings):
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        findings.ok("address space", "not limited")
    elif limit >= ADDRESS_SPACE_MIN:
        findings.ok("address space", "%d MiB (ulimit -v)" % (limit // MIB))
    else:
        text = "limited to %d MiB (ulimit -v): of these libpyperf leaves 128 to the program"
        findings.warn("address space", text % (limit // MIB), "ulimit -v unlimited")
    scope = doctor_tools.number_in(KERNEL + "yama/ptrace_scope")
    text = "not needed" + ("" if scope is None else " (kernel.yama.ptrace_scope is %d)" % scope)
    findings.ok("ptrace", text)


# directories


def why_not_executable(folder):
    """Maps a file as libpyperf does its images. None: all is well."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * mmap.PAGESIZE)
            file.flush()
            protection = mmap.PROT_READ | mmap.PROT_EXEC
            try:
                mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, protection).close()
            except OSError:
                return "nothing in it may be executed (mounted noexec?)"
    except OSError as error:
        return "cannot be written to: %s" % error.strerror
    return None


def temporary_folder():
    return os.environ.get("TMPDIR") or "/tmp"


def usable_folder():
    """The first folder in which the doctor itself can work; None if there is none."""
    for folder in (temporary_folder(), "/tmp", "/var/tmp", "/dev/shm", os.getcwd()):
        if why_not_executable(folder) is None:
            return os.path.realpath(folder)
    return None


def examine_folders(findings):
    examine_folder(findings, "TMPDIR" if os.environ.get("TMPDIR") else "/tmp", temporary_folder())
    if os.environ.get("PYPERF_DIR"):
        examine_folder(findings, "PYPERF_DIR", os.environ["PYPERF_DIR"])
    why = why_not_executable(".")
    if why is None:
        findings.ok("current directory", "profiles, and their images, can be made here")
    else:
        text = "no profiles here: %s: %s" % (os.getcwd(), why)
        findings.warn("current directory", text, "cd elsewhere, or pyperf-run -o FILE")


def examine_folder(findings, subject, folder):
    why = why_not_executable(folder)
    if why is not None:
        other = usable_folder()
        variable = "PYPERF_DIR" if subject == "PYPERF_DIR" else "TMPDIR"
        step = "export %s=%s" % (variable, other or "DIRECTORY, one that can hold programs")
        findings.fail(subject, "%s: %s" % (folder, why), step)
        return
    free = shutil.disk_usage(folder).free
    text = "%s: can be written to, files in it can be executed, %d MiB free" % (folder, free // MIB)
    if free < SPACE_MIN:
        text += "; a profile grows by 13 MB a second for each busy CPU"
        findings.warn(subject, text, "free some space, or export TMPDIR=DIRECTORY")
    else:
        findings.ok(subject, text)


def examine_file(findings, subject, path, step):
    """A file of our own that must exist."""
    try:
        there = stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.R_OK)
    except (OSError, TypeError):
        there = False
    if there:
        findings.ok(subject, path)
    else:
        findings.warn(subject, "%s is not there" % path, step)
    return there
