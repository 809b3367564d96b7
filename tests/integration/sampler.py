"""Runs programs under the sampler, and reads its files with pyperf-run's own reader."""

import json
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "scripts", "run"))

import harness
import python2  # noqa: F401  # first
import samples as reader


def environment(bench, how="250", **more):
    more.setdefault("support", None)
    return bench.environment(PYPERF_SAMPLER=how, **more)


def run(bench, command, how="250", **more):
    """The program's outcome, and its profile."""
    done = bench.run(command, environment(bench, how, **more))
    return done, profile(bench)


def part(bench, name, how="250", **more):
    """The same of a part of programs/sampled.py; its answer in place of its outcome."""
    done, recording = run(bench, [bench.python, bench.program("sampled.py"), name], how, **more)
    bench.equal("%s: status, stderr" % name, (0, ""), (done.status, done.err))
    return json.loads(done.out or "null"), recording


def possible(bench, ways):
    """The ways to sample of these that can be had here."""
    for how in ways:
        why = harness.ruled_out(["waits"]) if ":wall" in (how or "") else None
        if why is None:
            yield how
        else:
            bench.skip(how, why)


def profile(bench, by_line=False):
    """All files in the folder of images, as one profile; None if there are none."""
    if not [name for name in os.listdir(bench.images) if name.endswith(".samples")]:
        return None
    return reader.Recording(bench.images, by_line)


def remove(bench):
    for name in os.listdir(bench.images):
        if name.endswith(".samples"):
            os.unlink(os.path.join(bench.images, name))


def total(found):
    return sum(one.count for one in found)


def of_process(recording, pid):
    return [one for one in recording.records() if one.pid == pid]


def names(sample):
    """Python functions from the innermost outwards, without their files."""
    return [frame.function[0] for frame in sample.frames if frame.function is not None]
