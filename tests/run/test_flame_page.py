#!/usr/bin/env python3
"""The page of a flame graph in a browser: its views, search, title, and that of a difference.

    test_flame_page.py [--build DIR] [--python PATH] [--only CASE]...

As test_flamegraph.py.
"""

import os
import sys
import time

sys.dont_write_bytecode = True

import recorded  # finds tests/integration, too

import browser
import canned
import sampled
from flame_pages import CHOOSE_VIEW, FRAMES, SEEN, SETTLE, deep_samples, draw_samples, take_picture
from harness import SUPPORTED, case

CASES = []

UNFINISHED = """
  const size = (frame) => Number(frame.getAttribute("width"));
  const text = (frame) => frame.querySelector(".d3-flame-graph-label").textContent;
  return all.filter((frame) => widthOf(frame) !== size(frame) || (size(frame) > 40 && !text(frame)))
    .map((frame) => frame.getAttribute("name"));
"""
SEARCH = """
  const field = document.getElementById("search");
  field.value = "%s";
  field.dispatchEvent(new Event("input"));
"""
FOUND = """
  const marked = all.filter((frame) => frame.querySelector("rect").getAttribute("fill") === "#e600e6");
  return [marked.map((frame) => shown(frame).name), document.getElementById("found").textContent];
"""
# As where the library comes to the browser's own limit of recursion, at some 2,500 frames.
TOO_DEEP = """
  chart.search = () => { throw new RangeError(); };
"""
SAID = """
  return document.getElementById("found").textContent;
"""
HOVER = """
  all.find((frame) => shown(frame).name === "work").dispatchEvent(new MouseEvent("mouseover"));
"""
DIFFERENCES = """
  return all.map((frame) => [frame.getAttribute("name"), getComputedStyle(frame.querySelector("rect")).fill]);
"""
CHOOSE_SIDE = """
  document.querySelector("#sides input[value='0']").click();
"""
GREY = "rgb(235, 235, 235)"
CHANGES = [
    ("deep  (0.0 % \u2192 55.0 %)  app.py:5", "rgb(255, 65, 65)"),
    ("deep  (30.0 % \u2192 55.0 %)  app.py:5", "rgb(255, 65, 65)"),
    ("main  (100.0 % \u2192 100.0 %)  app.py:3", GREY),
    ("odd  (0.0 % \u2192 55.0 %)  </script><b>:7", "rgb(255, 65, 65)"),
    ("python3  (100.0 % \u2192 100.0 %)  ", GREY),
    ("work  (70.0 % \u2192 45.0 %)  app.py:9", "rgb(65, 65, 255)"),
]
LIBPYTHON = "/opt/lib/libpython3.9.so.1.0"
BOOTSTRAP = "<frozen importlib._bootstrap>"
MAIN = [canned.EVALUATOR, canned.py("main"), canned.EVALUATOR, "[unknown] (%s)" % LIBPYTHON] + canned.START


def of_all_kinds():
    """What perf script would say: a function of C that calls a Python function, an import, the kernel, and code that
    runs before Python does."""
    django = canned.py("<module>", "/usr/lib/python3/dist-packages/django/db/__init__.py")
    loading = canned.py("_load_unlocked", BOOTSTRAP)
    imports = [canned.EVALUATOR, canned.py("_find_and_load", BOOTSTRAP), "import_find_and_load (%s)" % LIBPYTHON]
    inner = [canned.EVALUATOR, canned.py("key"), "_PyFunction_Vectorcall (%s)" % LIBPYTHON]
    inner += ["list_sort (%s)" % LIBPYTHON]
    exec_of_c = ["PyEval_EvalCode (%s)" % LIBPYTHON, "builtin_exec (%s)" % LIBPYTHON, canned.EVALUATOR, loading]
    stacks = [
        (4, inner + MAIN),
        (2, [canned.PAGE_FAULT, "[unknown] (/opt/lib/libz.so.1)"] + MAIN),
        (2, ["[unknown] (%s)" % LIBPYTHON, canned.EVALUATOR, django] + exec_of_c + imports + MAIN),
        (1, ["read (/usr/lib/libc.so.6)", canned.EVALUATOR, loading] + imports + MAIN),
        (1, canned.START),
    ]
    return "".join(canned.sample(frames) * count for count, frames in stacks)


# Depth, text, kind and own samples, in the order of the page: the widest first.
VIEWS = {
    "python": [
        [0, "python3 app.py  (100.0 %)  ", "process", 0],
        [1, "python3 (7)  (100.0 %)  ", "process", 0],
        [2, "main  (90.0 %)  app.py", "own", 2],
        [3, "key  (40.0 %)  app.py", "own", 4],
        [3, "import of django.db  (20.0 %)  ", "importer", 2],
        [3, "finding and loading modules  (10.0 %)  ", "importer", 1],
        [2, "(no Python function)  (10.0 %)  ", "without", 1],
    ],
    "native": [
        [3, "list_sort  (40.0 %)  libpython3.9.so.1.0", "c", 0],
        [4, "key  (40.0 %)  app.py", "own", 4],
        [3, "[libz.so.1]  (20.0 %)  libz.so.1", "c", 0],
        [4, "exc_page_fault  (20.0 %)  ", "kernel", 2],
        [3, "import of django.db  (20.0 %)  ", "importer", 2],
        [4, "read  (10.0 %)  libc.so.6", "c", 1],
    ],
    "all": [
        [2, "_start  (100.0 %)  python3.9", "inner", 0],
        [8, "list_sort  (40.0 %)  libpython3.9.so.1.0", "c", 0],
        [9, "_PyFunction_Vectorcall  (40.0 %)  libpython3.9.so.1.0", "inner", 0],
    ],
}


