"""docs/services.md's recipes for containers in which perf is refused: the sampler from inside."""

import json
import os
import re
import shutil
import subprocess
import time

import guide
import inside
import orders
import packages
from debian import SECONDS
from engine import IMAGE
from harness import case

CASES = []
STATUS, OUT = "3\n", "answers: 1\n"  # of app.py
BY_LINES = "pyperf-run: --lines: perf knows no lines of Python functions; "
BY_FUNCTIONS = "pyperf-run: perf is not permitted here "
FILE = "/srv/app/orders.py"
SERVICE = r"^    docker (run -d .*) shop$"
UNWRITABLE = "libpyperf: not sampling: no file of samples can be made: /profile: Permission denied"
USED = "libpyperf's own sampler is used"
PLACES = ("lines", "functions")
ONE = "mkdir /tmp/{0} && cd /tmp/{0} && {1} >out 2>err; echo $? >status"
OPTIONS = (
    ("--read-only", "--tmpfs", "/tmp"),
    ("--cap-drop", "ALL"),
    ("--user", "1000"),
)
ALL = tuple(word for options in OPTIONS for word in options) + ("--security-opt", "no-new-privileges")


def command():
    """pyperf-run's in the guide."""
    (found,) = re.findall(r"^    (pyperf-run .* -- python3 )app\.py$", guide.section("Docker"), re.M)
    return found + "/srv/app/app.py"


def mounted(bench):
    folder = os.path.join(bench.folder, "app")
    os.makedirs(folder, exist_ok=True)
    for name in ("app.py", "orders.py"):
        shutil.copy(packages.program(name), folder)
    os.chmod(bench.folder, 0o755)
    return ["--volume", folder + ":/srv/app:ro"]


def run(bench, options):
    """Runs the command with --lines and without it in one container; returns the folder of what both have left. That
    comes as an archive on stdout: of a read-only container nothing stays."""
    text = "\n".join(map(ONE.format, PLACES, (command(), command().replace(" --lines", ""))))
    words = ["docker", "run", "--rm", "--network", "none"] + mounted(bench) + list(options)
    words += ["--entrypoint", "sh", IMAGE, "-c", text + "\nexec tar -cf - -C /tmp " + " ".join(PLACES)]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=bench.machine.environment, timeout=SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError("docker run: status %d: %s" % (done.returncode, done.stderr.decode()))
    folder = os.path.join(bench.folder, "left")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    subprocess.run(["tar", "-xf", "-", "-C", folder, "--no-same-owner"], input=done.stdout, check=True)
    return folder


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as text:
        return text.read()


def look_at_run(bench, what, folder, why):
    bench.equal(what + ": status, stdout", (STATUS, OUT), (read(folder, "status"), read(folder, "out")))
    first, rest = read(folder, "err").split("\n", 1)
    bench.that(what + ": says why", why, first.startswith(why) and USED in first, first)
    others = [line for line in rest.split("\n") if "pyperf" in line]
    bench.equal(what + ": other lines of ours", [], others)
    rows, event = inside.table(bench, os.path.join(folder, "pyperf.samples"), "--lines")
    inside.look_at_whole(bench, what, event)
    inside.look_at_rows(bench, what, rows, FILE, orders.weigh)
    return rest


def look_at_lines(bench, what, text, form):
    found = {int(line) for line in re.findall(form + re.escape(FILE) + r":(\d+)", text)}
    good = bool(found) and found <= inside.lines_of(orders.weigh)
    bench.that(what, "some of the body of weigh", good, repr(sorted(found)))


def frames(page):
    """Those of a flame graph's page: name, file and line, one a line."""
    told = json.loads(re.search(r'<script id="profile"[^>]*>(.*)</script>', page).group(1))
    rows = [(name, told["files"][file][1], line) for _, name, file, line in told["frames"] if file >= 0]
    return "\n".join("%s:%s:%d" % row for row in rows)


def look_at_container(bench, options):
    what, folder = " ".join(options) or "no option", run(bench, options)
    by_lines, by_functions = (os.path.join(folder, name) for name in PLACES)
    shown = look_at_run(bench, what + ", by lines", by_lines, BY_LINES)
    look_at_lines(bench, what + ": lines of the table", shown, r" weigh +")
    look_at_lines(bench, what + ": lines of the flame graph", frames(read(by_lines, "out.html")), "weigh:")
    shown = look_at_run(bench, what + ", by functions", by_functions, BY_FUNCTIONS)
    row = re.search(r"^ .* weigh +%s$" % re.escape(FILE), shown, re.M)
    bench.that(what + ": the table", "a row of weigh", bool(row), row.group(0) if row else shown)


@case(CASES)
def inside_container(bench):
    """Docker's own seccomp profile refuses perf."""
    look_at_container(bench, ())


@case(CASES)
def inside_container_locked(bench):
    for options in OPTIONS:
        look_at_container(bench, options)
    look_at_container(bench, ALL)


class Sampled:
    """The service of the guide, with a volume of its own."""

    def __init__(self, bench, more=()):
        self.engine, self.name, self.volume = bench.machine, bench.name, bench.name + "-profile"
        words = self.words(SERVICE) + ["--network", "none", "--name", self.name] + list(more) + [IMAGE]
        self.engine.docker(*words)

    def words(self, form):
        """Those of a docker command in the guide, up to the image, for our volume."""
        (text,) = re.findall(form, guide.section("Docker"), re.M)
        return text.replace("shop-profile", self.volume).split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.docker("rm", "-f", self.name)
        self.engine.docker("volume", "rm", self.volume)

    def logs(self):
        return self.engine.docker("logs", self.name, stdin=subprocess.DEVNULL).split("\n")

    def wait_for_turns(self, count):
        end = time.time() + 60
        while sum(line.isdigit() for line in self.logs()) < count:
            if time.time() > end:
                raise RuntimeError("no turns of shop: %s" % self.logs())
            time.sleep(0.2)

    def on_the_host(self):
        """The volume's place there."""
        words = self.words(r"^    pyperf-run --report \$\(docker (.*)\) --lines$")
        return self.engine.docker(*[word.strip("'") for word in words])

    def elsewhere(self, *more):
        """The table, made in another container."""
        words = self.words(r"^    docker (run --rm .* pyperf-run) shop --report /profile --lines$")
        done = [IMAGE, "--report", "/profile", "--lines", "--json=-", "--top", "3"]
        return self.engine.docker(*words, "--network", "none", *more, *done)


@case(CASES)
def inside_service(bench):
    """Its files on a volume are read in another container while it runs, and on the host when it was killed."""
    with Sampled(bench) as service:
        service.wait_for_turns(8)
        (event,) = json.loads(service.elsewhere())["events"]
        inside.look_at_shop(bench, "running, read in another container", event)
        service.engine.docker("kill", service.name)
        _, event = inside.table(bench, service.on_the_host(), "--lines")
        inside.look_at_shop(bench, "killed, read on the host", event)
        bench.equal("other lines than shop's", [], [line for line in service.logs() if not line.isdigit()])


@case(CASES)
def inside_service_of_a_user(bench):
    """The volume is root's."""
    with Sampled(bench, ("--user", "1000", "--cap-drop", "ALL")) as service:
        service.wait_for_turns(2)
        bench.equal("files", [], os.listdir(service.on_the_host()))
        said = [line for line in service.logs() if not line.isdigit()]
        bench.equal("lines", [UNWRITABLE], said)
