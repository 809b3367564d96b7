"""docs/services.md's recipe for a container that nothing was prepared in: pyperf-run -p on the host, in the container,
and in another one beside it."""

import os
import re
import shutil
import subprocess

import attaching
import guide
import inside
import packages
import recording
import samples
from debian import SECONDS
from engine import BASE, IMAGE, Container
from harness import case

CASES = []
FILE = "/srv/shop/__main__.py"
CHAIN = ("price", "total.<locals>.<listcomp>", "total", "main.<locals>.<genexpr>", "main", "<module>")
RATE = "199"
LOCKED = ("--user", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
READ_ONLY = ("--read-only",)
NOEXEC = ("--read-only", "--tmpfs", "/tmp")  # Docker's own choice for a tmpfs
IN_MEMORY = {"/memfd:libpyperf.so (deleted)"}
# The variables that prepare a container of the image with the package; a name without a value removes one.
UNPREPARED = ("--env", "LD_PRELOAD", "--env", "PYPERF_TOGGLE_SIGNAL")
ONLY_TRACER = "with CAP_SYS_PTRACE (docker: --cap-add SYS_PTRACE)"


class Plain(Container):
    """A container that runs "shop", which libpyperf was not preloaded into."""

    def __init__(self, bench, *options, image=BASE):
        folder = os.path.join(bench.folder, "shop")
        if not os.path.exists(folder):
            shutil.copytree(packages.program("shop"), folder)
        os.chmod(bench.folder, 0o755)
        words = UNPREPARED + ("--volume", folder + ":/srv/shop:ro", "--entrypoint", "python3") + options
        super().__init__(bench.machine, *words, image=image, command=[FILE])
        bench.equal("libpyperf, before", set(), attaching.mapped_libraries(self.pid))
        self.before = self.looks()

    def looks(self):
        """What must be as before."""
        descriptors = ["/proc/%d/fd/%s" % (self.pid, one) for one in os.listdir("/proc/%d/fd" % self.pid)]
        caught = attaching.status_of(self.pid)["SigCgt"]
        return sorted(map(os.readlink, descriptors)), caught, attaching.changed_text(self.pid)

    def folders(self):
        return attaching.folders(1, "/proc/%d/root" % self.pid)


def command():
    """pyperf-run's options in the guide, for the host."""
    form = r"^    pyperf-run (--children -p) \$\(docker inspect -f '\{\{\.State\.Pid\}\}' NAME\) -- sleep 30$"
    return re.findall(form, guide.section("Docker"), re.M)[0].split()


def words_for(path, pid):
    return ["-q", "-F", RATE, "-o", path] + command() + [str(pid), "--", "sleep", "3"]


def look_at_profile(bench, what, path):
    """Each stack reaches <module>, though all of the functions were running before."""
    profile = samples.Recording(path)
    bench.equal(what + ": what is missing", [], profile.notes)
    found = list(profile.records())
    inside.look_at_all(bench, what, found, 100)
    own = inside.each(found)
    # 3.12 and later have no frames of comprehensions.
    chain = [name for name in CHAIN if name != CHAIN[1] or any(has(one, name) for one in own)]
    recording.look_at_stacks(bench, what, own, FILE, chain, lambda names: not names)
    rooted = sum(one.python[-1:] == ["<module>:" + FILE] for one in own)
    good = rooted >= 0.99 * len(own)
    bench.that(what + ": stacks up to <module>", "99 %", good, "%d of %d" % (rooted, len(own)))


def has(one, name):
    return "%s:%s" % (name, FILE) in one.python


def look_at_container(bench, what, container, library):
    """It goes on with right results; of ours there is the library alone."""
    container.wait_for_turns(1)
    sums, ours = container.lines()
    bench.equal(what + ": results, lines of libpyperf", (1, []), (len(set(sums)), ours))
    bench.equal(what + ": state, restarts", "running 0", container.look("{{.State.Status}} {{.RestartCount}}"))
    bench.equal(what + ": descriptors, signals, changed text", container.before, container.looks())
    bench.equal(what + ": folders left", [], container.folders())
    there = attaching.mapped_libraries(container.pid)
    good = there == library if library else len(there) == 1
    bench.that(what + ": libpyperf", repr(library or "one"), good, repr(there))


def attach_on_the_host(bench, what, options, library=None, turns=("once", "again")):
    """The second time libpyperf is there already."""
    with Plain(bench, *options) as container:
        for turn in turns:
            named, path = "%s, %s" % (what, turn), os.path.join(bench.folder, turn + ".samples")
            status, err = attaching.run(bench, *words_for(path, container.pid))
            bench.equal(named + ": status, stderr", (0, ""), (status, err))
            if status == 0:
                look_at_profile(bench, named, path)
                look_at_container(bench, named, container, library)


@case(CASES)
def attached_on_the_host(bench):
    attach_on_the_host(bench, "no option", ())


@case(CASES)
def attached_on_the_host_locked(bench):
    """Where nothing may be executed in any folder that can be written to, the library comes from memory."""
    attach_on_the_host(bench, "a user", LOCKED, turns=("once",))
    attach_on_the_host(bench, "read-only, a noexec tmpfs", NOEXEC + LOCKED, IN_MEMORY)
    attach_on_the_host(bench, "read-only, no tmpfs", READ_ONLY, IN_MEMORY, ("once",))


def attach_inside(bench, what, words):
    """pyperf-run in a container: its status, what it says, and the profile's path here, where it comes on stdout."""
    script = 'pyperf-run "$@" >&2; status=$?; cat /dev/shm/p.samples; rm -f /dev/shm/p.samples; exit $status'
    words = ["docker"] + list(words) + ["-c", script, "sh"] + words_for("/dev/shm/p.samples", 1)
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=bench.machine.environment, timeout=SECONDS,
    )
    path = os.path.join(bench.folder, what.replace(" ", "-").replace(",", "") + ".samples")
    with open(path, "wb") as out:
        out.write(done.stdout)
    lines = [line for line in done.stderr.decode().split("\n") if line.startswith("pyperf")]
    return done.returncode, lines, path


