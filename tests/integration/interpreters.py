"""The interpreters on this machine, and those that the tests need."""

import glob
import os
import re
import subprocess
import sys

# Run by the interpreter, also by 2.7. "shared" is decided by the mappings, because Debian's static
# python3.11 reports Py_ENABLE_SHARED.
PROBE = """
import platform, sys
maps = open('/proc/self/maps').read()
print(platform.python_implementation())
print('%d.%d.%d' % sys.version_info[:3])
print('shared' if '/libpython' in maps else 'static')
free = 't' in getattr(sys, 'abiflags', '')
print('free-threaded' if free else 'debug' if hasattr(sys, 'gettotalrefcount') else 'release')
print('musl' if '/ld-musl-' in maps or '-musl/libc.so' in maps else 'glibc')
"""

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# Written by scripts/dev/fetch-interpreters: "interpreter PATH", "perf PATH", "skipped NAME: why".
FETCHED = os.path.join(TOP, "build", "interpreters", "list")

SUPPORTED = ((3, 6), (3, 15))
PYTHON_2 = (2, 7)  # supported as well
NATIVE = (3, 12)  # the first with perf support of its own
WANTED = [((3, minor), "shared") for minor in range(6, 14)] + [((3, 11), "static")]
# Any build of these is enough.
WANTED_OTHERS = [(2, 7), (3, 14), (3, 15)]


class Interpreter:
    def __init__(self, path):
        self.path = path
        answer = subprocess.run(
            [path, "-E", "-s", "-c", PROBE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            universal_newlines=True,
            env=plain_environment(),
            timeout=60,
        ).stdout.split()
        if len(answer) != 5:
            raise ValueError("%s is not a Python interpreter that runs" % path)
        self.implementation, version, self.kind, build, libc = answer
        self.version = tuple(int(part) for part in version.split("."))
        self.debug = build == "debug"
        self.free_threaded = build == "free-threaded"
        self.musl = libc == "musl"
        self.label = "python%s %s" % (version, self.kind)
        if self.musl:
            self.label += " musl"
        if build != "release":
            self.label += " " + build

    @property
    def series(self):
        return self.version[:2]

    @property
    def supported(self):
        known = self.series == PYTHON_2 or SUPPORTED[0] <= self.series <= SUPPORTED[1]
        return known and not self.free_threaded

    @property
    def own_libc(self):
        """Whether it has its own libc, newer than that of this machine's perf."""
        return self.path.startswith(os.path.dirname(FETCHED)) and self.series >= (3, 13)

    @property
    def native(self):
        return self.series >= NATIVE


def plain_environment():
    """The caller's environment without variables that change an interpreter's start."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYPERF_", "LD_", "PERF_", "VIRTUAL_ENV", "GCONV_"))
    }


def candidates():
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for version in sorted(glob.glob(os.path.join(root, "versions", "*"))):
        for name in ("python3", "python2", "python"):
            path = os.path.join(version, "bin", name)
            if os.access(path, os.X_OK):
                yield path
                break
    for path in sorted(glob.glob("/usr/bin/python3.*")):
        if re.search(r"python3\.\d+$", path):
            yield path
    yield from fetched("interpreter")
    for path in os.environ.get("PYPERF_INTERPRETERS", "").split(":"):
        if path:
            yield path


def fetched(kind):
    """The lines of one kind in that list: interpreter, perf or skipped."""
    try:
        with open(FETCHED) as lines:
            rows = [line.rstrip("\n").partition(" ") for line in lines]
    except FileNotFoundError:
        return []
    return [rest for what, _, rest in rows if what == kind]


def find():
    """Every CPython, oldest first, and a list of (path or name, why it was left out)."""
    found, seen = [], set()
    left_out = [tuple(line.split(": ", 1)) for line in fetched("skipped")]
    for path in candidates():
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        try:
            interpreter = Interpreter(real)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            left_out.append((path, str(error)))
            continue
        if interpreter.implementation == "CPython":
            found.append(interpreter)
        else:
            left_out.append((path, "not CPython"))
    found.sort(key=lambda one: (one.version, one.kind, one.debug, one.path))
    return found, left_out


# Each kind of evaluator once: 2.7's own, one C frame for each Python call, inlined calls, and the newest,
# which has perf support of its own.
WHOLE = ((2, 7), (3, 9), (3, 11), (3, 15))
# Of these, those that also run the cases that take most of the time.
PATIENT = ((3, 11),)


def everything():
    return os.environ.get("PYPERF_TEST_ALL_INTERPRETERS", "0") not in ("", "0")


def thorough(found):
    """The interpreters on which all cases are run: one build of each series in WHOLE, Debian's own or the
    first shared one. The others run a selection, unless PYPERF_TEST_ALL_INTERPRETERS=1."""
    if everything():
        return {one.path for one in found}
    chosen = {}
    for one in sorted(found, key=lambda one: (not one.path.startswith("/usr/bin/"), one.kind)):
        if not one.debug and one.series in WHOLE:
            chosen.setdefault(one.series, one.path)
    return set(chosen.values())


def patient(one):
    return everything() or one.series in PATIENT


def absent(found):
    """The names of the wanted ones that are not among those found."""
    have = {(one.series, one.kind) for one in found}
    for series, kind in WANTED:
        if (series, kind) not in have:
            yield "python%d.%d %s" % (series + (kind,))
    for series in WANTED_OTHERS:
        if series not in {one.series for one in found}:
            yield "python%d.%d" % series


if __name__ == "__main__":
    for one in find()[0]:
        sys.stdout.write("%s %s\n" % (one.label, one.path))
