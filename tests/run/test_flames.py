#!/usr/bin/env python3
"""scripts/run/flames.py and flame_frames.py: what the page of a flame graph is told. One line for each check; the exit
status is 1 if any failed."""

import json
import os
import sys

sys.dont_write_bytecode = True

import looks
from canned import Canned, header, py, sample
from looks import case, main

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import flame_frames
import model
import stacks

CASES = []
IMAGE = "/tmp/images/pyperf-7-CE1wJv.so"
LIBPYTHON, BINARY = "/usr/lib/libpython3.9.so.1.0", "/usr/bin/python3.11"
JSON = "/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so"
PACKAGES = "/srv/venv/lib/python3.9/site-packages/"


@case(CASES)
def kinds_of_files(look):
    for file, kind in (
        ("/srv/app/views.py", "own"),
        ("<string>", "own"),
        ("C:\\srv\\app.py", "own"),
        (PACKAGES + "django/db/__init__.py", "package"),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "package"),
        ("/usr/lib/python3.11/json/encoder.py", "standard"),
        ("/usr/lib/python311.zip/json/encoder.py", "standard"),
        ("<frozen os>", "standard"),
        ("<frozen importlib._bootstrap_external>", "importer"),
        ("/usr/lib/python3.6/importlib/_bootstrap.py", "importer"),
        ("/usr/lib/python3.11/importlib/__init__.py", "importer"),
        ("/usr/lib/python3.11/importlib/metadata/__init__.py", "standard"),
        ("/srv/app/importlib/util.py", "own"),
    ):
        look.equal(file, kind, flame_frames.kind_of(file))


@case(CASES)
def machine_code(look):
    for symbol, holder, kind, name in (
        ("_PyEval_EvalFrameDefault", BINARY, "inner", "_PyEval_EvalFrameDefault"),
        ("_PyEval_EvalFrameDefault.cold", LIBPYTHON, "inner", "_PyEval_EvalFrameDefault.cold"),
        ("method_vectorcall_NOARGS", BINARY, "inner", "method_vectorcall_NOARGS"),
        ("method_vectorcall_NOARGS", "/usr/lib/libother.so", "c", "method_vectorcall_NOARGS"),
        ("__libc_start_main@@GLIBC_2.34", "/usr/lib/libc.so.6", "inner", "__libc_start_main@@GLIBC_2.34"),
        ("list_sort", BINARY, "c", "list_sort"),
        ("hook_3_11", "/opt/lib/libpyperf.so", "inner", "hook_3_11"),
        ("PyImport_ImportModuleLevelObject", BINARY, "importer", "PyImport_ImportModuleLevelObject"),
        ("PyImport_Import", BINARY, "importer", "PyImport_Import"),
        ("load_source_module", "/usr/bin/python2.7", "importer", "load_source_module"),
        ("PyImport_GetModuleDict", BINARY, "c", "PyImport_GetModuleDict"),
        (model.UNKNOWN, BINARY, "inner", "[python3.11]"),
        (model.UNKNOWN, JSON, "c", "[_json]"),
        (model.UNKNOWN, "/usr/lib/libz.so.1", "c", "[libz.so.1]"),
        (model.UNKNOWN, "[unknown]", "inner", model.UNKNOWN),
        (model.UNKNOWN, IMAGE, "inner", "[pyperf-7-CE1wJv.so]"),
        ("[waiting for the GIL]", model.WAITING, "waiting", "[waiting for the GIL]"),
    ):
        told = flame_frames.described(model.Frame(None, symbol, holder))
        look.equal("%s (%s)" % (symbol, holder), (kind, name), told[:2])
    for symbol, name in (("exc_page_fault", "exc_page_fault"), (model.UNKNOWN, "[kernel]")):
        told = flame_frames.described(model.Frame(None, symbol, "[kernel.kallsyms]", True))
        look.equal("kernel: %s" % symbol, ("kernel", name), told[:2])


