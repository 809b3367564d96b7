#!/usr/bin/env python3
"""pyperf-run -p, --attach and --detach: what is attached, where files are, what is said, and what is left. The tool
that attaches is a fake one (fake_attach.py). One line for each check; the exit status is 1 if any failed."""

import glob
import os
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True

from canned import EVALUATOR, START, Canned, py, sample
from fake_attach import RUN, Attaching
from looks import case, main  # finds tests/integration, too

from harness import wait_for

CASES = []
TABLE = "/srv/app.py"


def folders(pid):
    return glob.glob("/tmp/pyperf-%d-*" % pid)


def left(work):
    return [name for name in os.listdir(work.look.path("tmp")) if name.startswith("pyperf")]


@case(CASES)
def sampled_by_default(look):
    """Attached, switched off again, and nothing left."""
    with Attaching(look) as work:
        pid = work.process().pid
        for words in (["-p", str(pid), "--"], ["-p%d" % pid], ["--pid=%d" % pid, "--sampler=inside", "--"]):
            status, out, err = work.run(*words + ["sh", "-c", "echo out; exit 3"])
            look.equal("%s: status, stdout" % words[0], (3, "out\n"), (status, out))
            first = "pyperf-run: attached to process %d: its threads stood still for 0.8 ms\n" % pid
            good = err.startswith(first) and TABLE in err and err.count("pyperf-run: ") == 1
            look.that("%s: says" % words[0], "a line, and the table", good, err)
            told = work.commands("sample", "off")
            folder = told[0][3]
            library = look.path("fake/libpyperf.so")
            expected = [["sample", str(pid), library, folder, "--sampler", "199"], ["off", str(pid)]]
            look.equal("%s: the tool" % words[0], expected, told)
            good = folder.startswith("/tmp/pyperf-%d-" % pid) and not os.path.exists(folder)
            look.that("%s: its folder" % words[0], "/tmp/pyperf-PID-, removed", good, folder)
        names = ["pyperf.samples", "pyperf.samples.old"]
        look.equal("files", (names, []), (sorted(os.listdir(look.path("work"))), left(work)))
        work.run("-q", "-p", str(pid), "--wall", "-F", "50", "--", "true")
        look.equal("--wall -F 50", "50:wall", work.commands("sample")[0][-1])
        work.run("-q", "-p", str(pid), "--wall", "--", "true")
        look.equal("--wall", "99:wall", work.commands("sample")[0][-1])
        status, out, err = work.run("-q", "-p", str(pid), "--json", "x.json", "-o", "y", "--", "true")
        names = sorted(os.listdir(look.path("work")))[-2:]
        look.equal("-q --json -o", (0, "", "", ["x.json", "y"]), (status, out, err, names))


@case(CASES)
def refused(look):
    """One that is refused does not stop the others; all of them do."""
    with Attaching(look) as work:
        good, bad = work.process().pid, work.process(refusal="process is being traced by strace").pid
        fails = work.process(fails={"sample": "nothing ran Python within 5 s"}).pid
        gone = work.process()
        gone.kill()
        gone.wait()
        lines = [
            "pyperf-run: -p %d: there is no such process" % gone.pid,
            "pyperf-run: process %d: process is being traced by strace" % bad,
            "pyperf-run: process %d: nothing ran Python within 5 s" % fails,
        ]
        status, _, err = work.run("-q", "-p", "%d,%d,%d,%d" % (gone.pid, bad, fails, good), "--", "true")
        look.equal("one of four: status, lines", (0, lines), (status, err.splitlines()))
        look.equal("one of four: off", [["off", str(good)]], work.commands("off"))
        status, out, err = work.run("-p", "%d,%d" % (bad, fails), "--", "echo", "it ran")
        look.equal("none of two", (1, "", lines[1:]), (status, out, err.splitlines()))
        look.equal("none of two: left", [], folders(bad) + folders(fails) + left(work))
        for value in ("x", "0", ",", "12,", "1x", "-1"):
            status, out, err = work.run("-p", value, "--", "true")
            expected = (1, "", "pyperf-run: -p %s: there is no such process\n" % value)
            look.equal("-p %s" % value, expected, (status, out, err))
        os.unlink(look.path("fake/pyperf-attach"))
        status, _, err = work.run("-p", str(good), "--", "true")
        look.that("no tool", "a line", status == 1 and "pyperf-attach is missing" in err and err.count("\n") == 1, err)


