"""systemd as process 1 of its own Debian, in namespaces: nothing is left when it ends."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

import guide
import packages
from debian import bootstrap, run

SECONDS_TO_START = 60
NEEDED = (
    ("debootstrap", "debootstrap"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("perf", "linux-perf"),
)
CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
# In its own cgroup and mount namespace; $container tells systemd not to expect udev.
START = r"""
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
cd "$root"
pivot_root . .
umount -l .
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"""
UNIT = """[Service]
WorkingDirectory=/srv
ExecStart=/usr/bin/python3 -m shop
StandardOutput=append:/srv/out
StandardError=append:/srv/err
"""
# A process may not raise its limits everywhere.
CONFIGURATION = """[Manager]
DefaultLimitNOFILE=1024
DefaultLimitMEMLOCK=65536
"""


def cgroup2():
    """A folder in which a cgroup can be made; None if there is none."""
    for folder in CGROUPS:
        if os.path.exists(os.path.join(folder, "cgroup.procs")):
            return folder if os.access(folder, os.W_OK) else None
    return None


def missing():
    """Why systemd cannot run here; None if it can."""
    if os.geteuid() != 0:
        return "only root can start another process 1"
    for program, package in NEEDED:
        if not shutil.which(program):
            return "%s is not installed: apt-get install %s" % (program, package)
    return None if cgroup2() else "there is no cgroup2 that can be written to"


def drop_in(number=0):
    """One of those in the guide: the first is for perf, the second for the sampler."""
    lines = re.findall(r"^    \[Service\]\n(?:    .*\n)+", guide.section("systemd"), re.M)[number]
    return re.sub(r"^    ", "", lines, flags=re.M)


class Manager:
    def __init__(self, build):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="pyperf-systemd-", dir="/var/tmp")
        self.root = os.path.join(self.folder, "root")
        self.cgroup = os.path.join(cgroup2(), os.path.basename(self.folder))
        self.outer = self.pid = None

    def __enter__(self):
        try:
            self.make_root()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def make_root(self):
        """From debootstrap on, with the package that "make deb" has made."""
        more = ["systemd", "systemd-sysv", "dbus", "cron", "curl", "python3", "linux-perf"]
        package = bootstrap(self.build, self.root, more)
        shutil.copy(package, self.inside("libpyperf.deb"))
        run(["chroot", self.root, "dpkg", "-i", "/libpyperf.deb"])
        shutil.copytree(packages.program("shop"), self.inside("srv/shop"))
        self.write("etc/systemd/system/shop.service", UNIT)
        self.write("etc/systemd/system.conf.d/limits.conf", CONFIGURATION)

    def inside(self, path):
        return os.path.join(self.root, path)

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.inside(path)), exist_ok=True)
        with open(self.inside(path), "w") as out:
            out.write(text)

    def read(self, path):
        try:
            with open(self.inside(path)) as source:
                return source.read()
        except FileNotFoundError:
            return ""

    def start(self):
        os.mkdir(self.cgroup)
        enter = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        words = ["sh", "-c", enter, "sh", self.cgroup, "unshare", "--mount", "--pid", "--uts"]
        words += ["--ipc", "--cgroup", "--fork", "--kill-child", "sh", "-c", START, "sh", self.root]
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.outer = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.time() + SECONDS_TO_START
        while self.outer.poll() is None and time.time() < end:
            with open("/proc/%d/task/%d/children" % (self.outer.pid, self.outer.pid)) as children:
                self.pid = int((children.read().split() or [0])[0])
            if self.pid and self.state() in ("running", "degraded"):
                return
            time.sleep(0.2)
        with open(os.path.join(self.folder, "log")) as log:
            raise RuntimeError("systemd does not start: %s" % log.read()[-600:])

    def state(self):
        try:
            return self.systemctl("is-system-running", check=False)
        except (RuntimeError, OSError):
            return None

    def enter(self, *words):
        """The command that runs another one in the namespaces of systemd's services."""
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-w", *words]

    def systemctl(self, *words, check=True):
        if check:
            return run(self.enter("systemctl", *words)).strip()
        done = subprocess.run(
            self.enter("systemctl", *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        return done.stdout.strip()

    def close(self):
        if self.outer is not None:
            self.outer.kill()  # and with it process 1, which ends its namespace
            self.outer.wait()
        for _ in range(50):
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if not os.path.exists(self.cgroup):
                break
            time.sleep(0.1)
        # Its mounts ended with its namespace.
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], stderr=subprocess.DEVNULL)


def namespace(pid):
    return os.readlink("/proc/%s/ns/pid" % pid)


class Service:
    """shop.service, with a drop-in of the guide and more of it."""

    def __init__(self, manager, more="", number=0):
        self.manager = manager
        for path in ("srv/out", "srv/err"):
            manager.write(path, "")
        manager.write("etc/systemd/system/shop.service.d/override.conf", drop_in(number) + more)
        manager.systemctl("daemon-reload")
        self.of_others = set(self.all_images())
        manager.systemctl("start", "shop")
        self.pid = self.host_pid(int(self.show("MainPID")))
        self.wait_for_turns(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.manager.systemctl("stop", "shop")

    def show(self, name):
        return self.manager.systemctl("show", "-p", name, "--value", "shop")

    def host_pid(self, inside):
        """The pid on the host of a process whose pid in the namespace is known."""
        for path in glob.glob("/proc/[0-9]*/status"):
            try:
                with open(path) as status:
                    found = re.search(r"^NSpid:\t(\d+)\t%d$" % inside, status.read(), re.M)
            except OSError:
                continue
            if found and namespace(found.group(1)) == namespace(self.manager.pid):
                return int(found.group(1))
        raise RuntimeError("no process has the number %d inside" % inside)

    def turns(self):
        return self.manager.read("srv/out").split()

    def wait_for_turns(self, more):
        """The program has gone on, and so has acted on a signal."""
        end, before = time.time() + 60, len(self.turns())
        while len(self.turns()) < before + more:
            if time.time() > end:
                raise RuntimeError("no more turns of shop: %s" % self.manager.read("srv/err"))
            time.sleep(0.1)

    def signal(self):
        """As the guide says."""
        self.manager.systemctl("kill", "--kill-whom=all", "-s", "RTMIN+3", "shop.service")
        self.wait_for_turns(2)

    def status(self):
        """/proc/PID/status of its process: {"Seccomp": "2", ...}"""
        with open("/proc/%d/status" % self.pid) as status:
            return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)

    def has_own_tmp(self):
        here, outside = (os.stat("/proc/%d/root/tmp" % one) for one in (self.pid, self.manager.pid))
        return (here.st_dev, here.st_ino) != (outside.st_dev, outside.st_ino)

    def images(self):
        """The images in the drop-in's directory, which is preserved."""
        return [one for one in self.all_images() if one not in self.of_others]

    def all_images(self):
        try:
            names = os.listdir("/proc/%d/root/run/shop-images" % self.manager.pid)
        except FileNotFoundError:
            return []
        return [one for one in names if one.startswith("pyperf-") and one.endswith(".so")]
