"""The checks of a server that was started without libpyperf, and to which pyperf-run attaches under load."""

import glob
import os
import threading

import attaching
import harness
import inside
import recording
import samples
import serving

SECONDS = 3
RATE = "499"


def environment(bench, **more):
    return bench.environment(preload=False, support=None, images=False, **more)


class Attached:
    """pyperf-run -p, at work. `profile` is there when it has ended."""

    def __init__(self, bench, pids, number):
        self.bench, self.number = bench, number
        self.path = os.path.join(bench.folder, "%d.samples" % number)
        words = [os.path.realpath(inside.RUN), "--top", "1", "-F", RATE, "-o", self.path]
        words += ["-p", ",".join(map(str, sorted(pids))), "--", "sleep", str(SECONDS)]
        self.process = bench.start(words, environment(bench))

    def runs(self):
        return self.process.poll() is None

    def end(self):
        done = harness.finish(self.process)
        self.bench.equal("attached %d: status" % self.number, 0, done.status)
        if done.status != 0:
            raise RuntimeError(done.err)
        return samples.Recording(self.path, False)


def look_at_profile(bench, what, profile, kind, pids, beneath):
    """Each worker's stacks reach the outermost function, although all of them were running before."""
    bench.equal(what + ": what is missing", [], profile.notes)
    found = list(profile.records())
    inside.look_at_all(bench, what, found, 100)
    for name in sorted(set(kind.applications)):
        module, path = serving.APPLICATIONS[name], serving.program(bench, name)
        for number, pid in enumerate(sorted(pids), 1):
            own = inside.each(one for one in found if one.pid == pid)
            which = "%s: worker %d" % (what, number)
            recording.look_at_stacks(bench, which, own, path, module.CHAIN, beneath, 20)


def look_at_processes(bench, pids):
    """Nothing of it is left but the library."""
    for pid in sorted(pids):
        bench.equal("bytes of code that differ from the file's", 0, attaching.changed_text(pid))
        files = [os.readlink(one) for one in glob.glob("/proc/%d/fd/*" % pid)]
        ours = [one for one in files if "pyperf" in one and not one.startswith(bench.folder + "/")]
        bench.equal("descriptors of ours", [], ours)
        bench.equal("directories of ours", [], glob.glob("/tmp/pyperf-%d-*" % pid))


def load(server, kind, pids, bench, number):
    """Answers of requests that came while pyperf-run was there, and what it has seen."""
    attached, answers = Attached(bench, pids, number), []
    requests = kind.requests()

    def ask():
        while attached.runs():
            part = requests[len(answers) % len(requests) :][:100]
            answers.extend(zip(part, server.ask(part)))

    client = threading.Thread(target=ask)
    client.start()
    client.join()
    return answers, attached.end()


def look_at_server(bench, kind, beneath):
    """Twice: the second time libpyperf is in the process already."""
    with serving.Server(bench, kind, environment(bench)) as server:
        first = server.ask(kind.requests()[:100])
        pids = {int(one.process) for one in first if one.process is not None}
        bench.equal("processes that have answered", kind.workers, len(pids))
        for number in (1, 2):
            answers, profile = load(server, kind, pids, bench, number)
            right = serving.expected_answers([request for request, _ in answers])
            good = sum((one.status, one.body) == wanted for (_, one), wanted in zip(answers, right))
            bench.equal("attached %d: right answers" % number, len(answers), good)
            look_at_profile(bench, "attached %d" % number, profile, kind, pids, beneath)
        look_at_processes(bench, pids)
        bench.equal("status, processes left", (0, 0), server.stop())
        bench.equal("lines of libpyperf", [], [line for line in serving.lines_of_logs(bench) if "libpyperf" in line])
    bench.equal("cores", [], serving.cores(bench))
