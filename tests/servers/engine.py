"""A Docker daemon of the tests' own: its data, its socket and its cgroup are removed at its end."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

import guide
import packages
from debian import SECONDS, bootstrap, run

SECONDS_TO_START = 60
IMAGE, BASE = "pyperf-test-shop", "pyperf-test-base"
# Folders that dockerd and containerd make elsewhere in any case.
THEIRS = ("/etc/docker", "/opt/containerd", "/run/containerd", "/run/docker")
NEEDED = (
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("debootstrap", "debootstrap"),
    ("perf", "linux-perf"),
)
DOCKERFILE = """FROM %s
COPY libpyperf.deb /tmp/
RUN apt-get install --no-install-recommends -y /tmp/libpyperf.deb
COPY shop /srv/shop
WORKDIR /srv
%s
"""


def missing():
    """Why containers are not possible here; None if they are."""
    if os.geteuid() != 0:
        return "only root can start a Docker daemon"
    for program, package in NEEDED:
        if not shutil.which(program):
            return "%s is not installed: apt-get install %s" % (program, package)
    return None


def recipe():
    """The lines of the Dockerfile in the guide."""
    return re.findall(r"^    ((?:ENV|ENTRYPOINT) .*)$", guide.section("Docker"), re.M)


class Engine:
    def __init__(self, build):
        self.build = build
        # Room for two images, each a full copy: /tmp is often small.
        self.folder = tempfile.mkdtemp(prefix="pyperf-docker-", dir="/var/tmp")
        self.socket = "unix://" + os.path.join(self.folder, "socket")
        self.cgroup = os.path.basename(self.folder)
        self.environment = dict(os.environ, DOCKER_HOST=self.socket, DOCKER_BUILDKIT="0")
        self.environment.update(HOME=self.folder, LC_ALL="C.UTF-8")
        self.there_before = [path for path in THEIRS if os.path.exists(path)]
        self.daemon = None

    # images and containers

    def docker(self, *words, **more):
        return run(["docker"] + list(words), env=self.environment, **more).strip()

    def make_image(self):
        """From debootstrap on, with the package that "make deb" has made."""
        root = os.path.join(self.folder, "root")
        package = bootstrap(self.build, root, ["python3", "curl", "linux-perf", "binutils"])
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
            self.docker("import", "-", BASE, stdin=packed.stdout)
        shutil.rmtree(root)
        context = os.path.join(self.folder, "context")
        shutil.copytree(packages.program("shop"), os.path.join(context, "shop"))
        shutil.copy(package, os.path.join(context, "libpyperf.deb"))
        with open(os.path.join(context, "Dockerfile"), "w") as out:
            out.write(DOCKERFILE % (BASE, "\n".join(recipe())))
        self.docker("build", "--network", "none", "-t", IMAGE, context)

    def once(self, options, *command):
        """Status and output of a command in a container of its own; 125 is an error of docker
        itself."""
        words = ["docker", "run", "--rm", "--network", "none"] + list(options)
        words += ["--entrypoint", command[0], IMAGE] + list(command[1:])
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self.environment,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=SECONDS,
        )
        return done.returncode, done.stdout

    # the daemon

    def __enter__(self):
        try:
            self.start()
            self.make_image()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        words = ["dockerd", "--host", self.socket, "--storage-driver", "vfs", "--bridge", "none"]
        words += ["--iptables=false", "--ip-forward=false", "--cgroup-parent", "/" + self.cgroup]
        words += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
        for option, name in (
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ):
            words += [option, os.path.join(self.folder, name)]
        log = os.path.join(self.folder, "log")
        with open(log, "w") as out:
            self.daemon = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        end = time.time() + SECONDS_TO_START
        while True:
            try:
                self.docker("version")
                return
            except RuntimeError:
                if self.daemon.poll() is not None or time.time() > end:
                    with open(log, errors="backslashreplace") as said:
                        last = said.read().strip().split("\n")[-1]
                    raise RuntimeError("dockerd does not start: %s" % last)
            time.sleep(0.2)

    def close(self):
        if self.daemon is not None and self.daemon.poll() is None:
            try:
                names = self.docker("ps", "-aq").split()
                if names:
                    self.docker("rm", "-f", *names)
            finally:
                self.daemon.terminate()
                try:
                    self.daemon.wait(30)
                except subprocess.TimeoutExpired:
                    self.daemon.kill()
                    self.daemon.wait()
        self.unmount()
        # Removes nothing through a mount that could not be unmounted.
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], stderr=subprocess.DEVNULL)
        self.remove_elsewhere()

    def unmount(self):
        with open("/proc/self/mountinfo") as mounts:
            points = [line.split()[4] for line in mounts]
        for point in reversed(points):
            if point.startswith(self.folder + "/"):
                subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)

    def remove_elsewhere(self):
        for path in set(THEIRS) - set(self.there_before):
            shutil.rmtree(path, ignore_errors=True)
        for top in glob.glob("/sys/fs/cgroup/*/" + self.cgroup) + ["/sys/fs/cgroup/" + self.cgroup]:
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass


class Container:
    """A container that runs "shop"."""

    def __init__(self, engine, *options, image=IMAGE, command=()):
        self.engine = engine
        self.name = engine.docker("run", "-d", "--network", "none", *options, image, *command)
        try:
            self.pid = int(self.look("{{.State.Pid}}"))
            self.wait_for_turns(1)
        except BaseException:
            self.remove()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.name:
            self.remove()

    def look(self, form):
        return self.engine.docker("inspect", "-f", form, self.name)

    def lines(self):
        """The lines of the program, and those of libpyperf."""
        said = self.engine.docker("logs", self.name).split("\n")
        return [one for one in said if one.isdigit()], [one for one in said if not one.isdigit()]

    def wait_for_turns(self, more):
        """Waits for the program's next turns, after which it has handled a signal."""
        end, before = time.time() + 60, len(self.lines()[0])
        while len(self.lines()[0]) < before + more:
            if time.time() > end or self.look("{{.State.Running}}") != "true":
                raise RuntimeError("no more turns of shop: %s" % self.lines()[1])
            time.sleep(0.1)

    def signal(self):
        """As the guide says."""
        self.engine.docker("kill", "-s", "RTMIN+3", self.name)
        self.wait_for_turns(2)

    def images(self, pid=None):
        names = os.listdir("/proc/%d/root/tmp" % (pid or self.pid))
        return [one for one in names if one.startswith("pyperf-") and one.endswith(".so")]

    def remove(self):
        name, self.name = self.name, None
        self.engine.docker("rm", "-f", name)