@case(CASES)
def on_already(look):
    """Trampolines are for perf; a process that is sampled keeps its sampler."""
    with Attaching(look) as work:
        pid = work.process(mode="map", libpyperf="0.1.0").pid
        status, _, err = work.run("-p", str(pid), "--lines", "--", "true")
        good = status == 1 and "process %d has trampolines" % pid in err and "--sampler=perf" in err
        look.that("trampolines, --lines", "a line", good, err)
        work.state(pid, sampling=True)
        status, _, err = work.run("-p", str(pid), "--", "true")
        good = status == 1 and "process %d is sampled already" % pid in err and "--detach %d" % pid in err
        look.that("sampled", "a line", good and err.count("\n") == 1, err)
        look.equal("the tool", [], work.commands("sample", "map", "off"))


@case(CASES)
def children(look):
    """Those that run Python are named, or taken with --children."""
    with Attaching(look) as work:
        parent = work.process("sh", "-c", "sleep 600 & sleep 601 & sleep 602 & wait")
        wait_for(lambda: len(below(parent.pid)) == 3)
        pids = below(parent.pid)
        work.state(pids[0])
        work.state(pids[1], refusal="traced")
        try:
            _, _, err = work.run("-q", "-p", str(parent.pid), "--", "true")
            named = "%d,%d,%d" % (parent.pid, pids[0], pids[1])
            expected = "pyperf-run: -p %d leaves out its children: -p %s, or --children, takes them, too\n"
            look.equal("without", expected % (parent.pid, named), err)
            _, _, err = work.run("-q", "-p", named, "--", "true")
            look.that("named", "nothing on children", "children" not in err, err)
            work.commands()
            _, _, err = work.run("-q", "--children", "-p", str(parent.pid), "--", "true")
            taken = sorted(int(one[1]) for one in work.commands("sample"))
            look.equal("--children", sorted([parent.pid, pids[0]]), taken)
            look.equal("--children: lines", ["pyperf-run: process %d: traced" % pids[1]], err.splitlines())
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def below(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(one) for one in file.read().split()]


@case(CASES)
def without_a_command(look):
    """Until Ctrl-C, or until the processes have ended."""
    with Attaching(look) as work:
        process = work.process()
        child = work.start("-p", str(process.pid))
        wait_for(lambda: work.state_of(process.pid)["sampling"])
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
        look.equal("Ctrl-C: status, a table", (-signal.SIGINT, True), (child.returncode, TABLE in err))
        look.equal("Ctrl-C: off, left", (False, []), (work.state_of(process.pid)["sampling"], folders(process.pid)))
        child = work.start("-p", str(process.pid))
        wait_for(lambda: work.state_of(process.pid)["sampling"])
        process.kill()
        process.wait()
        _, err = child.communicate(timeout=30)
        look.equal("it has ended: status, a table", (0, True), (child.returncode, TABLE in err))
        look.equal("it has ended: left", [], folders(process.pid) + left(work))


@case(CASES)
def signals(look):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for group in (False, True):
            with Attaching(Sub(look, "%d-%d" % (number, group))) as work:
                pid = work.process().pid
                child = work.start("-p", str(pid), "--", "sleep", "30", start_new_session=True)
                wait_for(lambda: work.state_of(pid)["sampling"])
                wait_for(lambda: glob.glob(work.look.path("tmp/pyperf-run.*/program")))
                (os.killpg if group else os.kill)(child.pid, number)
                _, err = child.communicate(timeout=30)
                what = "%s%s" % (signal.Signals(number).name, " to all" if group else "")
                # A process that had no CPU meanwhile has no samples.
                answered = TABLE in err or "no samples were taken" in err
                look.equal("%s: status, an answer" % what, (-number, True), (child.returncode, answered))
                off = not work.state_of(pid)["sampling"]
                look.equal("%s: off, left" % what, (True, []), (off, folders(pid) + left(work)))


class Sub:
    """A folder within a look's."""

    def __init__(self, look, name):
        self.folder = look.path(name)
        os.mkdir(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)


