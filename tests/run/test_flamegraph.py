#!/usr/bin/env python3
"""Flame graphs of a real recording, in a browser.

    test_flamegraph.py [--build DIR] [--python PATH] [--only CASE]...

One line for each check: verdict, interpreter, case, expected, got. PYPERF_NO_PERF=1 skips the cases
that need perf, PYPERF_NO_BROWSER=1 those that need Chromium. PYPERF_SCREENSHOTS=FOLDER keeps
pictures of the flame graph there.
"""

import filecmp
import glob
import json
import os
import re
import shutil
import sys
import time

sys.dont_write_bytecode = True

import recorded  # finds tests/integration, too

import browser
import sampled
from harness import SUPPORTED, case

CASES = []
COLOURS = {"py": r"rgb\(255, ?(1[5-9]|2[0-2])\d, ?70\)$", "root": r"rgb\(217, ?75, ?75\)$"}

# Frames are the <g> of the chart; d3 keeps their data in __data__.
FRAMES = """
  const frames = [...document.querySelectorAll("#chart g.frame")];
  const chart = Number(document.querySelector("#chart svg").getAttribute("width"));
  const width = (frame) => Number(frame.querySelector("rect").getAttribute("width"));
  const kind = ({ data }) => data.l || (data.n.startsWith("py::") ? "py" : "user");
"""
COLOURS_SEEN = """
  return frames.map((frame) =>
    [kind(frame.__data__), getComputedStyle(frame.querySelector("rect")).fill]);
"""
DIFFERENCES = """
  return frames.map((frame) =>
    [frame.__data__.data.n, frame.__data__.data.l, getComputedStyle(frame.querySelector("rect")).fill]);
"""
# The widest one of them.
CHOOSE = """
  const work = frames.filter((frame) => frame.getAttribute("name").startsWith("py::work:"));
  window.chosen = work.reduce((widest, frame) => width(frame) > width(widest) ? frame : widest);
  window.chosen.scrollIntoView();
"""
CHOSEN = """
  const box = window.chosen.getBoundingClientRect();
  return { width: width(window.chosen), chart, x: box.x + box.width / 2, y: box.y + box.height / 2,
           inView: box.top >= 0 && box.bottom <= window.innerHeight };
"""
CONTEXT = """
  document.getElementById("context-button").click();
  return document.getElementById("context").textContent;
"""
# A curl that is given -o FILE.
OTHER_FILE = 'while [ "$1" != -o ]; do shift; done; echo other >"$2"'
# d3's transitions take 750 ms, and then Chromium scrolls smoothly.
SETTLE = 2


def draw(bench, data, name="flame.html", options=(), **more):
    """The page of a profile, with the template of this build."""
    page = os.path.join(bench.folder, name)
    template = os.path.join(bench.build, "flamegraph.html")
    script = os.path.join(recorded.PARTS, "table.py")
    words = [sys.executable, "-B", script, "--data", data, "--out", os.devnull]
    words += ["--flamegraph", page, "--template", template]
    done = bench.run(words + list(options), bench.environment(preload=False, **more))
    if done.status != 0 or not os.path.exists(page):
        raise RuntimeError("table.py: status %d: %s" % (done.status, done.err.strip()))
    return page, done


def read_stacks(page):
    with open(page, encoding="utf-8") as text:
        return json.loads(re.search(r"const stacks = \[(.*)\];", text.read()).group(1))


def chains(node, above=()):
    """The names on the path to each frame that has samples of its own."""
    here = above + (node["n"],)
    if node["v"]:
        yield here
    for child in node["c"]:
        yield from chains(child, here)


