"""Profiles a program of known functions with perf and, within the process, with libunwind."""

import collections
import json
import os
import re

import doctor_tools
import model
import perf_script
from stacks import how_to_install

SECONDS = 2
DEPTH = 10
AT_LEAST = 0.98
SAMPLES_MIN = 30
COPY = "dwarf,65528"  # the largest that perf takes

# The time is read rarely: perf 6.1 cannot always unwind from the vdso. Some time goes to libc.
PROGRAM = """
import json, os, sys, time
process_time = time.process_time if hasattr(time, "process_time") else time.clock  # 2.7

zeros = bytearray(1 << 22)

def busy(end):
    number = 0
    while process_time() < end:
        bytearray(zeros)
        for number in range(100000):
            number += 1

def walk(path):
    import ctypes
    walker = ctypes.CDLL(path)
    names = ctypes.create_string_buffer(1 << 18)
    result = walker.pyperf_walk(names, ctypes.c_size_t(len(names)))
    print("\\n" + json.dumps([result, names.value.decode("utf-8", "backslashreplace")]))

class Orders:
    def total(self, depth):
        if depth:
            return self.total(depth - 1)
        if sys.argv[1] == "walk":
            return walk(sys.argv[2])
        print("pid:%%d" %% os.getpid())
        return busy(process_time() + float(sys.argv[2]))

def main():
    Orders().total(%d)

main()
""" % (DEPTH - 1)  # fmt: skip

# perf's child: libpyperf is only in the program.
LAUNCH = """
export LD_PRELOAD="$1" PYPERF_DIR="$2" PYTHONPERFSUPPORT=1
shift 2
exec "$@"
"""

# As a script, env or timeout starts an interpreter: with programs before it in the same process.
AS_CHILD = ["/bin/sh", "-c", 'env "$@"; exit $?', "sh"]


def expected_names(program, innermost):
    """Names without py::, innermost first."""
    names = [innermost] + ["Orders.total"] * DEPTH + ["main", "<module>"]
    return ["%s:%s" % (name, program) for name in names]


