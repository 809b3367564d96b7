"""Shared by the tests of flame graphs: pages of profiles of the sampler, and what is to be seen of one in a browser."""

import os
import sys

import recorded  # finds tests/integration, too
import sampled

# Frames are the <g> of the chart; d3 keeps their data in __data__.
FRAMES = """
  const all = [...document.querySelectorAll("#chart g.frame")];
  const whole = Number(document.querySelector("#chart svg").getAttribute("width"));
  const widthOf = (frame) => Number(frame.querySelector("rect").getAttribute("width"));
  const shown = ({ __data__ }) => __data__.data;
"""
# Of each frame its depth, from the whole program's on, its text, its kind, and its own samples.
SEEN = """
  return all.map((frame) =>
    [frame.__data__.depth, frame.getAttribute("name"), shown(frame).kind, shown(frame).own[0]]);
"""
HEADER = """
  return document.querySelector("header").innerText;
"""
CHOOSE_VIEW = """
  const button = document.querySelector("input[value=%s]");
  button.click();
"""
# Its transitions take 300 ms, and then Chromium scrolls smoothly.
SETTLE = 2


def draw_samples(bench, made, *options):
    """The page of a profile of the sampler, by the script of the table; no perf is there."""
    with open(os.path.join(bench.folder, "x.samples"), "wb") as out:
        out.write(made.bytes())
    page = os.path.join(bench.folder, "samples.html")
    template = os.path.join(bench.build, "flamegraph.html")
    script = os.path.join(recorded.PARTS, "table.py")
    words = [sys.executable, "-B", script, "--data", out.name, "--flamegraph", page, "--template", template]
    return page, bench.run(words + list(options), bench.environment(preload=False, PATH="/nonexistent"))


def deep_samples(depth, share=30, **more):
    """share: of 100 samples those that are deep."""
    made = sampled.Profile(**more)
    made.mapping(0x1000, 0x2000, "/opt/bin/python3.9")
    frame = made.python(0, made.code("main", line=3))
    for _ in range(depth):
        frame = made.native(made.python(frame, made.code("deep", line=5)), 0x1500)
    made.sample(made.python(frame, made.code("odd", "</script><b>", line=7)), weight=share)
    made.sample(made.python(made.python(0, made.code("main", line=3)), made.code("work", line=9)), weight=100 - share)
    return made


def take_picture(chromium, name):
    folder = os.environ.get("PYPERF_SCREENSHOTS")
    if folder:
        chromium.screenshot(os.path.join(folder, "flamegraph-%s.png" % name))