@case(CASES, SUPPORTED, needs=("perf", "browser"))
def flamegraph_in_browser(bench):
    data = recorded.record(bench, stack=16384)
    page, _ = draw(bench, data)
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        time.sleep(SETTLE)
        take_picture(chromium, "before")
        look_at_colours(bench, chromium.evaluate(FRAMES + COLOURS_SEEN))
        look_at_zoom(bench, chromium)
        context = chromium.evaluate(CONTEXT)
        bench.that("Context", "the summary", "% of stacks complete" in context, repr(context))
        bench.equal("errors in the page", [], chromium.errors)
        bench.equal("what the page fetches", [], chromium.fetched)


def look_at_zoom(bench, chromium):
    chromium.evaluate(FRAMES + CHOOSE)
    before = chromium.evaluate(FRAMES + CHOSEN)
    bench.that(
        "a Python frame before the click",
        "0.05 to 0.9 of the chart",
        0.05 < before["width"] / before["chart"] < 0.9,
        "%d of %d" % (before["width"], before["chart"]),
    )
    chromium.click(before["x"], before["y"])
    time.sleep(SETTLE)
    take_picture(chromium, "zoomed")
    zoomed = chromium.evaluate(FRAMES + CHOSEN)
    whole = abs(zoomed["width"] - zoomed["chart"]) <= 1
    bench.that("clicked", "as wide as the chart", whole, "%d" % zoomed["width"])
    bench.equal("the clicked frame is in view", True, zoomed["inView"])
    chromium.evaluate('document.getElementById("reset-button").click()')
    time.sleep(SETTLE)
    after = chromium.evaluate(FRAMES + CHOSEN)["width"]
    same = abs(after - before["width"]) <= 1
    bench.that("Reset Zoom", "as before the click", same, "%d" % after)


def take_picture(chromium, name):
    folder = os.environ.get("PYPERF_SCREENSHOTS")
    if folder:
        chromium.screenshot(os.path.join(folder, "flamegraph-%s.png" % name))


def look_at_colours(bench, colours):
    fills = {}
    for kind, fill in colours:
        fills.setdefault(kind, set()).add(fill)
    for kind in ("py", "user", "kernel", "root"):
        if kind == "kernel" and not kernel_permitted():
            bench.skip("colour of kernel frames", "perf_event_paranoid forbids their samples")
            continue
        have = fills.get(kind, set())
        good = bool(have) and all(is_colour_of(kind, fill) for fill in have)
        wanted = {"py": "orange", "user": "green", "kernel": "blue", "root": "red"}[kind]
        bench.that("colour of %s frames" % kind, wanted, good, " ".join(sorted(have)[:3]))


def kernel_permitted():
    with open("/proc/sys/kernel/perf_event_paranoid", encoding="ascii") as level:
        return os.geteuid() == 0 or int(level.read()) < 2


def is_colour_of(kind, fill):
    if kind in COLOURS:
        return bool(re.match(COLOURS[kind], fill))
    red, green, blue = (int(part) for part in re.findall(r"\d+", fill)[:3])
    return blue > green > red if kind == "kernel" else green > max(red, blue)


def draw_samples(bench, made, *options):
    """The page of a profile of the sampler, by the script of the table; no perf is there."""
    with open(os.path.join(bench.folder, "x.samples"), "wb") as out:
        out.write(made.bytes())
    page = os.path.join(bench.folder, "samples.html")
    template = os.path.join(bench.build, "flamegraph.html")
    script = os.path.join(recorded.PARTS, "table.py")
    words = [sys.executable, "-B", script, "--data", out.name, "--flamegraph", page, "--template", template]
    return page, bench.run(words + list(options), bench.environment(preload=False, PATH="/nonexistent"))


def deep_samples(depth):
    made = sampled.Profile()
    made.mapping(0x1000, 0x2000, "/opt/bin/python3.9")
    frame = made.python(0, made.code("main", line=3))
    for _ in range(depth):
        frame = made.native(made.python(frame, made.code("deep", line=5)), 0x1500)
    made.sample(made.python(frame, made.code("odd", "</script><b>", line=7)), weight=30)
    made.sample(made.python(made.python(0, made.code("main", line=3)), made.code("work", line=9)), weight=70)
    return made