@case(CASES)
def interrupted_while_attaching(look):
    """The tool takes everything back; who is attached already is switched off."""
    for group in (False, True):
        with Attaching(Sub(look, str(group))) as work:
            slow, quick = work.process(fails={"sample": "slowly"}).pid, work.process().pid
            child = work.start("-p", "%d,%d" % (slow, quick), "--", "echo", "it ran", start_new_session=True)
            wait_for(lambda: work.state_of(quick)["sampling"] and work.was_told("sample", slow))
            (os.killpg if group else os.kill)(child.pid, signal.SIGINT)
            out, err = child.communicate(timeout=30)
            what = "the group" if group else "us alone"
            look.equal("%s: status, stdout, stderr" % what, (-signal.SIGINT, ""), (child.returncode, out))
            told = work.commands("taken", "off")
            look.equal("%s: the tool" % what, [["taken", "back", str(slow)], ["off", str(quick)]], told)
            look.equal("%s: left" % what, [], folders(slow) + folders(quick) + left(work))


@case(CASES)
def killed(look):
    """The process that holds them switches off when pyperf-run is gone; --detach does when that was killed, too."""
    with Attaching(look) as work:
        pid = work.process().pid
        child = work.start("-p", str(pid), "--", "sleep", "30", start_new_session=True)
        wait_for(lambda: work.state_of(pid)["sampling"] and glob.glob(look.path("tmp/pyperf-run.*/program")))
        child.kill()
        look.equal("pyperf-run: off", True, wait_for(lambda: not work.state_of(pid)["sampling"]))
        look.equal("pyperf-run: its folder", [], wait_for(lambda: not folders(pid)) and folders(pid))
        samples = wait_for(lambda: glob.glob(look.path("tmp/pyperf-run.*/taken/*.samples")))
        look.equal("pyperf-run: samples", 1, len(samples))
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        child = work.start("-p", str(pid), "--", "sleep", "30", start_new_session=True)
        wait_for(lambda: work.state_of(pid)["sampling"] and len(glob.glob(look.path("tmp/pyperf-run.*/program"))) == 2)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        time.sleep(1)
        look.equal("all of it: still on", (True, 1), (work.state_of(pid)["sampling"], len(folders(pid))))
        folder = folders(pid)[0]
        status, _, err = work.run("--detach", str(pid))
        lines = [
            "process %d: the sampler was on, 1 file of samples, in %s; all is off and removed" % (pid, folder),
            "what was sampled is in pyperf.samples: pyperf-run --report pyperf.samples",
        ]
        look.equal("--detach", (0, ["pyperf-run: " + one for one in lines]), (status, err.splitlines()))
        look.equal("--detach: off, left", (False, []), (work.state_of(pid)["sampling"], folders(pid)))
        status, out, _ = work.run("--report", "pyperf.samples")
        look.equal("--report", (0, True), (status, TABLE in out))
        work.state(pid, libpyperf="0.1.0")
        _, _, err = work.run("--detach", str(pid))
        look.equal("--detach again", "pyperf-run: process %d: nothing is on\n" % pid, err)


@case(CASES)
def halves(look):
    with Attaching(look) as work:
        pid = work.process().pid
        status, _, err = work.run("--attach", str(pid))
        good = status == 0 and "perf record " in err and "-p %d" % pid in err and "--detach %d" % pid in err
        look.that("--attach", "what to do next", good and err.count("\n") == 1, err)
        look.equal("--attach: the tool", "map", work.commands("map", "sample")[0][0])
        folder = folders(pid)
        look.equal("--attach: a folder", 1, len(folder))
        status, _, err = work.run("--attach", str(pid))
        look.that("--attach again", "on already", status == 1 and "on already" in err, err)
        status, _, err = work.run("--detach", str(pid))
        expected = "pyperf-run: process %d: trampolines were on, in %s; all is off and removed\n" % (pid, folder[0])
        look.equal("--detach", (0, expected, []), (status, err, folders(pid)))
        status, _, err = work.run("--attach", str(pid), "--sampler=inside", "--wall")
        folder = folders(pid)[0]
        look.equal("--sampler=inside", "99:wall", work.commands("sample")[0][-1])
        look.that("--sampler=inside: says", folder, "--report " + folder in err and err.count("\n") == 1, err)
        work.run("--detach", str(pid), "-o", "kept")
        look.equal("-o", ["kept"], os.listdir(look.path("work")))
        for words in (["--attach", "1", "true"], ["--detach", "1", "-p", "2"], ["--attach"]):
            status, out, err = work.run(*words)
            look.equal("%s: status, lines" % " ".join(words), (2, 1), (status, err.count("\n")))


