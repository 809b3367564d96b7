"""Examines an interpreter: runs it, reads its files, profiles it."""

import glob
import json
import os
import re

import doctor_tools

# Run by the interpreter, also by 2.7. Its mapped files are used, because Debian's static python3.11
# reports Py_ENABLE_SHARED.
PROBE = """
import json, os, platform, sys
files = [os.path.realpath("/proc/self/exe")]
for line in open("/proc/self/maps"):
    words = line.rstrip("\\n").split(None, 5)
    if len(words) == 6 and "x" in words[1] and words[5].startswith("/") and words[5] not in files:
        files.append(words[5])
try:
    import ctypes
    without_ctypes = None
except Exception as why:
    without_ctypes = str(why)
print("\\n" + json.dumps({
    "doctor": 1,
    "implementation": platform.python_implementation(),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": sys.executable,
    "debug": hasattr(sys, "gettotalrefcount"),
    "free_threaded": "t" in getattr(sys, "abiflags", ""),
    "files": files,
    "without_ctypes": without_ctypes,
}))
"""
ACTIVE = """
import sys
print("active:%d" % getattr(sys, "is_stack_trampoline_active", lambda: False)())
"""
PYTHON_2, KNOWN = (2, 7), ((3, 6), (3, 15))
DEBUG_SYMBOLS = "install the interpreter's debug symbols (Debian: its -dbg or -dbgsym package)"
WITH_LOCK = "use the build with a lock (python3.13, not python3.13t), or -X perf_jit"
RELEASES = "use a release build of CPython 2.7 or 3.6 to 3.15"

# libpyperf's messages (trampoline/base/failure.h), and what to do.
REASONS = (
    ("version of Python is not known", RELEASES),
    ("free-threaded", WITH_LOCK),
    ("objects are not laid out", RELEASES + ": debug builds and patched ones have other objects"),
    ("no such symbol", DEBUG_SYMBOLS),
    ("interpreter inside", "link the program with -rdynamic, or do not strip it"),
    ("replaced or removed", "restart the program"),
    ("cannot be made executable", "lift the ban on executable memory (MDWE, seccomp, SELinux), or "
     "let the process write to /proc/self/mem"),
    ("cannot load libpyperf-plan.so", doctor_tools.REPAIR + "; see: ldd %(plan)s"),
    ("of another build", doctor_tools.REPAIR),
    ("/proc/self/maps", "mount -t proc proc /proc"),
    ("address space", "ulimit -v unlimited"),
    ("no trampoline image", "export PYPERF_DIR=DIRECTORY, one that can hold programs"),
    ("", "please report it, with this line"),
)  # fmt: skip


def musl_loader(path):
    """The loader of a program for musl, as the beginning of a command: it runs pyperf-inspect too,
    whose own, glibc's, may not be on such a machine. Empty for other programs."""
    try:
        with open(path, "rb") as program:
            return [word.decode() for word in re.findall(rb"/[^\0]*/ld-musl-[^\0/]*", program.read(4096))[:1]]
    except OSError:
        return []


