"""pyperf-run -p: programs that run already, without libpyperf, are sampled as they are, and are as before then."""

import os
import re
import shutil
import signal

import attaching
import harness
import perf
import sampler
from attaching import Program, Tracer
from harness import Skip, case

CASES = []
SLEEPS = """
import os, sys, threading
lock = threading.Lock()
def wake():
    os.open(sys.argv[2], os.O_RDONLY)
    lock.release()
def work():
    while not os.path.exists(sys.argv[1]): pass
lock.acquire()
threading.Thread(target=wake).start()
print("ready")
sys.stdout.flush()
work()
lock.acquire()
work()
print("called")
sys.stdout.flush()
os.open(sys.argv[3], os.O_RDONLY)
"""
AS_BEFORE = ("caught", "descriptors", "changed text")


def look_at_end(bench, program, before=None):
    """Nothing has changed, and the answers are right."""
    if before:
        after = program.looks()
        for name in AS_BEFORE:
            bench.equal(name, before[name], after[name])
    bench.equal("status, answers, stderr", (0, {"wrong": []}, ""), program.end())


def look_at_names(bench, recording):
    """Each sample has its functions down to the one that begins its thread. A thread that begins or ends has none, and
    in musl's libc no whole stack of machine code either."""
    ones = list(recording.records())
    count, none, wrong = sampler.total(ones), 0, []
    for one in ones:
        names = sampler.names(one)
        last = [name.split(".")[-1].lstrip("_") for name in names[-1:]]
        if not names and (one.whole or bench.interpreter.musl):
            none += one.count * (one.tid == one.pid)
        elif not one.whole or last != (["<module>"] if one.tid == one.pid else ["bootstrap"]):
            wrong.append((one.count, names, one.whole))
    bench.that("samples", "20 or more", count >= 20, str(count))
    bench.equal("that lack functions", [], wrong[:3])
    bench.equal("of the main thread, without any", 0, none)
    inside = [one for one in ones if "inner" in sampler.names(one)]
    chains = {tuple(sampler.names(one)[-3:]) for one in inside}
    bench.equal("of the main thread", {("inner", "outer", "<module>")}, chains)