@case(CASES, SUPPORTED)
def flamegraph_of_samples(bench):
    """Deeper than Python's own limit of recursion."""
    page, done = draw_samples(bench, deep_samples(1500), "--lines")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with open(page, encoding="utf-8") as text:
        whole = text.read()
    bench.equal("ends of scripts", whole.count("<script"), whole.count("</script>"))
    names = re.findall(r'"n":"([^"]*)","l":"([^"]*)","v":(\d+)', whole)
    bench.equal("frames", 1500, sum(name.startswith("py::deep:") and name.endswith(":5") for name, _, _ in names))
    valued = sorted((name, int(value)) for name, _, value in names if value != "0")
    expected = [("py::odd:\\u003c/script><b>:7", 30), ("py::work:/srv/app.py:9", 70)]
    bench.equal("samples", expected, valued)
    junk = bench.write("junk.html", "<html></html>")
    _, done = draw_samples(bench, deep_samples(1), "--template", junk)
    bench.that("no template", "a line", done.status == 1 and "is no template" in done.err, repr(done.err))


@case(CASES, SUPPORTED, needs=("browser",))
def samples_in_browser(bench):
    page, _ = draw_samples(bench, deep_samples(30))
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        time.sleep(SETTLE)
        look_at_zoom(bench, chromium)
        context = chromium.evaluate(FRAMES + CONTEXT)
        bench.that("Context", "the summary", "taken inside the program at 200 Hz" in context, repr(context))
        colours = {kind for kind, _ in chromium.evaluate(FRAMES + COLOURS_SEEN)}
        bench.equal("kinds", {"py", "user", "root"}, colours)
        bench.equal("errors in the page", [], chromium.errors)
        bench.equal("what the page fetches", [], chromium.fetched)


@case(CASES, SUPPORTED, needs=("browser",))
def browser_sees_faults(bench):
    """Checks that the two lists above are not always empty."""
    page = bench.write(
        "fetching.html",
        '<html><head></head><body><img src="http://127.0.0.1:9/a.png"></body></html>',
    )
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        chromium.evaluate("setTimeout(() => { throw new Error('thrown') }, 0)")
        chromium.evaluate("await new Promise((resolve) => setTimeout(resolve, 300))")
        bench.equal("what the page fetches", ["http://127.0.0.1:9/a.png"], chromium.fetched)
        bench.equal("errors in the page", 1, len(chromium.errors))


@case(CASES, SUPPORTED, needs=("perf",))
def flamegraph_file(bench):
    data = recorded.record(bench)
    page, done = draw(bench, data)
    bench.equal("what is said", ("", ""), (done.out, done.err))
    with open(page, encoding="utf-8") as text:
        whole = text.read()
    bench.equal("ends of scripts", whole.count("<script"), whole.count("</script>"))
    found = list(chains(read_stacks(page)))
    deepest = max(sum(name.startswith("py::deep:") for name in names) for names in found)
    bench.equal("levels of the deepest recursion", recorded.DEPTH + 1, deepest)
    deep = [names for names in found if sum(n.startswith("py::deep:") for n in names) > 50]
    whole_ones = [names for names in deep if any(n.startswith("py::main:") for n in names)]
    bench.that(
        "deep stacks with main in them",
        "all of 1 or more",
        deep and len(deep) == len(whole_ones),
        "%d of %d" % (len(whole_ones), len(deep)),
    )
    odd = any("py::odd:</script><b>" in names for names in found)
    bench.that("the name with </script>", "in the data", odd, str(odd))
    windows = {name for names in found for name in names if name.startswith("py::windows:")}
    bench.equal("a file of Windows", {"py::windows:C:\\srv\\app.py"}, windows)
    left = [name for name in os.listdir(bench.folder) if name.startswith(".flamegraph")]
    bench.equal("temporary files left", [], left)


