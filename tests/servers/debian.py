"""A Debian in a folder, for tests that must not change the system."""

import glob
import os
import re
import subprocess

SECONDS = 600


def run(words, **more):
    """A command's output; fails with all of its messages."""
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=more.pop("stdin", subprocess.DEVNULL),
        encoding="utf-8",
        errors="backslashreplace",
        timeout=SECONDS,
        **more
    )
    if done.returncode != 0:
        said = " ".join(done.stdout.split())[-600:]
        raise RuntimeError("%s: status %d: %s" % (" ".join(words[:3]), done.returncode, said))
    return done.stdout


def codename():
    with open("/etc/os-release") as release:
        found = re.search(r"^VERSION_CODENAME=(\w+)", release.read(), re.M)
    if not found:
        raise RuntimeError("/etc/os-release has no VERSION_CODENAME")
    return found.group(1)


def mirror(suite):
    """The mirror that apt uses."""
    form = "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"
    shown = run(["apt-get", "indextargets", "--format", form])
    found = re.search(r"^Debian\|main\|%s\|(\S+)" % suite, shown, re.M)
    if not found:
        raise RuntimeError("apt is configured for no mirror of Debian %s" % suite)
    return found.group(1)


def bootstrap(build, root, more):
    """Makes one at `root`, of this system's suite, with all that libpyperf's package and `more`
    need. Returns that package, as "make deb" has made it, not installed yet."""
    (package,) = glob.glob(os.path.join(build, "libpyperf_*.deb"))
    depends = run(["dpkg-deb", "-f", package, "Depends"])
    wanted = re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends.strip())
    suite = codename()
    make = ["debootstrap", "--variant=minbase", "--include=" + ",".join(wanted + list(more))]
    # An interrupted debootstrap would leave its mounts.
    run(["unshare", "--mount"] + make + [suite, root, mirror(suite)])
    return package
