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
from flame_pages import CHOOSE_VIEW, FRAMES, HEADER, SETTLE, deep_samples, draw_samples, take_picture
from harness import SUPPORTED, case

CASES = []
COLOURS = {"own": "orange", "c": "green", "kernel": "blue", "process": "grey"}

COLOURS_SEEN = """
  return all.map((frame) => [shown(frame).kind, getComputedStyle(frame.querySelector("rect")).fill]);
"""
# The widest one of them.
CHOOSE = """
  const work = all.filter((frame) => shown(frame).name === "work");
  window.chosen = work.reduce((widest, frame) => widthOf(frame) > widthOf(widest) ? frame : widest);
  window.chosen.scrollIntoView();
"""
CHOSEN = """
  const box = window.chosen.getBoundingClientRect();
  return { width: widthOf(window.chosen), chart: whole, x: box.x + box.width / 2, y: box.y + box.height / 2,
           inView: box.top >= 0 && box.bottom <= window.innerHeight };
"""
# A curl that is given -o FILE.
OTHER_FILE = 'while [ "$1" != -o ]; do shift; done; echo other >"$2"'


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


def read_profile(page):
    place = re.compile(r'<script id="profile" type="application/json">(.*)</script>')
    with open(page, encoding="utf-8") as text:
        return json.loads(place.search(text.read()).group(1))


def chains(profile):
    """The frames on the path to each that has samples of its own, (kind, name, short path, whole path, line) each, with
    their number."""
    files = profile["files"] + [["", "", ""]]
    frames = [(kind, name, files[file][0], files[file][1], line) for kind, name, file, line in profile["frames"]]
    nodes, path = profile["nodes"], []
    for depth, frame, own in zip(nodes[::3], nodes[1::3], nodes[2::3]):
        path[depth:] = [frames[frame]]
        if own:
            yield list(path), own


@case(CASES, SUPPORTED, needs=("perf", "browser"))
def flamegraph_in_browser(bench):
    data = recorded.record(bench, stack=16384)
    page, _ = draw(bench, data)
    with browser.Browser(bench) as chromium:
        chromium.open(page)
        time.sleep(SETTLE)
        take_picture(chromium, "before")
        chromium.evaluate(CHOOSE_VIEW % "native")
        take_picture(chromium, "native")
        look_at_colours(bench, chromium.evaluate(FRAMES + COLOURS_SEEN))
        look_at_zoom(bench, chromium)
        header = chromium.evaluate(HEADER)
        bench.that("header", "the summary", "% of stacks complete" in header, repr(header))
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
    chromium.evaluate('document.getElementById("reset").click()')
    time.sleep(SETTLE)
    after = chromium.evaluate(FRAMES + CHOSEN)["width"]
    same = abs(after - before["width"]) <= 1
    bench.that("Reset Zoom", "as before the click", same, "%d" % after)


def look_at_colours(bench, colours):
    fills = {}
    for kind, fill in colours:
        fills.setdefault(kind, set()).add(fill)
    for kind, wanted in sorted(COLOURS.items()):
        if kind == "kernel" and not kernel_permitted():
            bench.skip("colour of kernel frames", "perf_event_paranoid forbids their samples")
            continue
        have = fills.get(kind, set())
        good = bool(have) and all(is_colour(wanted, fill) for fill in have)
        bench.that("colour of %s frames" % kind, wanted, good, " ".join(sorted(have)[:3]))


def kernel_permitted():
    with open("/proc/sys/kernel/perf_event_paranoid", encoding="ascii") as level:
        return os.geteuid() == 0 or int(level.read()) < 2


def is_colour(name, fill):
    red, green, blue = (int(part) for part in re.findall(r"\d+", fill)[:3])
    if name == "grey":
        return red == green == blue
    return {"orange": red > green > blue, "green": green > max(red, blue), "blue": blue > green > red}[name]


@case(CASES, SUPPORTED)
def flamegraph_of_samples(bench):
    """Deeper than Python's own limit of recursion."""
    page, done = draw_samples(bench, deep_samples(1500), "--lines")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    with open(page, encoding="utf-8") as text:
        whole = text.read()
    bench.equal("ends of scripts", whole.count("<script"), whole.count("</script>"))
    found = sorted(chains(read_profile(page)), key=lambda one: one[1])
    deep = ("own", "deep", "app.py", "/srv/app.py", 5)
    bench.equal("frames", 1500, found[0][0].count(deep))
    valued = [(frames[-1][1:], own) for frames, own in found]
    odd, work = ("odd", "</script><b>", "</script><b>", 7), ("work", "app.py", "/srv/app.py", 9)
    bench.equal("samples", [(odd, 30), (work, 70)], valued)
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
        header = chromium.evaluate(HEADER)
        bench.that("header", "the summary", "taken inside the program at 200 Hz" in header, repr(header))
        colours = {kind for kind, _ in chromium.evaluate(FRAMES + COLOURS_SEEN)}
        bench.equal("kinds", {"own", "process"}, colours)
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
    profile = read_profile(page)
    # perf 7.2's header has the command's first word alone.
    header = bench.run(["perf", "report", "--header-only", "-i", data]).out
    words = re.search("^# cmdline : (.*)", header, re.M).group(1).split()
    command = "program.py" if len(words) > 1 else None
    bench.equal("command", command, profile["command"] and os.path.basename(profile["command"].split(" ")[-1]))
    found = [[frame[1] for frame in frames] for frames, _ in chains(profile)]
    bench.equal("levels of the deepest recursion", recorded.DEPTH + 1, max(names.count("deep") for names in found))
    deep = [names for names in found if names.count("deep") > 50]
    whole_ones = [names for names in deep if "main" in names]
    bench.that(
        "deep stacks with main in them",
        "all of 1 or more",
        deep and len(deep) == len(whole_ones),
        "%d of %d" % (len(whole_ones), len(deep)),
    )
    places = {frame[1]: frame[3] for frames, _ in chains(profile) for frame in frames}
    bench.equal("the name with </script>", "</script><b>", places.get("odd"))
    bench.equal("a file of Windows", "C:\\srv\\app.py", places.get("windows"))
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
    look_at_checkout(bench, page)
    bench.equal("pages made", False, os.path.exists(page))


def look_at_checkout(bench, page):
    """One whose template an earlier version has made, and one with its own."""
    parts = os.path.join(bench.folder, "scripts", "run")
    os.makedirs(parts)
    script = shutil.copy(os.path.join(recorded.PARTS, "flamegraph.sh"), parts)
    os.mkdir(os.path.join(bench.folder, "build"))
    bench.write("Makefile", "")
    earlier = ("/** @flamegraph_json **/", 1, 'run "make flamegraph-template"')
    for text, status, said in (earlier, ("@pyperf-profile@", 0, "")):
        made = bench.write("build/flamegraph.html", text)
        done = bench.run(["sh", script, page], bench.environment(preload=False))
        good = done.status == status and said in done.err and done.out == (os.path.realpath(made) + "\n") * (not status)
        bench.that("a template with %s" % text, "status %d, %s" % (status, said), good, repr(done.seen))


if __name__ == "__main__":
    sys.exit(recorded.main(CASES, __doc__))