@case(CASES, SUPPORTED)
def template(bench):
    """fetch-template with fake or missing tools, and with the tarball that the build has kept."""
    fetch = os.path.join(recorded.ROOT, "scripts", "dev", "fetch-template")
    tarball = glob.glob(os.path.join(bench.build, "d3-flame-graph-*.tgz"))[0]
    tools = os.path.join(bench.folder, "tools")
    os.mkdir(tools)
    for tool in "sh cat cp grep gzip head mkdir mktemp mv rm sed sha512sum tar wc".split():
        os.symlink(shutil.which(tool), os.path.join(tools, tool))
    made = os.path.join(bench.folder, "made")
    page = os.path.join(made, "flamegraph.html")
    for what, curl, expected in (
        ("no tool", None, "apt-get install curl"),
        ("no network", "echo unreachable >&2; exit 6", "is there a network?"),
        ("another file", OTHER_FILE, "is not the file it was"),
    ):
        if curl:
            os.chmod(bench.write("tools/curl", "#!/bin/sh\n%s\n" % curl), 0o755)
        done = bench.run([fetch, made], bench.environment(preload=False, PATH=tools))
        good = done.status == 1 and done.err.count("\n") == 1 and expected in done.err
        bench.that(what, "one line: ...%s..." % expected, good, repr(done.seen))
        bench.equal("%s: files left" % what, [], os.listdir(made))
    shutil.copy(tarball, made)
    done = bench.run([fetch, made], bench.environment(preload=False, PATH=tools))
    bench.equal("with the tarball there", (0, "", ""), done.seen)
    kept = os.path.join(bench.build, "flamegraph.html")
    bench.equal("the same template", True, filecmp.cmp(page, kept, shallow=False))
    licence = os.path.join(made, "flamegraph.LICENSE")
    bench.equal("its licence", True, os.path.getsize(licence) > 10000)


def refused(bench, what, expected, *arguments, **more):
    """Prints only one line of ours, and makes no file."""
    done = recorded.run_part(bench, "flamegraph.sh", *arguments, **more)
    lines = done.err.split("\n")
    good = done.status == 1 and done.out == "" and len(lines) == 2
    good = good and lines[0].startswith("pyperf-run: ") and expected in lines[0]
    bench.that(what, "one line: ...%s..." % expected, good, repr(done.seen))


@case(CASES, SUPPORTED)
def flamegraph_refusals(bench):
    page = os.path.join(bench.folder, "page.html")
    template = os.path.join(bench.build, "flamegraph.html")
    nothing = os.path.join(bench.folder, "nothing")
    refused(bench, "no template", "no such template", page, nothing)
    refused(bench, "no directory", "cannot write to", nothing + "/x.html", template)
    refused(bench, "a directory", "is a directory", bench.folder, template)
    done = recorded.run_part(bench, "flamegraph.sh", page, template)
    bench.equal("the template", (0, os.path.realpath(template) + "\n", ""), done.seen)
    bench.equal("pages made", False, os.path.exists(page))


@case(CASES, SUPPORTED, needs=("browser",))
def difference_in_browser(bench):
    """Each frame has the colour of its change, and says what it was."""
    older = bench.write("older.samples", "")
    with open(older, "wb") as out:
        out.write(deep_samples(3).bytes())
    page, done = draw_samples(bench, deep_samples(1), "--data", older, "--diff")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        time.sleep(SETTLE)
        seen = chromium.evaluate(FRAMES + DIFFERENCES)
        bench.equal("colours", [], [one for one in seen if one[1] != one[2].replace(" ", "")])
        said = [name for name, _, _ in seen if "% -> " in name]
        bench.equal("frames that say so", len(seen), len(said))
        take_picture(chromium, "difference")
        bench.equal("errors in the page", [], chromium.errors)


if __name__ == "__main__":
    sys.exit(recorded.main(CASES, __doc__))
