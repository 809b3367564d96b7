"""pyperf-run --doctor: what works here, what does not, and what to do.

    doctor.py [--library libpyperf.so] [--launcher pyperf-run] [python]

One line for each check: ok, warn or FAIL; below one that is not ok, the next step. The exit status
is 1 when something FAILs. Its files are in a folder that is removed, also after a Ctrl-C.
"""

import argparse
import os
import platform
import re
import shutil
import signal
import sys

sys.dont_write_bytecode = True

import doctor_live
import doctor_machine
import doctor_python
import doctor_tools

HERE = os.path.dirname(os.path.realpath(__file__))
# In a checkout, and as installed: $(prefix)/lib/libpyperf/doctor.py
LIBRARY_FOLDERS = ("../../build", "..")
# The same search as in flamegraph.sh.
TEMPLATES = ("../../build/flamegraph.html", "../../share/libpyperf/flamegraph.html")


class Interrupted(BaseException):
    pass


def on_signal(number, frame):
    for one in doctor_tools.SIGNALS:  # the rest is short
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(number)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", metavar="PATH", help="libpyperf.so")
    parser.add_argument("--launcher", metavar="PATH", help="pyperf-run")
    parser.add_argument("python", nargs="?", default="python3", help="default: python3 in PATH")
    return parser.parse_args()


def find_library(given):
    if given:
        return os.path.realpath(given)
    places = [os.path.join(HERE, folder, "libpyperf.so") for folder in LIBRARY_FOLDERS]
    return os.path.realpath(next(filter(os.path.exists, places), places[0]))


def find_beside(library, name):
    """Beside these scripts when installed, beside the library in a checkout; None if it is
    missing."""
    for folder in (HERE, os.path.dirname(library)):
        path = os.path.join(folder, name)
        if os.access(path, os.R_OK):
            return path
    return None


def version_of(library):
    """As trampoline/base/version.h has it."""
    with open(library, "rb") as file:
        found = re.search(rb"\0libpyperf (\d[!-~]*)\0", file.read())
    return found.group(1).decode("ascii") if found else "unknown"


def preloadable(library, place):
    """LD_PRELOAD is split at blanks and colons and expands "$": such a path needs another name."""
    if not set(library) & set(" :;$\t\n"):
        return library
    os.symlink(os.path.dirname(library), place.path("library"))
    return os.path.join(place.path("library"), os.path.basename(library))


def examine_own_parts(findings, arguments, library):
    text = "%s, Python %s, runs these scripts" % (sys.executable, platform.python_version())
    findings.ok("scripts", text)
    launcher = arguments.launcher
    if launcher and not os.access(launcher, os.X_OK):
        findings.fail("pyperf-run", "%s cannot be run" % launcher, doctor_tools.REPAIR)
    templates = [os.path.normpath(os.path.join(HERE, name)) for name in TEMPLATES]
    template = next(filter(os.path.exists, templates), templates[-1])
    step = doctor_tools.REPAIR
    if doctor_tools.IN_CHECKOUT:
        template, step = templates[0], "make flamegraph-template"
    step += "; only pyperf-run --flamegraph needs it"
    doctor_machine.examine_file(findings, "flame graphs", template, step)
    if os.access(library, os.R_OK):
        findings.ok("libpyperf", "%s, version %s" % (library, version_of(library)))
        return True
    findings.fail("libpyperf", "%s cannot be read" % library, doctor_tools.REPAIR)
    return False


def examine(findings, arguments, place):
    library = find_library(arguments.library)
    perf = doctor_machine.Perf(findings, place)
    perf.examine()
    doctor_machine.examine_folders(findings)
    doctor_machine.examine_limits(findings)
    there = examine_own_parts(findings, arguments, library)
    path = shutil.which(arguments.python)
    if path is None:
        text = "%s: not found, or not executable" % arguments.python
        findings.fail("interpreter", text, "name another: pyperf-run --doctor PATH")
        return
    python = doctor_python.Python(
        findings, place, os.path.abspath(path), preloadable(library, place)
    )
    if not python.ask():
        return
    python.examine(find_beside(library, "pyperf-inspect"))
    if not python.is_cpython:
        return
    doctor_machine.examine_kernel(findings, python.frame_pointers)
    if not there:
        return
    python.examine_hook()
    if not python.hooked and not python.own_support:
        findings.fail("profile", "not tried: there would be no Python functions", "see hook, above")
        return
    live = doctor_live.Live(findings, place, perf, python, find_beside(library, "pyperf-unwind"))
    if perf.works:
        live.profile()
    else:
        findings.fail("profile", "not tried: perf does not work here", "see perf, above")
    live.walk(find_beside(library, "pyperf-walk.so"))


def main():
    arguments = parse_arguments()
    findings = doctor_tools.Findings(sys.stdout)
    place = None
    for number in doctor_tools.SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, on_signal)
    try:
        folder = doctor_machine.usable_folder()
        if folder is None:
            doctor_machine.examine_folders(findings)
            return findings.close()
        with doctor_tools.undisturbed():
            place = doctor_tools.Workplace(folder)
        examine(findings, arguments, place)
        return findings.close()
    except BrokenPipeError:
        # The reader has ended; and Python must not write again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Interrupted as interruption:
        number = interruption.args[0]
    finally:
        if place:
            place.close()
    # The caller must see that the signal ended us.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())