class Live:
    def __init__(self, findings, place, perf, python, unwind):
        self.findings, self.place, self.perf, self.python = findings, place, perf, python
        self.unwind, self.options = unwind, []
        self.program = place.write("doctor_program.py", PROGRAM)
        self.mode = "fp" if python.frame_pointers else COPY
        # An interpreter's own support may not be enough, which is no fault of this machine.
        self.complain = findings.warn if python.own_support else findings.fail

    # perf

    def profile(self):
        self.options = self.python.unwind_options(self.unwind)
        if self.profile_as("profile", []):
            self.profile_as("profile of a child", AS_CHILD)

    def profile_as(self, subject, prefix):
        """Whether it makes sense to go on."""
        done, data = self.record(prefix)
        pid = re.search(r"^pid:(\d+)$", done.out, re.M)
        if done.status != 0 or not os.path.exists(data) or not pid:
            self.findings.fail(subject, "perf record failed: " + done.complaint(), self.by_hand())
            return False
        self.place.pids.add(int(pid.group(1)))
        stacks = self.read(data, int(pid.group(1)))
        if len(stacks) < SAMPLES_MIN:
            text = "only %d samples in %d seconds of running" % (len(stacks), SECONDS)
            step = "run the doctor again when the machine is less busy, or: %s" % self.by_hand()
            self.complain(subject, text, step)
            return False
        return self.judge(subject, stacks)

    def record(self, prefix):
        data = self.place.path("perf.data")
        environment = doctor_tools.profiled_environment(self.python.library, self.place.images)
        command = [self.perf.path, "record", "-N", "-F", "199", "--call-graph", self.mode]
        command += ["-o", data, "--", "/bin/sh", "-c", LAUNCH, "sh"]
        command += [environment["LD_PRELOAD"], self.place.images] + prefix
        command += [self.python.path, self.program, "busy", str(SECONDS)]
        return self.place.run(command), data

    def read(self, data, pid):
        """The Python functions of each sample while the program was busy, as tuples."""
        words = [self.perf.path, "script", "-i", data, "-F", perf_script.FIELDS] + self.options
        for more in (perf_script.WHOLE_STACKS, []):  # perf before 4.15 knows no --no-inline
            done = self.place.run(words + more)
            if done.status == 0:
                break
        samples = [one for one in perf_script.parse(done.out.split("\n")) if one.pid == pid]
        stacks = [tuple(one.python) for one in sorted(samples, key=lambda one: one.time)]
        busy = "busy:%s" % self.program
        hot = [number for number, one in enumerate(stacks) if one[:1] == (busy,)]
        # A stack that ends below the first trampoline does not count as one of busy().
        return stacks[hot[0] : hot[-1] + 1] if hot else stacks

    def judge(self, subject, stacks):
        wanted = tuple(expected_names(self.program, "busy"))
        complete = sum(one == wanted for one in stacks)
        how = "by frame pointers" if self.mode == "fp" else "from stack copies"
        share = "%d of %d samples (%.1f %%) %s" % (
            complete,
            len(stacks),
            100.0 * complete / len(stacks),
            how,
        )
        if complete >= AT_LEAST * len(stacks):
            text = "complete: %s have all %d functions, down to <module>"
            self.findings.ok(subject, text % (share, len(wanted)))
            return True
        chain = collections.Counter(one for one in stacks if one != wanted).most_common(1)[0][0]
        text = "not complete: whole are %s; the others: %s" % (share, describe(chain, wanted))
        self.complain(subject, text, self.remedy(chain))
        return False

    def remedy(self, chain):
        if self.python.own_support:
            return "CPython 2.7 or 3.6 to 3.15, or this one built with frame pointers"
        if not chain and not self.python.hooked:
            return "see hook, above"
        if self.mode == "fp":
            return "pyperf-run --call-graph %s" % COPY
        if self.perf.unwinds is False:
            return "see perf call graphs, above"
        return "please report it, with these lines"

    def by_hand(self):
        return "see what this says: perf record --call-graph %s -- true" % self.mode

    # libunwind

    def walk(self, walker):
        if self.python.about["without_ctypes"] is not None:
            text = "not looked at: this Python has no ctypes (%s)"
            step = "only the doctor needs it; Python's build needs libffi-dev"
            text %= self.python.about["without_ctypes"]
            self.findings.warn("stack from within", text, step)
            return
        if self.python.loader:
            text = "not looked at: pyperf-walk.so needs a libunwind for glibc, this Python is for musl"
            self.findings.warn("stack from within", text, "perf and gdb are not concerned")
            return
        if walker is None and not doctor_tools.IN_CHECKOUT:
            self.findings.ok("stack from within", "not looked at: this build of libpyperf has no libunwind")
            return
        if walker is None:
            step = how_to_install("libunwind-dev") + ", then make (only the doctor needs it)"
            text = "not looked at: pyperf-walk.so was not built, for want of libunwind"
            self.findings.warn("stack from within", text, step)
            return
        environment = doctor_tools.profiled_environment(self.python.library, self.place.images)
        command = [self.python.path, self.program, "walk", walker]
        done = self.place.run(command, environment)
        try:
            result, names = json.loads(done.out.strip().split("\n")[-1])
        except ValueError:
            text = "the program ended with status %d: %s" % (done.status, done.complaint())
            self.complain("stack from within", text, "please report it, with this line")
            return
        self.judge_walk(result, names.split("\n")[:-1])

    def judge_walk(self, result, names):
        wanted = expected_names(self.program, "walk")
        prefix = model.PYTHON
        chain = [name[len(prefix) :] for name in names if name.startswith(prefix)]
        if chain == wanted and result > 0:
            text = "complete: libunwind sees all %d functions, of %d frames"
            self.findings.ok("stack from within", text % (len(wanted), result))
        elif names[-1:] == ["rbp is 0"]:
            text = "libunwind, in the program itself, stops after %d of %d functions: it takes a "
            text += "caller's rbp of 0 for the end of the stack"
            step = "perf and gdb are not concerned; within the program, use libgcc's unwinder"
            self.findings.warn("stack from within", text % (len(chain), len(wanted)), step)
        else:
            text = "not complete: libunwind: %s" % describe(chain, wanted)
            self.complain("stack from within", text, self.remedy_within())

    def remedy_within(self):
        if self.python.own_support:
            return "-X perf_jit, or CPython 2.7 or 3.6 to 3.15"
        return "see hook, above" if not self.python.hooked else "please report it, with this line"


def describe(chain, wanted):
    """The error of a stack."""
    if not chain:
        return "no Python function at all"
    common = 0
    while common < min(len(chain), len(wanted)) and chain[common] == wanted[common]:
        common += 1
    if common == len(chain):
        return "%d of %d functions, the last is %s" % (common, len(wanted), short(chain[-1]))
    if common == len(wanted):
        return "more than all functions, after <module>"
    want, got = short(wanted[common]), short(chain[common])
    return "function %d is %s, and should be %s" % (common + 1, got, want)


def short(name):
    return perf_script.python_function(model.PYTHON + name)[0]
