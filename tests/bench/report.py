"""make bench-report: docs/performance.md and docs/performance.svg from the results of make bench.

usage: report.py --build DIR FOLDER
"""

import argparse
import json
import os
import sys

from measure import verdict

HEAD = """# What profiling costs

Made by `make bench` and `make bench-report`; do not edit. Every figure is a ratio or a difference
of the best of many interleaved rounds of one run; in brackets what it comes out at when it is taken
from a third of the rounds alone, lowest and highest. Of calls and programs, where a few per cent
matter and a process is fast or slow by where the kernel has put it, it is the median of many
processes' best. Absolute times are of one machine on one day:
they are printed to be divided by each other.

"off" is the interpreter alone, "dormant" with libpyperf.so preloaded and not switched on, "on" with
the map and the trampoline image. 3.12 and 3.13 are CPython's own support, in the same run.
"""

CHART_TEXT = "Programs in pure Python: what they cost more with profiling on, geometric mean, %"
BAR, LEFT, WIDTH, TOP = 26, 120, 720, 44
OURS, OWN, FLOOR, TEXT, LINE = "#2a6f97", "#c8553d", "#8a8a8a", "#333333", "#999999"


def element(name, text="", **attributes):
    pairs = [(key.replace("_", "-"), value) for key, value in attributes.items()]
    written = " ".join('%s="%s"' % pair for pair in pairs)
    return "<%s %s>%s</%s>" % (name, written, text, name)


def bar(number, name, figure, scale):
    """One interpreter: a bar, its spread as a line, its value."""
    value, low, high = (100 * (x - 1) for x in figure)
    y = TOP + number * BAR
    colour = OWN if name.endswith("own") else FLOOR if name.endswith("floor") else OURS
    middle = y + BAR / 2 - 3
    # A mean below zero has no bar.
    start, end, behind = [LEFT + round(max(x, 0) * scale, 1) for x in (low, value, high)]
    return [
        element("text", name, x=LEFT - 8, y=middle + 4, text_anchor="end", fill=TEXT),
        element("rect", x=LEFT, y=y, width="%.1f" % (end - LEFT), height=BAR - 8, fill=colour),
        element("line", x1=start, x2=behind, y1=middle, y2=middle, stroke=LINE),
        element("text", "%+.1f" % value, x=behind + 6, y=middle + 4, fill=TEXT),
    ]


def svg(chart):
    highest = max(max(0.02, figure[2] - 1) for figure in chart.values()) * 100
    scale = (WIDTH - LEFT - 60) / highest
    height = TOP + len(chart) * BAR + 10
    body = [
        element("rect", width=WIDTH, height=height, fill="#ffffff"),
        element("text", CHART_TEXT, x=10, y=24, font_weight="bold", fill=TEXT),
    ]
    for number, name in enumerate(chart):
        body += bar(number, name, chart[name], scale)
    return element(
        "svg",
        "\n" + "\n".join(body) + "\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox="0 0 %d %d" % (WIDTH, height),
        font_family="sans-serif",
        font_size=13,
    )


def markdown(table):
    judged = any(row["met"] is not None for row in table["rows"])
    header = table["columns"] + (["must be", ""] if judged else [])
    lines = ["", "## " + table["title"], "", "| " + " | ".join(header) + " |"]
    lines.append("|" + "---|" * len(header))
    for row in table["rows"]:
        cells = list(row["cells"])
        if judged:
            met = verdict(row["met"])
            cells += [row["demand"], "**%s**" % met if row["met"] is False else met]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines + [""] + ["- " + note for note in table["notes"]]


def document(results):
    lines = [HEAD]
    if results.get("chart"):
        lines += ["![%s](performance.svg)" % CHART_TEXT, ""]
    lines += ["| | |", "|---|---|"]
    lines += ["| %s | %s |" % (key, value) for key, value in results["machine"]]
    for tables in results["sections"].values():
        for table in tables:
            lines += markdown(table)
    return "\n".join(lines).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("folder")
    options = parser.parse_args()
    path = os.path.join(options.build, "bench", "results.json")
    if not os.path.exists(path):
        sys.exit("%s is not there: run make bench first" % path)
    with open(path) as file:
        results = json.load(file)
    with open(os.path.join(options.folder, "performance.md"), "w") as file:
        file.write(document(results))
    if results.get("chart"):
        with open(os.path.join(options.folder, "performance.svg"), "w") as file:
            file.write(svg(results["chart"]) + "\n")


main()