@case(CASES)
def attach_names(bench):
    """Functions that were running before have their names; eight threads."""
    program = Program(bench)
    before = program.looks()
    status, err = attaching.run(bench, "-q", "-o", "p.samples", "-p", str(program.pid), "--", "sleep", "1.5")
    bench.equal("pyperf-run: status, stderr", (0, ""), (status, err))
    look_at_names(bench, attaching.recording(bench))
    bench.equal("folders left", [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


@case(CASES)
def attach_again(bench):
    """On and off, by turns with --attach and --detach, which put trampolines there."""
    program = Program(bench)
    before = program.looks()
    for turn in range(2):
        status, err = attaching.run(bench, "-q", "-o", "p.samples", "-p", str(program.pid), "--", "sleep", "1")
        bench.equal("%d: status, stderr" % turn, (0, ""), (status, err))
        look_at_names(bench, attaching.recording(bench))
        status, err = attaching.run(bench, "--attach", str(program.pid))
        bench.equal("%d: --attach: status, lines" % turn, (0, 1), (status, err.count("\n")))
        mode = attaching.look(bench, program.pid).get("mode")
        bench.equal("%d: mode" % turn, "map", mode)
        found = harness.wait_for(lambda: attaching.images(program.pid))
        bench.that("%d: images" % turn, "1 or more", len(found) >= 1, str(found))
        status, err = attaching.run(bench, "--detach", str(program.pid))
        bench.that("%d: --detach" % turn, "trampolines were on", status == 0 and "trampolines were on" in err, err)
    bench.equal("folders left", [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


@case(CASES, needs=("perf",))
def attach_by_perf(bench):
    """Trampolines for the time of the recording: what is called meanwhile has its name, and the text is restored."""
    program = Program(bench)
    before = program.looks()
    for turn in range(2):
        words = ["-q", "--sampler=perf", "-o", "p.data", "-p", str(program.pid), "--", "sleep", "1.5"]
        bench.equal("%d: status, stderr" % turn, (0, ""), attaching.run(bench, *words))
        samples = perf.script(bench, os.path.join(bench.folder, "p.data"))
        called = [one for one in samples if any(name.startswith("check:") for name in one.python)]
        got = perf.share(len(called), len(samples))
        bench.that("%d: samples in what was called" % turn, "20 or more", len(called) >= 20, got)
    left = attaching.folders(program.pid) + [bench.map_path(program.pid)] * os.path.exists(bench.map_path(program.pid))
    bench.equal("folders, maps", [], left)
    look_at_end(bench, program, before)


@case(CASES)
def attach_killed(bench):
    """pyperf-run and all that it has started are killed: --detach cleans up, and keeps the samples."""
    program = Program(bench)
    before, pid = program.looks(), str(program.pid)
    child = attaching.start(bench, "-p", pid, "--", "sleep", "60")
    harness.wait_for(lambda: attaching.is_sampled(program.pid))
    bench.run(["sleep", "1"], {})
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    seen = attaching.look(bench, program.pid)
    bench.equal("still on", (True, 1), (seen["sampling"], len(attaching.folders(program.pid))))
    status, err = attaching.run(bench, "--detach", pid, "-o", "p.samples")
    bench.that("--detach", "two lines", status == 0 and "the sampler was on" in err and err.count("\n") == 2, err)
    seen = attaching.look(bench, program.pid)
    bench.equal("off, folders", (False, []), (seen["sampling"], attaching.folders(program.pid)))
    look_at_names(bench, attaching.recording(bench))
    look_at_end(bench, program, before)


@case(CASES)
def attach_forked(bench):
    """A child that is forked meanwhile is sampled, and switched off, too."""
    program = Program(bench, "fork")
    child = attaching.start(bench, "-q", "-o", "p.samples", "-p", str(program.pid), "--", "sleep", "3")
    harness.wait_for(lambda: attaching.is_sampled(program.pid))
    open(program.stop + ".fork", "w").close()
    named = program.stop + ".child"
    harness.wait_for(lambda: os.path.exists(named) and os.path.getsize(named))
    with open(named) as file:
        forked = int(file.read())
    _, err = child.communicate()
    bench.equal("status, stderr", (0, ""), (child.returncode, err))
    count = sampler.total(one for one in attaching.recording(bench).records() if "in_child" in sampler.names(one))
    bench.that("its samples", "10 or more", count >= 10, str(count))
    seen = attaching.look(bench, forked)
    bench.equal("the child: sampled, changed text", (False, 0), (seen["sampling"], attaching.changed_text(forked)))
    look_at_end(bench, program)


@case(CASES)
def attach_other_user(bench):
    """root attaches to a process of another user, who cannot read our library."""
    if os.geteuid() != 0:
        raise Skip("only root can attach to another user's process")
    os.chmod(bench.folder, 0o777)
    hidden = os.path.join(bench.folder, "hidden")
    os.mkdir(hidden, 0o700)
    for name in ("libpyperf.so", "libpyperf-plan.so", "pyperf-attach"):
        shutil.copy(os.path.join(bench.build, name), hidden)
    program = Program(bench, prefix=["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"])
    before = program.looks()
    for library in (bench.library, os.path.join(hidden, "libpyperf.so")):
        what = "hidden" if "hidden" in library else "readable"
        words = ["-q", "-o", "p.samples", "-p", str(program.pid), "--", "sleep", "1.5"]
        status, err = attaching.run(bench, *words, PYPERF_LIBRARY=library)
        bench.equal("%s: status, stderr" % what, (0, ""), (status, err))
        look_at_names(bench, attaching.recording(bench))
        bench.equal("%s: folders left" % what, [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


# Process 1 of its own pid namespace, as in a container, with its own /tmp and /var/tmp.
OWN_NAMESPACE = """
mount --bind "$1" /media && mount -t tmpfs none /var/tmp && mount -t tmpfs $2 none /tmp && shift 2 || exit 99
exec "$@"
"""


@case(CASES)
def attach_own_namespaces(bench):
    """The library goes in through /proc/PID/root; where /tmp is noexec it lies in /var/tmp or /dev/shm."""
    if os.geteuid() != 0:
        raise Skip("only root can make namespaces")
    for what, options in (("tmpfs", "-orw"), ("noexec", "-onoexec"), ("read-only", "-oro")):
        prefix = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", OWN_NAMESPACE, "sh"]
        program = Program(bench, prefix=prefix + [bench.folder, options], seen_at="/media")
        before, root = program.looks(), "/proc/%d/root" % program.pid
        for words in (["-q", "-o", "p.samples"], ["-q", "-o", "p.samples", "--wall"]):
            status, err = attaching.run(bench, *words + ["-p", str(program.pid), "--", "sleep", "1.5"])
            named = "%s, %s" % (what, words[-1])
            bench.equal("%s: status, stderr" % named, (0, ""), (status, err))
            if words[-1] != "--wall":
                look_at_names(bench, attaching.recording(bench))
            bench.equal("%s: folders left" % named, [], attaching.folders(1, root))
        look_at_end(bench, program, before)


@case(CASES)
def attach_live(bench):
    """Tables while it is sampled, also in namespaces of its own; twice. Then it is as before."""
    prefix = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", OWN_NAMESPACE, "sh"]
    for what, more in (("here", {}), ("namespaces", {"prefix": prefix + [bench.folder, "-orw"], "seen_at": "/media"})):
        if more and os.geteuid() != 0:
            continue
        program = Program(bench, **more)
        before = program.looks()
        for turn in range(2):
            status, err = attaching.run(bench, "--live", str(program.pid), "--top", "0", "--", "sleep", "3.5")
            *tables, last = re.split("own %  +total %", err)[1:]
            found = [one for one in tables if re.search(" inner .*attached.py:", one)]
            named = "%s %d" % (what, turn)
            bench.that("%s: tables with its functions" % named, "2 or more", status == 0 and len(found) >= 2, err)
            good = re.search(" samples  .* inner .*attached.py:", last, re.S) and err.count("pyperf-run: ") == 1
            bench.that("%s: the last table, and a line" % named, "both", bool(good), err)
        root = "/proc/%d/root" % program.pid if more else ""
        bench.equal("%s: folders left" % what, [], attaching.folders(1 if more else program.pid, root))
        bench.equal("%s: files left" % what, [], [name for name in os.listdir(bench.folder) if "samples" in name])
        look_at_end(bench, program, before)


@case(CASES, needs=("perf",))
def attach_live_by_perf(bench):
    """A process that has trampolines already."""
    program = Program(bench)
    bench.equal("--attach: status", 0, attaching.run(bench, "--attach", str(program.pid))[0])
    status, err = attaching.run(bench, "--live", str(program.pid), "--top", "0", "--", "sleep", "6")
    tables = re.split("own %  +total %", err)[1:]
    found = [one for one in tables if re.search(" check .*attached.py", one)]
    good = status == 0 and len(found) >= 2 and found[-1] == tables[-1]
    bench.that("tables with its functions", "1 or more, and the last", good, err[-1000:])
    bench.equal("files left", [], [name for name in os.listdir(bench.folder) if "perf.data" in name])
    bench.equal("--detach: status", 0, attaching.run(bench, "--detach", str(program.pid))[0])
    look_at_end(bench, program)


NO_EXECUTION = """
mount --bind "$1" /media && shift || exit 99
for place in /tmp /var/tmp /dev/shm /run; do mount -t tmpfs -o noexec none $place || exit 99; done
exec "$@"
"""


@case(CASES)
def attach_without_execution(bench):
    """Nothing in its folders may be executed: the library comes from a file in memory, of which no descriptor stays."""
    if os.geteuid() != 0:
        raise Skip("only root can make namespaces")
    prefix = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", NO_EXECUTION, "sh"]
    program = Program(bench, prefix=prefix + [bench.folder], seen_at="/media")
    before, root, pid = program.looks(), "/proc/%d/root" % program.pid, str(program.pid)
    for turn in range(2):
        status, err = attaching.run(bench, "-q", "-o", "p.samples", "-p", pid, "--", "sleep", "1.5")
        if bench.interpreter.kind == "static" and "libpyperf-plan.so" in err:
            # Of a stripped one, which that library looks for in files; it cannot be loaded from memory.
            bench.that("a line", "mount a tmpfs", status == 1 and err.count("\n") == 1 and "tmpfs" in err, err)
            break
        bench.equal("%d: status, stderr" % turn, (0, ""), (status, err))
        look_at_names(bench, attaching.recording(bench))
        bench.equal("%d: folders left" % turn, [], attaching.folders(1, root))
        there = attaching.mapped_libraries(program.pid)
        bench.equal("%d: libpyperf" % turn, {"/memfd:libpyperf.so (deleted)"}, there)
    status, err = attaching.run(bench, "--attach", pid)
    bench.that("--attach", "a line", status == 1 and err.count("\n") == 1 and "--tmpfs /tmp:exec" in err, err)
    look_at_end(bench, program, before)


@case(CASES)
def attach_full_disk(bench):
    """The profile cannot be written: it is kept elsewhere, a line says where, and the process is switched off."""
    small = os.path.join(bench.folder, "small")
    os.mkdir(small)
    if os.geteuid() != 0 or bench.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", small], {}).status != 0:
        raise Skip("only root can mount a small disk")
    try:
        program = Program(bench)
        before, full = program.looks(), os.path.join(small, "p.samples")
        status, err = attaching.run(bench, "-q", "-F", "999", "-o", full, "-p", str(program.pid), "--", "sleep", "1")
        said = re.match(r"pyperf-run: .*: the profile cannot be written; its parts are in (\S+): .*\n$", err)
        bench.that("status 0, a line", "its parts are in", status == 0 and bool(said), "%d %s" % (status, err))
        if said:
            shutil.move(said.group(1), os.path.join(bench.folder, "p.samples"))
            look_at_names(bench, attaching.recording(bench))
        bench.equal("sampled", False, attaching.look(bench, program.pid)["sampling"])
        bench.equal("folders left", [], attaching.folders(program.pid))
        look_at_end(bench, program, before)
    finally:
        bench.run(["umount", small], {})


@case(CASES)
def attach_refused(bench):
    """One line, and nothing is changed: a process that sleeps, is stopped, is traced, is no Python."""
    program = Program(bench, "sleep")
    before = dict(program.looks(), threads=os.listdir("/proc/%d/task" % program.pid))
    pid = str(program.pid)
    status, err = attaching.run(bench, "-q", "--patience", "1", "-p", pid, "--", "true")
    bench.that("sleeps", "a line", status == 1 and err.count("\n") == 1 and pid in err, err)
    program.process.send_signal(signal.SIGSTOP)
    status, err = attaching.run(bench, "-q", "--patience", "1", "-p", pid, "--", "true")
    bench.that("stopped", "a line", status == 1 and err.count("\n") == 1 and "stopped" in err, err)
    program.process.send_signal(signal.SIGCONT)
    with Tracer(program.pid):
        status, err = attaching.run(bench, "-q", "--patience", "1", "-p", pid, "--", "true")
        bench.that("traced", "a line", status == 1 and err.count("\n") == 1 and "traced" in err, err)
    bench.equal("as before", before, dict(program.looks(), threads=os.listdir("/proc/%d/task" % program.pid)))
    bench.equal("folders left", [], attaching.folders(program.pid))
    program.process.kill()
    program.process.communicate()
    sleeper = bench.start(["sleep", "60"], {})
    status, err = attaching.run(bench, "-q", "-p", str(sleeper.pid), "--", "true")
    bench.that("no Python", "a line", status == 1 and err.count("\n") == 1 and "Python" in err, err)
    sleeper.kill()
    sleeper.communicate()


@case(CASES)
def attach_without_room(bench):
    """glibc from 2.33 on with no place for variables of threads where a handler may use them: one line."""
    if bench.interpreter.musl:
        raise Skip("musl has such a place for each library, and so no limit")
    libc = os.confstr("CS_GNU_LIBC_VERSION")  # of the machine, and so of its interpreters
    if tuple(map(int, libc.split()[1].split("."))) < (2, 33):
        raise Skip("the limit cannot be set for " + libc)
    program = Program(bench, prefix=["env", "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=0"])
    before = program.looks()
    status, err = attaching.run(bench, "-q", "-o", "p.samples", "-p", str(program.pid), "--", "true")
    bench.that("status 1, a line", "static TLS", status == 1 and err.count("\n") == 1 and "static TLS" in err, err)
    bench.equal("folders left", [], attaching.folders(program.pid))
    look_at_end(bench, program, before)


@case(CASES)
def attach_ended(bench):
    """The process dies meanwhile: its samples are reported."""
    program = Program(bench)
    child = attaching.start(bench, "-q", "-o", "p.samples", "-p", str(program.pid))
    harness.wait_for(lambda: attaching.is_sampled(program.pid))
    bench.run(["sleep", "1"], {})
    program.process.kill()
    program.process.communicate()
    _, err = child.communicate()
    bench.equal("status, stderr", (0, ""), (child.returncode, err))
    look_at_names(bench, attaching.recording(bench))
    bench.equal("folders left", [], attaching.folders(program.pid))


@case(CASES)
def attach_sleeps_at_the_end(bench):
    """It is switched off by its next call of a Python function, when pyperf-attach has gone."""
    paths = [os.path.join(bench.folder, name) for name in ("stop", "first", "second")]
    for path in paths[1:]:
        os.mkfifo(path)
    plain = bench.environment(preload=False, support=None, images=False)
    process = bench.start([bench.python, bench.write("sleeps.py", SLEEPS)] + paths, plain)
    process.stdout.readline()
    text = attaching.changed_text(process.pid)
    attaching.run(bench, "--sampler=inside", "--attach", str(process.pid))
    open(paths[0], "w").close()
    on = [attaching.look(bench, process.pid).get("sampling")]
    harness.wait_for(lambda: attaching.status_of(process.pid)["State"][0] == "S")
    status, err = attaching.run(bench, "--patience", "1", "--detach", str(process.pid))
    expected = "called no Python function for 1 s: as soon as it does, it is switched off"
    bench.that("--detach: status 1 and", expected, status == 1 and expected in err, "%d %s" % (status, err))
    on += [attaching.look(bench, process.pid).get("sampling")]
    os.close(os.open(paths[1], os.O_WRONLY))
    process.stdout.readline()
    on += [attaching.look(bench, process.pid).get("sampling")]
    bench.equal("sampled: attached, asleep, after a call", [True, True, False], on)
    status, err = attaching.run(bench, "--detach", str(process.pid))
    bench.that("--detach", "all is off and removed", status == 0 and "all is off and removed" in err, err)
    bench.equal("folders, changed text", ([], text), (attaching.folders(process.pid), attaching.changed_text(process.pid)))
    os.close(os.open(paths[2], os.O_WRONLY))
    done = harness.finish(process)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
