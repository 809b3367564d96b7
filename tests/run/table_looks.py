"""One profile from all sides: order, threads, callers, chosen files, several profiles."""

import json

import sampled
from canned import EVALUATOR, START, Canned, header, py, sample
from looks import case

CASES = []
MILLISECOND = 1000000
LIBRARY = "/usr/lib/python3.9/json/decoder.py"
PAGES = "/srv/venv/lib/python3.9/site-packages/web/pages.py"


def shop(**more):
    """main calls load, that json's decode, and that key of the shop; main calls itself, too; one sample is without
    Python. Samples: decode 40, key 30, main in main 20, load 9, none 1."""
    made = sampled.Profile(**more)
    made.mapping(0x1000, 0x9000, "/opt/bin/python3.9")
    codes = {
        name: made.code(name, file, line)
        for name, file, line in (
            ("main", "/srv/shop/app.py", 20), ("load", "/srv/shop/größe der Daten.py", 7),
            ("decode", LIBRARY, 300), ("key", "/srv/shop/app.py", 3),
        )
    }
    main = made.python(made.native(0, 0x1500), codes["main"])
    load = made.python(made.native(main, 0x1700), codes["load"])
    decode = made.python(load, codes["decode"])
    key = made.native(made.python(decode, codes["key"]), 0x1700)
    again = made.python(main, codes["main"])
    made.thread(8, "worker")
    for frame, thread, weight in ((decode, 7, 40), (key, 8, 30), (again, 7, 20), (load, 7, 9), (0, 7, 1)):
        made.sample(frame, thread, weight)
    return made.bytes()


def run(data, *options):
    with Canned() as canned:
        canned.write("perf.data", data)
        return canned.run("--width", "200", *options)


def rows(seen):
    """Those below the titles, in one blank."""
    lines = seen.lines
    begin = next(number for number, line in enumerate(lines) if line.split()[-1:] == ["file"]) + 1
    found = []
    for line in lines[begin:]:
        if not line.strip():
            break
        found.append(" ".join(line.split()))
    return found


@case(CASES)
def order(look):
    """A recursive function counts once in the total."""
    seen = run(shop(), "--sort", "total")
    expected = [
        "0.10 20.0 99.0 20 main /srv/shop/app.py:20",
        "0.04 9.0 79.0 9 load /srv/shop/größe der Daten.py:7",
        "0.20 40.0 70.0 40 decode %s:300" % LIBRARY,
        "0.15 30.0 30.0 30 key /srv/shop/app.py:3",
        "0.01 1.0 1 (no Python function)",
    ]
    look.equal("total", expected, rows(seen))
    names = [one["name"] for one in run(shop(), "--sort", "total", "--json", "-").event["functions"]]
    look.equal("JSON", ["main", "load", "decode", "key"], names)
    lines = {one["name"]: one["first_line"] for one in run(shop(), "--json", "-").event["functions"]}
    look.equal("first lines", {"main": 20, "load": 7, "decode": 300, "key": 3}, lines)


@case(CASES)
def first_lines_of_perf(look):
    """From the source, where that has the name once."""
    source = "import os\n\n\nclass A:\n    @property\n    def f(self): pass\n\n"
    source += "    @f.setter\n    def f(self, x): pass\n\n    def g(self): pass\n"
    with Canned() as canned:
        path = canned.write("größe a.py", source)
        canned.write("text", "".join(sample([py(name, path)] + START) for name in ("A.f", "A.g", "h")))
        got = {one["name"]: one["first_line"] for one in canned.run("--json", "-").event["functions"]}
    look.equal("lines", {"A.f": None, "A.g": 11, "h": None}, got)


@case(CASES)
def threads_and_processes(look):
    seen = run(shop(), "--by", "thread")
    heads = [line for line in seen.lines if line.endswith("% of all")]
    expected = ["python3 (process 7, thread 7): 70 samples, 0.3 s, 70.0 % of all"]
    expected += ["worker (process 7, thread 8): 30 samples, 0.1 s, 30.0 % of all"]
    look.equal("threads", expected, [one.replace("0.4 s", "0.3 s").replace("0.2 s", "0.1 s") for one in heads])
    shown = run(shop(), "--by", "thread", "--json", "-").event["by_thread"]
    got = {one["name"]: [function["name"] for function in one["functions"] if function["own"]] for one in shown}
    names = {"python3 (process 7, thread 7)": ["decode", "main", "load"], "worker (process 7, thread 8)": ["key"]}
    look.equal("JSON", names, got)
    seen = run(shop() + shop(pid=9), "--by", "process")
    heads = sorted(line.split(":")[0] for line in seen.lines if line.endswith("% of all"))
    look.equal("processes", ["python3 (7)", "python3 (9)"], heads)
    with Canned() as canned:
        canned.write("perf.data", shop())
        canned.run("--by", "thread", "--python-only", "--collapsed", canned.path("folded"))
        stacks = canned.read("folded").splitlines()
    look.equal("folded", 1, sum(one.startswith("worker-7/8;") for one in stacks))


