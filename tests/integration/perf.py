"""Runs perf record and perf script, as a user does: no perf inject."""

import glob
import os
import re
import shutil
import subprocess
import sys

import harness

HERE = os.path.dirname(os.path.realpath(__file__))
SCRIPTS = os.path.join(HERE, "..", "..", "scripts", "run")
sys.path.append(SCRIPTS)

import perf_script

FREQUENCY = "499"
LARGEST = "65528"  # bytes of stack that perf takes with a sample
KERNEL = "[kernel.kallsyms]"
FIELDS = ["-F", perf_script.FIELDS]
WHOLE_STACKS = perf_script.WHOLE_STACKS


def call_graph(bench):
    """A debug build's evaluator has frames of more than a KiB."""
    return "dwarf," + (LARGEST if bench.interpreter.debug else "16384")


def frame_pointers(bench):
    """What pyperf-run finds about frame pointers: yes, no or partly."""
    text = "\nwith open('/proc/self/maps') as maps: print(maps.read())"
    lines = [line.split() for line in bench.plain("-c", text).out.splitlines() if "r-xp" in line]
    files = [words[-1] for words in lines if words[-1].startswith("/")]
    inspect = os.path.join(bench.build, "pyperf-inspect")
    shown = subprocess.check_output([inspect] + files).decode()
    return re.search(r"frame-pointers=(\w+)", shown).group(1)


def record(bench, command, options=(), **environment):
    """Runs the command under perf record; returns perf's outcome and the path of the data. The
    program's own output is on stdout."""
    data = os.path.join(bench.folder, "perf.data")
    words = [bench.perf, "record", "--call-graph", call_graph(bench), "-F", FREQUENCY, "-o", data]
    try:
        done = bench.run(
            words + list(options) + ["--"] + list(command), bench.environment(**environment)
        )
    except FileNotFoundError:
        raise RuntimeError("perf is not installed: apt-get install linux-perf")
    if not os.path.exists(data) or os.path.getsize(data) == 0:
        lines = " ".join(done.err.split())
        raise RuntimeError("perf record recorded nothing, status %d: %s" % (done.status, lines))
    if bench.interpreter.musl:
        add_unwind_data(bench)
    return done, data


def add_unwind_data(bench):
    """In the cache that perf uses by default, so that each of its commands finds them; and where pyperf-run
    has them (unwind.sh), because perf 7.2 looks into that cache for names alone."""
    libc = os.path.realpath(glob.glob("/lib/ld-musl-*.so.1")[0])
    build_id = subprocess.check_output([bench.perf, "buildid-list", "-i", libc]).decode().strip()
    folder = os.path.join(bench.home, ".debug", ".build-id", build_id[:2], build_id[2:])
    os.makedirs(folder, exist_ok=True)
    copy = os.path.join(folder, "elf")
    if os.path.exists(copy):
        os.unlink(copy)  # perf's own, maybe a link to the file
    subprocess.check_call([os.path.join(bench.build, "pyperf-unwind"), libc, copy])
    place = files_with_unwind_data(bench)
    shutil.rmtree(place, ignore_errors=True)
    command = '. "$0/unwind.sh" && put_in_place "$@"'
    subprocess.check_call(["sh", "-c", command, SCRIPTS, copy, place, libc])
    # With --symfs perf's cache is there (tools/perf/util/symbol.c, symbol__config_symfs), and the vdso in it.
    os.symlink(os.path.join(bench.home, ".debug"), os.path.join(place, ".debug"))


def files_with_unwind_data(bench):
    return os.path.join(bench.home, "files")


def need_libunwind(bench):
    """perf 7.2 is built without it. libdw, in its place, passes over code that is in no file, such as a trampoline
    without its image, and opens no file of another mount namespace to unwind."""
    words = [bench.perf, "version", "--build-options"]
    shown = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8").stdout
    if re.search(r"^ *libunwind: *\[ OFF", shown, re.M):
        raise harness.Skip("this perf has no libunwind")


def text(bench, data, options=()):
    """The output of perf script with FIELDS."""
    words = [bench.perf, "script", "-i", data] + FIELDS + list(options)
    if bench.interpreter.musl and bench.perf != "perf":
        words += ["--symfs", files_with_unwind_data(bench), "--kallsyms", "/proc/kallsyms"]
    return subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=bench.environment(preload=False, support=None, images=False),
        encoding="utf-8",
        errors="backslashreplace",
        timeout=300,
    ).stdout


def script(bench, data, options=()):
    """All samples in order of time."""
    return in_order(samples(text(bench, data, options)))


def in_order(found):
    return sorted(found, key=lambda sample: sample.time)


def samples(shown):
    """The samples in the output of perf script with FIELDS."""
    return list(perf_script.parse(shown.split("\n")))


def share(part, whole):
    percent = 100.0 * part / whole if whole else 0.0
    return "%d/%d (%.2f %%)" % (part, whole, percent)