def look_at_attached(bench, what, container, done, library=None):
    status, lines, path = done
    bench.equal(what + ": status, lines", (0, []), (status, lines))
    if status == 0:
        look_at_profile(bench, what, path)
        look_at_container(bench, what, container, library)


def yama_refuses():
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            return int(file.read()) > 0
    except OSError:
        return False


def look_at_unprivileged(bench, what, container, done):
    """Without CAP_SYS_PTRACE, as the same user."""
    if yama_refuses():
        said = len(done[1]) == 1 and "kernel.yama.ptrace_scope" in done[1][0] and ONLY_TRACER in done[1][0]
        bench.that(what + ": refused", "a line on ptrace_scope", done[0] == 1 and said, repr(done[:2]))
    else:
        look_at_attached(bench, what, container, done)


@case(CASES)
def attached_in_the_container(bench):
    """By docker exec: the default seccomp profile permits ptrace from Linux 4.8 on."""
    for what, options in (("exec", ()), ("exec, a user", LOCKED), ("exec, read-only", NOEXEC + LOCKED)):
        with Plain(bench, *options, image=IMAGE) as container:
            done = attach_inside(bench, what, ["exec", container.name, "sh"])
            look_at_unprivileged(bench, what, container, done)


def beside(container, *options):
    """The words of docker that start a shell in another container, as kubectl debug does."""
    words = ["run", "--rm", "--network", "none", "--pid", "container:" + container.name] + list(UNPREPARED + options)
    return words + ["--entrypoint", "sh", IMAGE]


@case(CASES)
def attached_beside(bench):
    """In another container, in the same pid namespace."""
    tracer = ("--cap-add", "SYS_PTRACE")
    for what, options, library in (("beside", (), None), ("beside, read-only", NOEXEC + LOCKED, IN_MEMORY)):
        with Plain(bench, *options) as container:
            done = attach_inside(bench, what, beside(container, *tracer))
            look_at_attached(bench, what, container, done, library)
    with Plain(bench) as container:
        done = attach_inside(bench, "beside, no option", beside(container))
        look_at_unprivileged(bench, "beside, no option", container, done)


@case(CASES)
def attached_refused(bench):
    """One line, which says what is missing."""
    with Plain(bench, *LOCKED, image=IMAGE) as container:
        within = ["exec", "--user", "0", container.name, "sh"]
        for what, words in (("root in the container", within), ("root beside it", beside(container))):
            status, lines, _ = attach_inside(bench, what, words)
            said = len(lines) == 1 and "is of user 1000: " in lines[0] and ONLY_TRACER in lines[0]
            bench.that(what, "a line on the user", status == 1 and said, repr(lines))
        bench.equal("as before", container.before, container.looks())
        left = container.folders(), attaching.mapped_libraries(container.pid)
        bench.equal("folders left, libpyperf", ([], set()), left)