@case(CASES)
def callers_and_callees(look):
    event = run(shop(), "--callers", "main", "--json", "-").event["callers"]
    look.equal("of recursion: total, own", (495, 100), (event["total"] // MILLISECOND, event["own"] // MILLISECOND))
    got = [(one["name"], one["samples"]) for one in event["callers"]]
    look.equal("no caller", [(None, 99)], got)
    look.equal("callees", [("load", 79), (None, 20)], [(one["name"], one["samples"]) for one in event["callees"]])
    seen = run(shop(), "--callers", "decode")
    said = "decode  %s:300: total 0.35 s (70.0 %%), own 0.20 s (40.0 %%), 70 samples" % LIBRARY
    for part in (said, "called by", "calls", "(own time)"):
        look.that("text", part, part in seen.out, seen.out)
    perf = "".join(sample([EVALUATOR, py("f"), EVALUATOR, py(outer)] + START) for outer in ("A.g", "B.g", "B.g"))
    with Canned(perf) as canned:
        event = canned.run("--callers", "f", "--json=-").event["callers"]
        look.equal("perf", [("B.g", 2), ("A.g", 1)], [(one["name"], one["samples"]) for one in event["callers"]])
        seen = canned.run("--callers", "g")
        good = (seen.status, seen.out, seen.err.count("\n")) == (1, "", 1)
        look.that("two of a name", "both, in a line", good and "A.g:/srv/app.py, B.g:/srv/app.py" in seen.err, seen.err)
        look.equal("with its file", 0, canned.run("--callers", "A.g:app.py").status)
    lines = run(shop(), "--lines", "--callers", "load:größe der Daten.py", "--json", "-").event["callers"]
    look.equal("lines", [("main", 20)], [(one["name"], one["line"]) for one in lines["callers"]])
    seen = run(shop(), "--callers", "no such")
    said = "--callers no such: no sample is in such a function; most are in decode, key, main"
    look.equal("unknown", (1, "", "pyperf-run: %s\n" % said), (seen.status, seen.out, seen.err))


@case(CASES)
def python_only(look):
    seen = run(shop(), "--python-only")
    said = "Samples without a Python function, 0.0 s (1.0 %), are left out."
    look.that("says", said, said in seen.lines, seen.out)
    look.equal("shares of the others", "0.20 40.4 70.7 40 decode %s:300" % LIBRARY, rows(seen)[0])
    with Canned() as canned:
        canned.write("perf.data", shop())
        canned.run("--python-only", "--collapsed", canned.path("folded"))
        look.equal("no machine code", False, "python3.9]" in canned.read("folded"))


@case(CASES)
def chosen_files(look):
    """The library below them is counted as theirs."""
    said = "what they called in other files, 0.2 s (40.0 %), is counted as theirs."
    for path in ("/srv/shop", "/srv/shop/", "shop", "/srv"):
        seen = run(shop(), "--only", path)
        look.that("%s: says" % path, said, said in seen.out, seen.out + seen.err)
        expected = ["0.24 49.0 79.0 49 load", "0.15 30.0 30.0 30 key", "0.10 20.0 99.0 20 main"]
        expected.append("0.01 1.0 1 (no function of these files)")
        got = [one.split(" /")[0] for one in rows(seen)]
        look.equal(path, expected, got)
    seen = run(shop(), "--only", "app.py", "--only", LIBRARY, "--json", "-").event
    got = [(one["name"], one["samples"]) for one in seen["functions"]]
    look.equal("two", [("decode", 40), ("key", 30), ("main", 29)], got)
    event = run(shop(), "--only", "shop", "--callers", "key", "--json", "-").event["callers"]
    look.equal("callers", ["load"], [one["name"] for one in event["callers"]])
    seen = run(shop(), "--only", "/srv/none", "--only", "json")
    said = "--only /srv/none json: no sample is in a function of such a file, or below one; most are in /srv/shop/app"
    look.that("none", said, seen.status == 1 and said in seen.err and seen.err.count("\n") == 1, seen.err)
    text = sample([EVALUATOR, py("page", PAGES), EVALUATOR, py("f", "/srv/app.py")] + START)
    with Canned(text) as canned:
        pages = [(PAGES, ["page"]), ("site-packages/web", ["page"]), ("web", None)]
        for path, names in [("/srv", ["f"])] + pages:
            seen = canned.run("--only", path, "--json=-")
            got = [one["name"] for one in seen.event["functions"]] if not seen.status else None
            look.equal("site-packages, --only %s" % path, names, got)


@case(CASES)
def merged(look):
    """Of other frequencies: samples count by their time."""
    with Canned() as canned:
        first, second = canned.write("a b", shop()), canned.write("größe", shop(period=10 * MILLISECOND, pid=9))
        options = ["--data", second, "--name", first, "--name", second]
        canned.data = first
        told = json.loads(canned.run("--json", "-", *options).out)
        event = told["events"][0]
        look.equal("profiles", [first, second], told["profiles"])
        keys = ("seconds", "samples", "processes")
        look.equal("seconds, samples, processes", (1.5, 200, 2), tuple(event[one] for one in keys))
        shares = {one["name"]: round(one["own_share"], 3) for one in event["functions"]}
        look.equal("shares", {"decode": 0.4, "key": 0.3, "main": 0.2, "load": 0.09}, shares)
        canned.run("--collapsed", canned.path("folded"), "--python-only", *options)
        counts = sorted(int(line.rpartition(" ")[2]) for line in canned.read("folded").splitlines())
        look.equal("stacks, scaled to the first's", [27, 60, 90, 120], counts)
        for what, data, said in (
            ("another clock", shop(flags=3), "has samples of cpu-clock, and %s of wall-clock" % second),
            ("no samples", sampled.Profile().bytes(), "%s has no samples" % second),
            ("no file", None, "no such file"),
        ):
            if data is None:
                options[1] = canned.path("none")
            else:
                canned.write("größe", data)
            for more in ([], ["--diff"]):
                seen = canned.run(*(options + more))
                good = (seen.status, seen.out, seen.err.count("\n")) == (1, "", 1) and said in seen.err
                look.that("%s %s" % (what, more), "status 1, a line with %r" % said, good, "%r" % seen.err)


@case(CASES)
def difference(look):
    before = shop()
    made = sampled.Profile()
    made.sample(made.python(0, made.code("main", "/srv/shop/app.py", 20)), weight=60)
    made.sample(made.python(0, made.code("new", "/srv/shop/app.py", 40)), weight=40)
    with Canned() as canned:
        canned.data = canned.write("before", before)
        options = ["--data", canned.write("after", made.bytes()), "--name", "before", "--name", "after", "--diff"]
        seen = canned.run("--width", "200", *options)
        expected = [
            "0.20 0.00 40.0 0.0 -40.0 decode %s:300" % LIBRARY,
            "0.00 0.20 0.0 40.0 +40.0 new /srv/shop/app.py:40",
            "0.10 0.30 20.0 60.0 +40.0 main /srv/shop/app.py:20",
        ]
        look.equal("rows", sorted(expected), sorted(rows(seen)[:3]))
        heads = [line[:10] for line in seen.lines if line.startswith(("A  before", "B  after"))]
        look.equal("headings", ["A  before:"] * 2 + ["B  after: "] * 2, heads)
        total = canned.run("--width", "200", "--sort", "total", *options)
        look.equal("total", "0.40 0.00 79.0 0.0 -79.0 load", rows(total)[0].split(" /")[0].replace("0.39", "0.40"))
        told = json.loads(canned.run("--json", "-", *options).out)
        change = {one["name"]: round(one["change"], 2) for one in told["events"][0]["functions"]}
        look.equal("JSON", {"decode": -0.4, "key": -0.3, "main": 0.4, "load": -0.09, "new": 0.4}, change)
        canned.run("--python-only", "--collapsed", canned.path("folded"), *options)
        folded = canned.read("folded")
        look.that("folded", "both counts", "python3;py::new:/srv/shop/app.py 0 40\n" in folded, folded)
        page = canned.path("page.html")
        canned.run("--flamegraph", page, "--template", canned.write("template", "@pyperf-profile@"), *options)
        told = json.loads(canned.read("page.html"))
        nodes = list(zip(*[iter(told["nodes"])] * 4))
        new = next(node for node in nodes if told["frames"][node[1]][1] == "new")
        look.equal("depth, samples of both, of all", ((1, 0, 40), [100, 100]), (new[:1] + new[2:], told["weights"]))
        changed = {told["frames"][number][1]: change for number, change in told["hottest"][:3]}
        look.equal("changed most", {"decode": -0.4, "new": 0.4, "main": 0.4}, changed)


@case(CASES)
def perf_and_sampler(look):
    """Events with other precision are the same."""
    with Canned(sample([EVALUATOR, py("f")] + START, period=5 * MILLISECOND)) as canned:
        seen = canned.run("--data", canned.write("x.samples", shop()), "--json", "-")
        look.equal("samples", 101, seen.event["samples"])
    cycles = sample([py("f")] + START, event="cycles")
    with Canned(cycles, header(events=("cycles",))) as canned:
        seen = canned.run("--data", canned.write("x.samples", shop()), "--json", "-")
        good = seen.status == 1 and "cycles" in seen.err and seen.err.count("\n") == 1
        look.that("other events", "refused", good, seen.err)
