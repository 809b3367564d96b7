"""The table of a recording that goes on: shares of the last interval, and the times of all of it.

    process 1234: python3 app.py
    35.2 s elapsed, 35.1 s of CPU time
    7,034 samples of cpu-clock, taken inside the program at 199 Hz, 35.1 s, 1 process, 99.9 % of stacks complete
    The last 1.0 s, in %: 198 samples of 1 thread, 99 % of a CPU

    own %  total %  own s  total s  function      file
     43.4     43.4  10.02    10.02  total         /srv/app.py:20
     30.8     74.2   8.71    18.73  main          /srv/app.py:3
"""

from __future__ import division

import heapq

import columns
import model
import totals

LEAST = 3  # rows of a thread's or process's table
AROUND = 3  # its other lines


class Interval:
    """seconds: how long it was; found: totals.Totals of its samples."""

    def __init__(self, seconds, found):
        self.seconds, self.found = seconds, found

    def event(self, whole):
        """That of the same name; an empty one if there was no sample of it."""
        return self.found.by_name.get(whole.name) or totals.Event(whole.name, whole.view, False)


def lines(title, whole, interval, style, height=None):
    """style.top: rows at the most, 0 for all; height: lines at the most, where that is known."""
    shown = [columns.from_right(title, max(style.width, columns.NARROWEST))]
    shown += columns.wrapped(columns.elapsed(whole), style.width)
    if not whole.events:
        return shown + ["", "No samples so far."]
    for event in whole.events:
        recent = interval.event(event)
        texts = [columns.summary(event, whole)] + columns.notes(event) + [of_interval(recent, interval.seconds)]
        shown += [line for text in texts for line in columns.wrapped(text, style.width)] + [""]
        left = None if height is None else max(height - len(shown), 0)
        shown += tables(event, recent, whole, style, left) + [""]
    return shown[:-1] if height is None else shown[:-1][:height]


def of_interval(recent, seconds):
    parts = ["%s of %s" % (columns.counted(recent.samples, "sample"), columns.counted(len(recent.threads), "thread"))]
    used = recent.seconds(recent.weight_in[model.RUNS])
    if used is not None:
        parts.append("%.0f %% of a CPU" % (100 * used / seconds))
    return "The last %.1f s, in %%: %s" % (seconds, ", ".join(parts))


def tables(event, recent, whole, style, height):
    """Of all, or of each thread or process, the busiest of the interval first."""
    if not event.groups:
        return table(event, event.sums, recent, recent.sums, whole, style, height)
    none = totals.Sums()
    pairs = [(event.groups[key], recent.groups.get(key, none)) for key in sorted(event.groups)]
    pairs.sort(key=lambda pair: (-pair[1].weight, -pair[0].weight))
    share = None if height is None else max(height // len(pairs), LEAST + AROUND) - 1
    shown = []
    for group, now in pairs:
        shown += columns.wrapped(columns.part_heading(group, event), style.width)
        shown += table(event, group, recent, now, whole, style, share and share - 1) + [""]
    return shown[:-1]


def table(event, sums, recent, now, whole, style, height):
    rows = [(one, now.functions.get(one.key, totals.Function(*one.key))) for one in sums.functions.values()]
    rows += [(sums.without, now.without)] * bool(sums.without.samples)
    most = min(style.top or len(rows), len(rows) if height is None else max(height - 1, 0))

    def order(row):
        """By the interval, and then by all."""
        one, new = row
        times = [-getattr(kind, by) for kind in (new, one) for by in (style.sort, "own", "total")]
        return times + [one.name or "", one.file or "", one.line or 0]

    shown = [
        columns.Row(
            cells(event, one, recent, new),
            recent.share(getattr(new, style.sort)),
            columns.name(one, event),
            columns.place(one, whole),
        )
        for one, new in heapq.nsmallest(most, rows, key=order)
    ]
    titles = ["own %", "total %"] + titles_of_all(event)
    return columns.grid(titles, shown, titles.index(style.sort + " %"), style)


def titles_of_all(event):
    if event.seconds(0) is None:
        return ["all own %", "all total %"]
    return ["own s"] + ["CPU s", "GIL s"] * event.is_wall + ["total s"]


def cells(event, one, recent, new):
    texts = [percent(recent, new.own), percent(recent, new.total) if one.name is not None else ""]
    if event.seconds(0) is None:
        return texts + [percent(event, one.own), percent(event, one.total) if one.name is not None else ""]
    times = [one.own] + [one.own_in[state] for state in (model.RUNS, model.WAITS_FOR_LOCK)] * event.is_wall
    texts += ["%.2f" % event.seconds(time) for time in times]
    return texts + ["%.2f" % event.seconds(one.total) if one.name is not None else ""]


def percent(event, weight):
    return "%.1f" % (100 * event.share(weight))