@case(CASES)
def paths(look):
    table = flame_frames.Table()
    for file in ("/srv/shop/app.py", "/srv/shop/db/orders.py"):
        table.of(("own", "f", file, ("f", file)))
    files = flame_frames.Files(table)
    for kind, file, short, module in (
        ("own", "/srv/shop/app.py", "app.py", "app.py"),
        ("own", "/srv/shop/db/orders.py", "db/orders.py", "db/orders.py"),
        ("own", "/srv/shop/a/b/c/d.py", "a/b/c/d.py", "a/b/c/d.py"),
        ("own", "/srv/shop/a/b/c/d/e.py", ".../c/d/e.py", ".../c/d/e.py"),
        ("own", "/home/u/lib/x/y.py", ".../lib/x/y.py", ".../lib/x/y.py"),
        ("package", PACKAGES + "django/db/__init__.py", "django/db/__init__.py", "django.db"),
        ("standard", "/usr/lib/python3.11/json/encoder.py", "json/encoder.py", "json.encoder"),
        ("standard", "<frozen os>", "<frozen os>", "os"),
        ("c", JSON, os.path.basename(JSON), None),
    ):
        row = files.rows[files.number(kind, file)]
        look.equal(file, (short, file), tuple(row[:2]))
        look.equal("%s as a module" % file, module, row[2] if module else None)
    for given, common in (
        ([], ""),
        (["/srv/app.py"], "/srv/"),
        (["/srv/a.py", "/home/b.py"], ""),
        (["/srv/shop/a.py", "/srv/shop2/b.py"], "/srv/"),
    ):
        look.equal("common folder of %s" % given, common, flame_frames.common_folder(given))


@case(CASES)
def command_of_perf(look):
    launched = " -- env --default-signal=HUP sh /opt/run/launch.sh /tmp/pyperf-run.x /l.so /tmp/i"
    launched += " PYPERF_MAP=needed PYTHONPERFSUPPORT=1 HUP INT 8  9 8 7 6 5 4 3 "
    for command, expected in (
        ("/usr/bin/perf record -F 99 -- python3 app.py --port 80 ", "python3 app.py --port 80"),
        ("/usr/bin/perf record -F 99" + launched + "python3 a -- b", "python3 a -- b"),
        ("/usr/bin/perf record" + launched.replace("HUP INT", "") + "/usr/bin/python3 7.py", "/usr/bin/python3 7.py"),
        ("/usr/bin/perf record -- env PYTHONPERFSUPPORT=1 A=b python3", "env PYTHONPERFSUPPORT=1 A=b python3"),
        ("/usr/bin/perf record -p 7 -- sleep 30", None),
        ("/usr/bin/perf record -a -- sleep 30", None),
        ("/usr/bin/perf record python3 app.py", None),
        ("", None),
    ):
        look.equal(command or "none", expected, stacks.program(command))


def told_of(canned, *options):
    """What the page is told. The template is nothing but its place."""
    page, template = canned.path("page"), canned.write("template", "@pyperf-profile@")
    seen = canned.run("--flamegraph", page, "--template", template, *options)
    if seen.status:
        raise RuntimeError(seen.err)
    return json.loads(canned.read("page"))


@case(CASES)
def of_the_program(look):
    """The command, the units, the hottest functions, and what the page shows first."""
    text = sample([py("key"), py("main")]) * 3 + sample([py("main")])
    with Canned(text) as canned:
        told = told_of(canned)
        hottest = [(told["frames"][number][1], share) for number, share in told["hottest"]]
        look.equal("hottest", [("key", 0.75), ("main", 0.25)], hottest)
        values = tuple(told[one] for one in ("command", "seconds", "unit"))
        look.equal("command, seconds, unit", ("python3 app.py", 0.001, "CPU time"), values)
        look.that("summary", "samples, stacks", "4 samples of cpu-clock" in told["heading"][-1], "%s" % told["heading"])
        look.equal("search", "", told["search"])
        told = told_of(canned, "--callers", "key:app.py", "--command", "python3 <b> größe", "--only", "/srv/app.py")
        look.equal("options", ("python3 <b> größe", "key app.py"), (told["command"], told["search"]))
        look.equal("no function", "(no function of these files)", told["without"])
        look.that("no < in the page", "escaped", "<" not in canned.read("page"), canned.read("page")[:80])
    with Canned(sample([py("main")], event="cycles"), header(events=("cycles",), command="perf record -a")) as canned:
        told = told_of(canned)
        values = tuple(told[one] for one in ("command", "processes", "seconds", "unit"))
        look.equal("cycles of all", (None, ["python3"], None, "cycles"), values)


@case(CASES)
def merged_unknown(look):
    """Frames without a name that follow each other are one."""
    zlib = ["[unknown] (/usr/lib/libz.so.1)"] * 3
    with Canned(sample(["read (/usr/lib/libc.so.6)"] + zlib + [py("main")])) as canned:
        told = told_of(canned)
        depths = list(zip(told["nodes"][::3], (told["frames"][number][1] for number in told["nodes"][1::3])))
        look.equal("frames", [(0, "python3 (7)"), (1, "main"), (2, "[libz.so.1]"), (3, "read")], depths)


if __name__ == "__main__":
    sys.exit(main("flames", CASES))
