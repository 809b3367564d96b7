"""The table as text, fitted to a width."""

from __future__ import division

import re
import textwrap

import advice
import model

NO_PYTHON = "(no Python function)"
ELLIPSIS = "..."
GAP = "  "
NARROWEST = 8  # of names, and of paths
CONTROL = re.compile(u"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BOLD, DIM, RED, YELLOW, PLAIN = "\033[1m", "\033[2m", "\033[31m", "\033[33m", "\033[0m"
HOT, WARM = 0.20, 0.05
LITTLE = 0.01  # of the time that has elapsed


class Style:
    def __init__(self, width, top, colour):
        self.width, self.top, self.colour = width, top, colour

    def paint(self, code, text):
        return code + text + PLAIN if self.colour and code else text


def report(totals, style):
    """The lines of all tables, and the advice."""
    lines = wrapped(elapsed(totals), style.width)
    for event in totals.events:
        lines += wrapped(summary(event, totals), style.width) + [""]
        lines += table(event, style) + [""]
    told = advice.advice(totals)
    return lines + wrapped(told, style.width) if told else lines[:-1]


def heading(totals):
    """What stands above the tables."""
    return [elapsed(totals)] + [summary(event, totals) for event in totals.events]


def wrapped(text, width):
    width = max(width, 1)
    return textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False)


def elapsed(totals):
    """The times in one line, with the time waited, of which there are no samples."""
    whole, cpu = totals.times.elapsed, totals.cpu_seconds()
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
    parts += filter(None, [totals.recording.how])
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


def counted(number, what):
    plural = "" if number == 1 else "es" if what.endswith("s") else "s"
    return "{:,} {}{}".format(number, what, plural)


def table(event, style):
    functions = event.by_own_time()
    shown = functions[: style.top] if style.top else functions
    rows = shown + [event.without] * bool(event.without.samples)
    rows.sort(key=lambda one: -one.own)
    cells = [numbers(event, one) for one in rows]
    titles = ["own s"] * (event.seconds(0) is not None) + ["CPU s", "GIL s"] * event.is_wall
    titles += ["own %", "total %", "samples"]
    widths = [max(map(len, column)) for column in zip(titles, *cells)]
    name_width, file_width = split_width(rows, style.width - sum(widths) - len(GAP) * len(widths))
    heading = aligned(titles, widths) + ["function".ljust(name_width), "file"]
    lines = [style.paint(BOLD, GAP.join(heading).rstrip())]
    for row, texts in zip(rows, cells):
        texts = aligned(texts, widths)
        texts[-3] = style.paint(heat(event.share(row.own)), texts[-3])
        texts.append(from_right(title(row), name_width).ljust(name_width))
        if row.file:
            texts.append(style.paint(DIM, from_left(place(row), file_width)))
        lines.append(GAP.join(texts).rstrip())
    if len(functions) > len(shown):
        rest = event.share(sum(one.own for one in functions[len(shown) :]))
        left = counted(len(functions) - len(shown), "more function")
        lines.append("and %s, %.1f %% own" % (left, 100 * rest))
    return lines


def title(row):
    return NO_PYTHON if row.name is None else row.name


def place(row):
    return row.file or "" if row.line is None else "%s:%d" % (row.file, row.line)


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
    longest = max([0] + [len(title(row)) for row in rows])
    longest = max(longest, len("function"))
    file = max([0] + [len(place(row)) for row in rows])
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