def recorded(canned):
    """The arguments of perf record since the last call."""
    lines = [line.split() for line in canned.read("commands").splitlines() if " record -o " in line]
    canned.write("commands", "")
    return lines[0] if lines else []


@case(CASES)
def by_perf(look):
    """Trampolines while perf records, in images beside the profile; those that were on stay on."""
    with Attaching(look) as work, Canned(sample([EVALUATOR, py("f")] + START)) as canned:
        canned.write("commands", "")
        with_perf = work.environment(canned)
        free, on = work.process().pid, work.process(mode="map", libpyperf="0.1.0").pid
        for what, words, pids, told in (
            ("--sampler=perf", ["--sampler=perf"], [free], [["map", free], ["off", free]]),
            ("-e", ["-e", "cycles"], [free], [["map", free], ["off", free]]),
            ("an option of perf", ["-g"], [free], [["map", free], ["off", free]]),
            ("on", [], [on], []),
            ("one is on", [], [free, on], [["map", free], ["off", free]]),
        ):
            named = ",".join(str(one) for one in pids)
            status, _, err = work.run("-q", "-p", named, *words + ["--", "sh", "-c", "exit 4"], env=with_perf)
            look.equal("%s: status, stderr" % what, (4, ""), (status, err))
            got = recorded(canned)
            look.equal("%s: perf record -p" % what, named, got[got.index("-p") + 1] if "-p" in got else got)
            did = work.commands("map", "off", "sample")
            look.equal("%s: the tool" % what, told, [[one[0], int(one[1])] for one in did])
            good = not did or did[0][3].startswith(look.path("work/perf.data.images/"))
            look.that("%s: images" % what, "beside the profile", good and not folders(free), repr(did))
        bad = work.process(refusal="its interpreter is not known").pid
        status, _, err = work.run("-q", "--sampler=perf", "-p", str(bad), "--", "true", env=with_perf)
        expected = (0, "pyperf-run: process %d: its interpreter is not known\n" % bad)
        look.equal("refused: status, stderr", expected, (status, err))
        look.equal("refused: perf records it", True, str(bad) in recorded(canned))
        look.equal("left", [], left(work))


@case(CASES)
def perf_gives_up(look):
    """Without a word, as when a thread ends just then: it is started again, three times at the most."""
    with Attaching(look) as work, Canned(sample([EVALUATOR, py("f")] + START)) as canned:
        pid = work.process(mode="map", libpyperf="0.1.0").pid
        words = ["-q", "-p", str(pid), "--", "sh", "-c", "echo ran; exit 4"]
        for times, expected in ((1, (4, "ran\n", "")), (3, (4, "ran\n", "")), (4, (1, "", "perf record failed"))):
            canned.write("commands", "")
            canned.write("gives-up", "x\n" * times)
            status, out, err = work.run(*words, env=work.environment(canned))
            look.equal("%d times: status, stdout" % times, expected[:2], (status, out))
            look.that("%d times: stderr" % times, repr(expected[2]), err == "" if times < 4 else expected[2] in err, err)
            started = canned.read("commands").count(" record -o ")
            look.equal("%d times: starts" % times, min(times + 1, 4), started)
        canned.write("gives-up", "x\n")
        status, _, err = work.run("-q", "--", "true", env=work.environment(canned))
        look.that("a program is not run twice", "a line", status == 1 and "was not run" in err, err)
        look.equal("left", [], left(work))


@case(CASES)
def of_another_user(look):
    """perf's own advice, to lower perf_event_paranoid, would not help."""
    with Attaching(look) as work:
        pid, prefix = 1, []
        if os.getuid() == 0:
            pid, prefix = os.getpid(), ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            for name in ("work", "tmp"):
                os.chmod(look.path(name), 0o777)
        # The checkout may lie where only root can read.
        run = os.path.join(shutil.copytree(os.path.dirname(RUN), look.path("scripts")), "pyperf-run")
        status, _, err = work.run("-p", str(pid), "--", "true", prefix=prefix, run=run)
        good = "belongs to root" in err and "sudo" in err and "paranoid" not in err
        look.equal("status, lines", (1, 1), (status, err.count("\n")))
        look.that("says", "belongs to root, sudo", good, err)


if __name__ == "__main__":
    sys.exit(main("attach", CASES))
