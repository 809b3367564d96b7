"""Shared by the tests of pyperf-run --send: runs of it, and files."""

import os
import subprocess

import looks

RUN = os.path.join(looks.ROOT, "scripts", "pyperf-run")


class Look(looks.Look):
    build = None  # the folder of --build


def environment(look, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "LC_", "LD_"))}
    os.makedirs(look.path("home"), exist_ok=True)
    kept.update(HOME=look.path("home"), TMPDIR=look.path("home"), LC_ALL="C.UTF-8", no_proxy="127.0.0.1")
    return dict(kept, PYPERF_LIBRARY=os.path.join(look.build, "libpyperf.so"), **more)


def run(look, *words, **more):
    done = subprocess.run(
        [RUN] + list(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=look.folder,
        env=environment(look, **more),
        timeout=60,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def send(look, name, store, *words, **more):
    """The status and the lines of stderr of a profile that is there."""
    options = ["--report", name, "-q", "--send", store, "--service", "shop"]
    status, _, err = run(look, *(options + list(words)), **more)
    return status, err.splitlines()


def write(look, name, data):
    os.makedirs(os.path.dirname(look.path(name)), exist_ok=True)
    with open(look.path(name), "wb") as out:
        out.write(data)
    return look.path(name)


def sum_of(received):
    return sum(values[0] for one in received for values in one.profile.stacks.values())
