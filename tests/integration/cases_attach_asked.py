"""pyperf-run -p where ptrace is refused: from 3.14 on the interpreter itself is asked (PEP 768)."""

import glob
import json
import os
import shutil
import subprocess
import sys

import attaching
import harness
from attaching import Program, Tracer
from cases_attach import OWN_NAMESPACE, look_at_end, look_at_names
from harness import Skip, case

CASES = []
SERVES = (3, 14)  # the first version that does
PTRACE, READ_MEMORY, WRITE_MEMORY = 101, 310, 311  # asm/unistd_64.h
EVENTS = ["cpython.remote_debugger_script", "open", "compile", "exec", "import"]  # of one script


def must_serve(bench):
    if bench.version < SERVES:
        raise Skip("before 3.14 the interpreter takes no requests")


def sample(bench, program, what, **more):
    """Samples it, and looks at the line that says how it was attached to."""
    words = ["-o", "p.samples", "-p", str(program.pid), "--", "sleep", "1.5"]
    status, err = attaching.run(bench, *words, **more)
    lines = [line for line in err.splitlines() if "attached to process %d" % program.pid in line]
    told = len(lines) == 1 and "by sys.remote_exec, because process %d" % program.pid in lines[0]
    bench.that("%s: status, stderr" % what, "0, a line with sys.remote_exec", status == 0 and told, err)
    look_at_names(bench, attaching.recording(bench))
    seen = attaching.look(bench, program.pid)
    left = attaching.folders(program.pid) + glob.glob("/tmp/pyperf-%d-*.py" % program.pid)
    bench.equal("%s: sampled, left" % what, (False, []), (seen["sampling"], left))


@case(CASES)
def attach_traced(bench):
    """Sampled, and with trampolines, while another process traces it."""
    must_serve(bench)
    program = Program(bench)
    before, pid = program.looks(), str(program.pid)
    with Tracer(program.pid):
        bench.equal("way", "remote_exec", attaching.look(bench, program.pid).get("way"))
        for turn in range(2):
            sample(bench, program, "traced %d" % turn)
        status, err = attaching.run(bench, "--attach", pid)
        bench.that("--attach", "two lines", status == 0 and err.count("\n") == 2 and "sys.remote_exec" in err, err)
        found = harness.wait_for(lambda: attaching.images(program.pid))
        bench.that("images", "1 or more", len(found) >= 1, str(found))
        status, err = attaching.run(bench, "--detach", pid)
        bench.that("--detach", "trampolines were on", status == 0 and "trampolines were on" in err, err)
    bench.equal("way", "ptrace", attaching.look(bench, program.pid).get("way"))
    bench.equal("folders left", [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


@case(CASES)
def attach_under_strace(bench):
    """All threads are traced, and stopped at each of their system calls."""
    must_serve(bench)
    if not shutil.which("strace"):
        raise Skip("strace is missing")
    program = Program(bench, prefix=["strace", "-f", "-qq", "-o", os.devnull])
    sample(bench, program, "strace")
    look_at_end(bench, program)


@case(CASES)
def attach_without_ptrace(bench):
    """A seccomp filter forbids that call to pyperf-run; or also process_vm_readv and process_vm_writev."""
    must_serve(bench)
    program = Program(bench)
    before = program.looks()
    for what, calls in (("ptrace", [PTRACE]), ("all", [PTRACE, READ_MEMORY, WRITE_MEMORY])):
        filtered = [sys.executable, bench.program("without_calls.py"), ",".join(map(str, calls))]
        sample(bench, program, what, prefix=filtered)
    look_at_end(bench, program, before)


@case(CASES)
def attach_traced_elsewhere(bench):
    """Of another user; and in namespaces of its own, where our library is not seen, twice: its copy is then gone."""
    must_serve(bench)
    if os.geteuid() != 0:
        raise Skip("only root can make namespaces")
    os.chmod(bench.folder, 0o777)
    own = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", OWN_NAMESPACE, "sh"]
    for what, prefix, seen_at in (
        ("user", ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"], None),
        ("namespaces", own + [bench.folder, "-orw"], "/media"),
    ):
        program = Program(bench, prefix=prefix, seen_at=seen_at)
        before, root = program.looks(), "/proc/%d/root" % program.pid if seen_at else ""
        with Tracer(program.pid):
            for turn in range(2):
                sample(bench, program, "%s %d" % (what, turn))
        # Other runs have a process 1, too, and their folders in /var/tmp.
        left = glob.glob("%s/tmp/pyperf-%d-*" % (root, 1 if seen_at else program.pid))
        bench.equal("%s: left in /tmp" % what, [], left)
        look_at_end(bench, program, before)


@case(CASES)
def attach_not_asked(bench):
    """One line that says what to do: the interpreter takes no requests; or it is too old to."""
    options = ["-X", "disable-remote-debug"] if bench.version >= SERVES else []
    program = Program(bench, options=options)
    before = program.looks()
    with Tracer(program.pid):
        status, err = attaching.run(bench, "-q", "-p", str(program.pid), "--", "true")
    told = "is traced by process" in err and "end that first" in err
    told = told and ("disable-remote-debug" in err) == bool(options)
    bench.that("status, stderr", "1, a line", status == 1 and err.count("\n") == 1 and told, err)
    bench.equal("folders left", [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


def attach_by_tool(bench, action, pid, *more):
    words = [os.path.join(bench.build, "pyperf-attach"), action, str(pid)] + list(more)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    return done.returncode, done.stderr


@case(CASES)
def attach_leaves_nothing(bench):
    """No module, no name, no flag, no exception and no file: the script alone is seen, by audit hooks."""
    must_serve(bench)
    stop, odd = os.path.join(bench.folder, "stop"), os.path.join(bench.folder, "it's \\ \u00fc %s")
    os.mkdir(odd)
    for name in ("libpyperf-plan.so", "libpyperf.so"):
        library = shutil.copy(os.path.join(bench.build, name), odd)
    plain = bench.environment(preload=False, support=None, images=False)
    process = bench.start([bench.python, bench.program("asked.py"), stop], plain)
    bench.equal("ready", "ready\n", process.stdout.readline())
    with Tracer(process.pid):
        status, err = attach_by_tool(bench, "sample", process.pid, os.path.join(odd, "none.so"), odd)
        bench.that("no library", "a line", status == 1 and err.count("\n") == 1 and "none.so" in err, err)
        bench.equal("sample", (0, ""), attach_by_tool(bench, "sample", process.pid, library, odd))
        os.unlink(library)
        for action, more in (("off", ()), ("sample", (library, odd)), ("off", ())):
            bench.equal(action, (0, ""), attach_by_tool(bench, action, process.pid, *more))
    left = [name for name in os.listdir(odd) if not name.endswith((".samples", "-plan.so"))]
    open(stop, "w").close()
    done = harness.finish(process)
    told = json.loads(done.out.splitlines()[-1])
    bench.equal("status, stderr, changed, files", (0, "", False, []), (done.status, done.err, told["changed"], left))
    bench.that("the signals' handler", "called", told["ticks"], "not called")
    names = [name for name, _ in told["events"]]
    # The first one could not load the library, and has written why; the next one loads it, and then each is a request.
    bench.equal("events", EVENTS + ["open"] + EVENTS * 5, names)