@case(CASES, SUPPORTED, needs=("browser",))
def views_in_browser(bench):
    with canned.Canned(of_all_kinds()) as profile, browser.Browser(bench) as chromium:
        page = profile.path("page.html")
        template = os.path.join(bench.build, "flamegraph.html")
        done = profile.run("--flamegraph", page, "--template", template)
        bench.equal("status, stderr", (0, ""), (done.status, done.err))
        chromium.open(page)
        # At once: a browser that only takes a picture does not wait.
        bench.equal("labels", [], chromium.evaluate(FRAMES + UNFINISHED))
        for view, expected in VIEWS.items():
            chromium.evaluate(CHOOSE_VIEW % view)
            seen = sorted(map(tuple, chromium.evaluate(FRAMES + SEEN)))
            bench.equal("%s: missing" % view, [], [one for one in expected if tuple(one) not in seen])
            if view == "python":
                bench.equal("%s: more" % view, [], [one for one in seen if list(one) not in expected])
            take_picture(chromium, "view-" + view)
        bench.equal("errors in the page", [], chromium.errors)


@case(CASES, SUPPORTED, needs=("browser",))
def search_in_browser(bench):
    """Also from the beginning, by --callers."""
    page, done = draw_samples(bench, deep_samples(2), "--callers", "work:/srv/app.py", "--command", "python3 a b.py")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        look_at_found(bench, chromium, "--callers", ["work"], "in 70.0 %")
        for term, names, said in (
            ("DEEP", ["deep", "deep"], "in 30.0 %"),
            ("app.py w", ["work"], "in 70.0 %"),
            ("x", [], "not found"),
            ("", [], ""),
        ):
            chromium.evaluate(SEARCH % term)
            look_at_found(bench, chromium, repr(term), names, said)
        chromium.evaluate('document.querySelector("#hottest button").click()')
        look_at_found(bench, chromium, "the first button", ["work"], "in 70.0 %")
        chromium.evaluate(FRAMES + HOVER)
        said = chromium.evaluate('return document.getElementById("details").textContent')
        times = "0.35 s, 70.0 %, 70 samples"
        expected = "work\n/srv/app.py:9\ntotal %s; own (with C that it called) %s" % (times, times)
        bench.equal("pointed at", expected, said)
        bench.equal("title", "python3 a b.py \u2013 flame graph", chromium.evaluate("return document.title"))
        bench.equal("errors in the page", [], chromium.errors)


def look_at_found(bench, chromium, what, names, said):
    seen = chromium.evaluate(FRAMES + FOUND)
    bench.equal("%s: found" % what, (sorted(names), said), (sorted(seen[0]), seen[1]))


@case(CASES, SUPPORTED, needs=("browser",))
def title_in_browser(bench):
    """Where the command is not known: of a profile from inside, here a deep one."""
    made = sampled.Profile()
    frame = made.python(0, made.code("<module>", "/srv/shop/serve.py"))
    for _ in range(1000):
        frame = made.python(made.native(frame, 0x1500), made.code("deep"))
    made.sample(frame)
    page, done = draw_samples(bench, made)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        title = chromium.evaluate('return document.getElementById("title").textContent')
        bench.equal("title", "Where the time goes: serve.py", title)
        frames = sorted(chromium.evaluate(FRAMES + SEEN))
        bench.equal("the process", "python3 (7)  (100.0 %)  serve.py", frames[1][1])
        bench.equal("depth, own samples of the last", (1002, 1), (frames[-1][0], frames[-1][-1]))
        chromium.evaluate(SEARCH % "deep")
        bench.equal("search", "in 100.0 %", chromium.evaluate(SAID))
        chromium.evaluate(TOO_DEEP + SEARCH % "deep")
        bench.equal("search where it is deeper", "the stacks are too deep for a search", chromium.evaluate(SAID))
        bench.equal("errors in the page", [], chromium.errors)


@case(CASES, SUPPORTED, needs=("browser",))
def difference_in_browser(bench):
    """Each frame has the colour of its change, and says what it was."""
    newer = bench.write("newer.samples", "")
    with open(newer, "wb") as out:
        out.write(deep_samples(2, share=55, pid=8).bytes())
    page, done = draw_samples(bench, deep_samples(1), "--data", newer, "--diff")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        time.sleep(SETTLE)
        seen = sorted(chromium.evaluate(FRAMES + DIFFERENCES))[1:]  # the first is that of both profiles
        bench.equal("frames", CHANGES, [tuple(one) for one in seen])
        chromium.evaluate(CHOOSE_SIDE)
        time.sleep(SETTLE)
        names = sorted(name.split(" ")[0] for name, _ in chromium.evaluate(FRAMES + DIFFERENCES))[1:]
        bench.equal("as wide as before", ["deep", "main", "odd", "python3", "work"], names)
        take_picture(chromium, "difference")
        bench.equal("errors in the page", [], chromium.errors)


if __name__ == "__main__":
    sys.exit(recorded.main(CASES, __doc__))