class Python:
    def __init__(self, findings, place, path, library):
        self.findings, self.place, self.path, self.library = findings, place, path, library
        self.about = None  # PROBE's output; None: it is no interpreter
        self.frame_pointers = False
        self.hooked = False  # its functions have names by libpyperf
        self.own_support = False  # they have them without it

    @property
    def is_cpython(self):
        return self.about["implementation"] == "CPython"

    @property
    def version(self):
        return tuple(int(part) for part in self.about["version"].split("."))

    def ask(self):
        """Whether it is a Python interpreter."""
        try:
            done = self.place.run([self.path, "-c", PROBE])
        except OSError as error:
            text = "%s cannot be run: %s" % (self.path, error.strerror)
            self.findings.fail("interpreter", text, "name another: pyperf-run --doctor PATH")
            return False
        lines = done.out.strip().split("\n")
        if done.status == 0 and lines[-1].startswith("{") and '"doctor": 1' in lines[-1]:
            self.about = json.loads(lines[-1])
            return True
        text = "%s is not a Python interpreter that runs" % self.path
        if done.status != 0 or done.err:
            text += ": " + done.complaint()
        self.findings.fail("interpreter", text, "name one: pyperf-run --doctor PATH")
        return False

    def examine(self, inspect):
        about = self.about
        self.own_support = self.version[:2] > KNOWN[1] or about["free_threaded"]
        shared = [path for path in about["files"] if "/libpython" in path]
        text = "%s, %s %s, %s%s" % (
            about["executable"] or self.path,
            about["implementation"],
            about["version"],
            "in " + shared[0] if shared else "static",
            ", debug build" if about["debug"] else "",
        )
        series = self.version[:2]
        if not self.is_cpython:
            text += ": libpyperf is for CPython alone"
            self.findings.fail("interpreter", text, "run the program with CPython 2.7 or 3.6 to 3.15")
            return
        if about["free_threaded"]:
            text += ": free-threaded, which libpyperf does not support; its own support is used"
            self.findings.warn("interpreter", text, WITH_LOCK)
        elif series == PYTHON_2 or KNOWN[0] <= series <= KNOWN[1]:
            # For a debug build the check "hook", below, tells whether its objects are known.
            self.findings.ok("interpreter", text + ", known to libpyperf")
        elif self.own_support:
            self.examine_own_support(text)
        else:
            self.findings.fail("interpreter", text + ": not known to libpyperf", RELEASES)
        if inspect:
            self.examine_code(inspect)
        else:
            self.findings.warn("frame evaluator", "not looked at: pyperf-inspect is missing", doctor_tools.REPAIR)

    def examine_own_support(self, text):
        text += ": later than what is known to libpyperf, its own support is used"
        self.findings.warn(
            "interpreter",
            text,
            "whole stacks: a build with CFLAGS=-fno-omit-frame-pointer, or -X perf_jit and "
            "perf record -k 1, perf inject --jit",
        )

    def examine_code(self, inspect):
        done = self.run_tool([inspect] + self.about["files"])
        found = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        if done.status != 0 or "evaluator" not in found:
            self.findings.fail("frame evaluator", done.complaint(), DEBUG_SYMBOLS)
            return
        text = "in %s, by its %s" % (found["file"], found["found"])
        self.findings.ok("frame evaluator", text)
        self.frame_pointers = found["frame-pointers"] == "yes"
        words = {"yes": "yes, stacks are walked by them", "no": "no, stacks are copied (dwarf)"}
        text = words.get(found["frame-pointers"], "in part only, so stacks are copied (dwarf)")
        share = "; %s functions begin with one" % found["share"].replace("/", " of ")
        self.findings.ok("frame pointers", text + share)

    @property
    def loader(self):
        return musl_loader(self.about["executable"] or self.path)

    def run_tool(self, command):
        """A program of ours: where glibc's loader is missing, musl's runs it (see choices.sh)."""
        try:
            return self.place.run(command)
        except FileNotFoundError:
            if not self.loader:
                raise
            return self.place.run(self.loader + command)

    def unwind_options(self, unwind):
        """perf's options for unwind data of musl's libc, which has none: see unwind.sh."""
        if not self.loader:
            return []
        libc, copy, files = os.path.realpath(self.loader[0]), self.place.path("libc"), self.place.path("files")
        text = "none for %s, so stacks end there: " % libc
        if unwind is None:
            self.findings.warn("unwind data", text + "pyperf-unwind is missing", doctor_tools.REPAIR)
            return []
        done = self.run_tool([unwind, libc, copy])
        if done.status == 0:
            script = os.path.join(doctor_tools.HERE, "unwind.sh")
            done = self.place.run(["/bin/sh", "-c", '. "$0" && put_in_place "$@"', script, copy, files, libc])
        if done.status != 0:
            self.findings.warn("unwind data", text + done.complaint(), doctor_tools.REPAIR)
            return []
        self.findings.ok("unwind data", "made for %s, which has none" % libc)
        return ["--symfs", files, "--kallsyms", "/proc/kallsyms"]

    def examine_hook(self):
        """Runs it with libpyperf on a tiny program."""
        environment = doctor_tools.profiled_environment(self.library, self.place.images)
        done = self.place.run([self.path, "-c", ACTIVE], environment)
        images = glob.glob(os.path.join(glob.escape(self.place.images), "pyperf-*-*.so"))
        said = re.findall(r"^libpyperf: (.*)", done.err, re.M)
        active = done.status == 0 and "active:1" in done.out
        self.hooked = active and bool(images)
        if said:
            self.findings.fail("hook", "libpyperf says: " + said[0], self.way_out(said[0]))
        elif self.hooked:
            self.findings.ok("hook", "in place, and functions get their trampolines")
        elif active and self.own_support:
            self.findings.ok("hook", "none: the interpreter makes its trampolines itself")
        elif done.err.strip() or done.status != 0:
            self.findings.fail("hook", "no: " + done.complaint(), "see: ldd %s" % self.library)
        else:
            step = "see that nothing between perf and the program takes away LD_PRELOAD"
            self.findings.fail("hook", "libpyperf.so was not loaded, or stayed off (-E, -I)", step)

    def way_out(self, said):
        plan = os.path.join(os.path.dirname(self.library), "libpyperf-plan.so")
        return next(step for part, step in REASONS if part in said).replace("%(plan)s", plan)
