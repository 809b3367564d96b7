"""What runs the table may be of any version from 2.7 on, and so may be perf."""

import json
import re

import interpreters
from canned import Canned, py, sample
from looks import case

CASES = []
# A name that is not ASCII, and bytes that are not UTF-8.
FRAMES = [py("größe", "/srv/größe.py"), py("main"), "Py_BytesMain (/opt/lib/libpython3.9.so.1.0)"]
TEXT = sample(FRAMES).encode() + sample([py("raw")]).encode().replace(b"raw", b"r\xffw")
OPTIONS = (["--colour"], ["--json", "-"], ["--width", "60", "--top", "1"], ["--used", "0m1.5s 0m0.2s"],
           ["--sort", "total", "--by", "thread"], ["--python-only", "--only", "größe/"], ["--callers", "größe"],
           ["--data", "perf.data"], ["--data", "perf.data", "--diff"])


def all_of(canned, **more):
    """All that the table's script writes."""
    seen = [canned.run(*options, **more) for options in OPTIONS]
    collapsed = canned.run("--collapsed", canned.path("größe.txt"), "--progress", **more)
    seen.append(collapsed)
    shown = [(one.status, one.out, one.err) for one in seen] + [canned.read("größe.txt")]
    # Dictionaries of Python 2.7 have an order of their own.
    return [json.loads(seen[1].out)] + shown[:1] + shown[2:]


@case(CASES)
def other_pythons(look):
    found = {one.series: one for one in interpreters.find()[0]}
    for series in ((2, 7), (3, 6)):
        if series not in found:
            look.skip("no Python %d.%d here" % series)
            continue
        with Canned(TEXT) as canned:
            look.equal("%d.%d" % series, all_of(canned), all_of(canned, python=found[series].path))
            canned.write("perf.data", "")
            seen = canned.run(python=found[series].path)
            look.that("%d.%d, a failure" % series, "one line", seen.err.count("\n") == 1, repr(seen.err))
            seen = canned.run(python=found[series].path, search=canned.path(""))
            look.that("%d.%d, no perf" % series, "one line", seen.err.count("\n") == 1, repr(seen.err))


@case(CASES)
def other_perfs(look):
    """perf 3.10 knows none of the two, 4.9 one."""
    for options, wanted in (("", []), ("--max-stack <n>", ["--max-stack", "4096"])):
        with Canned(TEXT) as canned:
            canned.write("options", options)
            shown = canned.run().out
            words = next(line for line in canned.read("commands").splitlines() if "--fields" in line).split()
            got = [word for word in words if word in ("--max-stack", "4096", "--no-inline")]
            look.equal("options of a perf with %r" % options, wanted, got)
            look.equal("its table", canned.run().out, shown)


@case(CASES)
def other_records(look):
    """perf 3.10 cannot keep the files of which there are no samples, and perf 7.2 keeps none unless told to."""
    for known, wanted in (
        ("--buildid-all", ["--buildid-all"]),
        ("--no-buildid", []),
        ("--buildid-all\n--buildid-mmap", ["--buildid-all", "--no-buildid-mmap"]),
    ):
        with Canned(TEXT) as canned:
            canned.write("options", known)
            canned.pyperf_run("-q", "--archive", canned.path("x.tar.bz2"), "--", "true")
            words = next(line for line in canned.read("commands").splitlines() if " record -o" in line)
            got = re.findall(r"--[a-z-]*buildid-(?:all|mmap)", words)
            look.equal("archive by a perf with %s" % known, wanted, got)
