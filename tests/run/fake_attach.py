"""Runs pyperf-run -p, --attach and --detach with a fake pyperf-attach, on processes that are not Python at all."""

import json
import os
import subprocess
import sys

import sampled
from looks import ROOT

RUN = os.path.join(ROOT, "scripts", "pyperf-run")
# Keeps what is on in a file for each process, and puts a canned profile into the folder.
FAKE = """#!%s
import json, os, shutil, signal, sys, time
fake, action, pid = os.path.dirname(sys.argv[0]), sys.argv[1] if sys.argv[1:] else "", (sys.argv + ["", ""])[2]
if not pid:
    sys.exit(2)
def path(name):
    return os.path.join(fake, name)
def stopped(*_):
    with open(path("commands"), "a") as out:
        out.write("taken back %%s\\n" %% pid)
    sys.exit(1)
signal.signal(signal.SIGTERM, stopped)
with open(path("commands"), "a") as out:
    out.write(" ".join(sys.argv[1:]) + "\\n")
try:
    with open(path(pid + ".json")) as file:
        state = json.load(file)
except IOError:
    state = {"python": None, "refusal": "process %%s is not Python" %% pid}
if action == "look":
    print(json.dumps(dict(state, pid=int(pid))))
    if state.get("refusal"):
        sys.stderr.write("pyperf-attach: %%s\\n" %% state["refusal"])
    sys.exit(bool(state.get("refusal")))
why = state.get("fails", {}).get(action)
if why == "slowly":
    time.sleep(60)
if why:
    sys.stderr.write("pyperf-attach: %%s\\n" %% why)
    sys.exit(1)
state["sampling"], state["mode"] = action == "sample", "off" if action in ("sample", "off") else action
if action == "sample":
    folder = "/proc/%%s/root%%s" %% (pid, sys.argv[4])
    shutil.copy(path("profile"), folder + "/pyperf-%%s-abcdef.samples" %% pid)
with open(path(pid + ".new"), "w") as out:
    json.dump(state, out)
os.rename(path(pid + ".new"), path(pid + ".json"))
print(json.dumps({"stopped_ms": 0.75, "threads_stopped": 2, "left_asleep": 1, "served_after_ms": 3, "said": ""}))
""" % sys.executable
PYTHON = {"python": "3.9", "libpyperf": "none", "sampling": False, "mode": "off", "refusal": None}


class Attaching:
    """A folder with the tool, the library beside it, and the work."""

    def __init__(self, look):
        self.look, self.processes = look, []
        for name in ("fake", "work", "tmp"):
            os.mkdir(look.path(name))
        self.write("fake/pyperf-attach", FAKE, 0o755)
        self.write("fake/libpyperf.so", "PYPERF_SAMPLER")
        self.write("fake/profile", sampled.simple().bytes())
        self.write("fake/commands", "")
        os.chmod(look.folder, 0o755)

    def write(self, name, text, mode=0o644):
        with open(self.look.path(name), "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(out.name, mode)

    def process(self, *words, **state):
        """One that sleeps, of which the tool says what is given."""
        child = subprocess.Popen(words or ("sleep", "600"), stdin=subprocess.DEVNULL)
        self.processes.append(child)
        self.state(child.pid, **state)
        return child

    def state(self, pid, **state):
        self.write("fake/%d.json" % pid, json.dumps(dict(PYTHON, **state)))

    def state_of(self, pid):
        with open(self.look.path("fake/%d.json" % pid)) as file:
            return json.load(file)

    def commands(self, *actions):
        """What the tool was told since the last call; of these actions, if any are given."""
        with open(self.look.path("fake/commands")) as file:
            lines = [line.split() for line in file]
        self.write("fake/commands", "")
        return [line for line in lines if not actions or line[0] in actions]

    def was_told(self, action, pid):
        with open(self.look.path("fake/commands")) as file:
            return any(line.startswith("%s %d " % (action, pid)) for line in file)

    def environment(self, perf=None):
        """perf: a canned.Canned."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "LC_", "LD_"))}
        library = self.look.path("fake/libpyperf.so")
        if perf:
            kept.update(CANNED=perf.folder, PATH=perf.path("bin") + ":" + kept["PATH"])
        return dict(kept, PYPERF_LIBRARY=library, TMPDIR=self.look.path("tmp"), LC_ALL="C.UTF-8")

    def start(self, *words, **more):
        more.setdefault("env", self.environment())
        return subprocess.Popen(
            tuple(more.pop("prefix", ())) + (more.pop("run", RUN),) + words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.look.path("work"),
            universal_newlines=True,
            **more
        )

    def run(self, *words, **more):
        child = self.start(*words, **more)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.processes:
            child.kill()
            child.wait()
