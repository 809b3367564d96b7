"""The table as text, fitted to a width."""

from __future__ import division

import re
import textwrap

import advice
import model

NO_PYTHON = "(no Python function)"
NONE_OF_THESE = "(no function of these files)"
ELLIPSIS = "..."
GAP = "  "
NARROWEST = 8  # of names, and of paths
CONTROL = re.compile(u"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BOLD, DIM, RED, YELLOW, PLAIN = "\033[1m", "\033[2m", "\033[31m", "\033[33m", "\033[0m"
HOT, WARM = 0.20, 0.05
LITTLE = 0.01  # of the time that has elapsed


class Style:
    """sort: which time is the table's order, "own" or "total"."""

    def __init__(self, width, top, colour, sort="own"):
        self.width, self.top, self.colour, self.sort = width, top, colour, sort

    def paint(self, code, text):
        return code + text + PLAIN if self.colour and code else text


def report(totals, style):
    """The lines of all tables, and the advice."""
    lines = wrapped(elapsed(totals), style.width)
    for event in totals.events:
        lines += heading_of(event, totals, style) + [""]
        if event.groups:
            lines += [line for group in event.shown_groups() for line in part(group, event, totals, style) + [""]]
        else:
            lines += table(event, event.sums, totals, style) + [""]
    return closed(lines, totals, style)


def heading(totals):
    """What stands above the tables."""
    return [elapsed(totals)] + [text for event in totals.events for text in [summary(event, totals)] + notes(event)]


def heading_of(event, totals, style):
    return [line for text in [summary(event, totals)] + notes(event) for line in wrapped(text, style.width)]


def closed(lines, totals, style):
    """Those that end in an empty one, with the advice behind it, if there is any."""
    told = advice.advice(totals)
    return lines + wrapped(told, style.width) if told else lines[:-1]


def wrapped(text, width):
    width = max(width, 1)
    return textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False)


def elapsed(totals):
    """The times in one line, with the time waited, of which there are no samples."""
    whole, cpu = totals.elapsed, totals.cpu_seconds()
    if whole is None:
        return ""
    parts = ["%.1f s elapsed" % whole]
    if cpu is not None:
        parts.append("%.1f s of CPU time" % cpu)
        waited = whole - cpu
        if waited >= max(LITTLE * whole, 0.05):
            # If threads wait at different times, only a minimum is known.
            least = "" if totals.threads() == 1 else "at least "
            parts.append("waited %s%.1f s (%.0f %%)" % (least, waited, 100 * waited / whole))
    return ", ".join(parts)


def summary(event, totals):
    parts = ["%s of %s" % (counted(event.samples, "sample"), event.unit)]
    parts += filter(None, [totals.how])
    whole = totals.whole(event)
    if event.seconds(event.weight) is not None:
        parts.append("%.1f s" % event.seconds(event.weight))
    if event.is_wall:
        seconds = tuple(event.seconds(one) for one in event.weight_in)
        parts[-1] += " of %s" % counted(len(event.threads), "thread")
        parts.append("of which %.1f s on a CPU, %.1f s ready, %.1f s waiting for the GIL, %.1f s waiting" % seconds)
    parts.append(counted(len(event.pids), "process"))
    if whole is not None:
        # Rounded down, so that 100 % means all.
        parts.append("%.1f %% of stacks complete" % (int(1000 * whole) / 10))
    return ", ".join(parts)


def notes(event):
    """What differs from the whole profile, in a sentence each."""
    found, view = [], event.view
    if view.paths:
        text = "Functions of %s alone: what they called in other files, %s, is counted as theirs."
        found.append(text % (" and ".join(view.paths), amount(event, event.moved)))
    if view.python_only:
        kind = "function of these files" if view.paths else "Python function"
        found.append("Samples without a %s, %s, are left out." % (kind, amount(event, event.left_out)))
    return found


def amount(event, weight):
    """Against all that was recorded."""
    share = "%.1f %%" % (100 * weight / event.weight if event.weight else 0)
    seconds = event.seconds(weight)
    return share if seconds is None else "%.1f s (%s)" % (seconds, share)


def counted(number, what):
    plural = "" if number == 1 else "es" if what.endswith("s") else "s"
    return "{:,} {}{}".format(number, what, plural)


def part(group, event, totals, style):
    """The table of a thread or process. Its shares are those of the whole."""
    return wrapped(part_heading(group, event), style.width) + table(event, group, totals, style)


def part_heading(group, event):
    text = "%s: %s, " % (group.name, counted(group.samples, "sample"))
    seconds = event.seconds(group.weight)
    text += "" if seconds is None else "%.1f s, " % seconds
    return text + "%.1f %% of all" % (100 * event.share(group.weight))


class Row:
    """cells: its numbers, as texts; share: what the colour of its chief number shows; place: where it is, or
    nothing."""

    def __init__(self, cells, share, name, place=""):
        self.cells, self.share, self.name, self.place = cells, share, name, place


def table(event, sums, totals, style):
    functions = sums.ordered(style.sort)
    shown = functions[: style.top] if style.top else functions
    ones = shown + [sums.without] * bool(sums.without.samples)
    ones.sort(key=lambda one: -getattr(one, style.sort))
    rows = [
        Row(numbers(event, one), event.share(getattr(one, style.sort)), name(one, event), place(one, totals))
        for one in ones
    ]
    titles = ["own s"] * (event.seconds(0) is not None) + ["CPU s", "GIL s"] * event.is_wall
    titles += ["own %", "total %", "samples"]
    lines = grid(titles, rows, titles.index(style.sort + " %"), style)
    if len(functions) > len(shown):
        rest = event.share(sum(one.own for one in functions[len(shown) :]))
        left = counted(len(functions) - len(shown), "more function")
        lines.append("and %s, %.1f %% own" % (left, 100 * rest))
    return lines


def grid(titles, rows, chief, style):
    """Rows below their titles; the number of the chief one is coloured."""
    widths = [max(map(len, column)) for column in zip(titles, *[row.cells for row in rows])]
    name_width, file_width = split_width(rows, style.width - sum(widths) - len(GAP) * len(widths))
    heading = aligned(titles, widths) + ["function".ljust(name_width), "file"]
    lines = [style.paint(BOLD, GAP.join(heading).rstrip())]
    for row in rows:
        texts = aligned(row.cells, widths)
        texts[chief] = style.paint(heat(row.share), texts[chief])
        texts.append(from_right(row.name, name_width).ljust(name_width))
        if row.place:
            texts.append(style.paint(DIM, from_left(row.place, file_width)))
        lines.append(GAP.join(texts).rstrip())
    return lines


def name(function, event):
    """The empty one of code that has none is its own."""
    without = NONE_OF_THESE if event.view.paths else NO_PYTHON
    return without if function.name is None else function.name


def place(function, totals):
    """The file, with the line that is sampled, or the function's first."""
    line = totals.first_line(function) if function.line is None else function.line
    return function.file or "" if line is None else "%s:%d" % (function.file, line)


def numbers(event, row):
    own = event.seconds(row.own)
    texts = [] if own is None else ["%.2f" % own]
    if event.is_wall:
        texts += ["%.2f" % event.seconds(row.own_in[state]) for state in (model.RUNS, model.WAITS_FOR_LOCK)]
    total = "" if row.name is None else "%.1f" % (100 * event.share(row.total))
    return texts + ["%.1f" % (100 * event.share(row.own)), total, "{:,}".format(row.samples)]


def aligned(texts, widths):
    return [text.rjust(width) for text, width in zip(texts, widths)]


def split_width(rows, width):
    """The widths for names and paths: paths shrink first, down to half."""
    width = max(width - len(GAP), 2 * NARROWEST)
    longest = max([len("function")] + [len(row.name) for row in rows])
    file = max([0] + [len(row.place) for row in rows])
    name_width = min(longest, max(width - file, width // 2))
    return name_width, width - name_width


def heat(share):
    return RED if share >= HOT else YELLOW if share >= WARM else ""


def from_right(text, width):
    text = printable(text)
    return text if len(text) <= width else text[: width - len(ELLIPSIS)] + ELLIPSIS


def from_left(text, width):
    text = printable(text)
    return text if len(text) <= width else ELLIPSIS + text[len(text) - width + len(ELLIPSIS) :]


def printable(text):
    """Escapes control characters, which would move a terminal's cursor."""
    return CONTROL.sub(u"?", u"%s" % text)
