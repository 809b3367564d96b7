"""What differs between two profiles, A and B: a row for each function, those whose share differs most first, as perf
diff has it. Shares are compared, since two recordings need not have lasted as long as each other."""

from __future__ import division

import advice
import columns
import totals

LETTERS = "AB"


class Row:
    """A function: its sums in both profiles, of which one may be empty. by: the time that is compared."""

    def __init__(self, pair, ones, by):
        self.ones = ones
        self.function = next((one for one in ones if one.samples or one.total), ones[0])
        self.weights = [getattr(one, by) for one in ones]
        self.shares = [event.share(weight) for event, weight in zip(pair, self.weights)]
        self.change = self.shares[1] - self.shares[0]


class Difference:
    """parts: the two Totals."""

    def __init__(self, parts):
        self.parts = parts
        self.pairs = [(event, parts[1].by_name[event.name]) for event in parts[0].events]

    def first_line(self, function):
        known = (part.first_line(function) for part in self.parts)
        return next((line for line in known if line is not None), None)

    def rows(self, pair, by):
        keys = set(pair[0].sums.functions) | set(pair[1].sums.functions)
        rows = []
        for key in keys:
            ones = [event.sums.functions.get(key) or totals.Function(*key) for event in pair]
            rows.append(Row(pair, ones, by))
        return sorted(rows, key=lambda row: (-abs(row.change), -max(row.shares), row.function.key))

    def without(self, pair):
        return Row(pair, [event.sums.without for event in pair], "own")

    def headings(self):
        return [
            "%s  %s: %s" % (letter, part.name, text)
            for letter, part in zip(LETTERS, self.parts)
            for text in filter(None, columns.heading(part))
        ]

    def view(self, style):
        """The lines of the table."""
        lines = [line for text in self.headings() for line in columns.wrapped(text, style.width)]
        for pair in self.pairs:
            lines += [""] + self.table(pair, style)
        told = zip(LETTERS, (advice.advice(part) for part in self.parts))
        texts = ["%s  %s" % one for one in told if one[1]]
        return lines + [line for text in texts for line in [""] + columns.wrapped(text, style.width)]

    def table(self, pair, style):
        event, rows = pair[0], self.rows(pair, style.sort)
        shown = rows[: style.top] if style.top else rows
        without = self.without(pair)
        if style.sort == "own" and any(without.weights):
            shown = sorted(shown + [without], key=lambda row: -abs(row.change))
        has_seconds = event.seconds(0) is not None
        cells = []
        for row in shown:
            texts = ["%.2f" % event.seconds(weight) for weight in row.weights if has_seconds]
            texts += ["%.1f" % (100 * share) for share in row.shares] + ["%+.1f" % (100 * row.change)]
            name, place = columns.name(row.function, event), columns.place(row.function, self)
            cells.append(columns.Row(texts, row.change, name, place))
        titles = ["A s", "B s"] * has_seconds + ["A %", "B %", "change"]
        lines = ["%s time" % style.sort] + columns.grid(titles, cells, titles.index("change"), style)
        left = len(rows) - (len(shown) - (without in shown))
        return lines + ["and %s" % columns.counted(left, "more function")] * bool(left)

    def folded_lines(self):
        """Of the first event: the samples of both, as difffolded.pl has them for flamegraph.pl."""
        one, other = (event.folded for event in self.pairs[0])
        return ["%s %d %d" % (stack, one[stack], other[stack]) for stack in sorted(set(one) | set(other))]

    def as_object(self, sort):
        names = [part.name for part in self.parts]
        return {"profiles": names, "events": [self.event_object(one, sort) for one in self.pairs]}

    def event_object(self, pair, sort):
        event = pair[0]
        return {
            "event": event.name,
            "unit": "count" if event.seconds(0) is None else "ns",
            "samples": [one.samples for one in pair],
            "seconds": [one.seconds(one.weight) for one in pair],
            "functions": [function_object(pair, row, self) for row in self.rows(pair, sort)],
            "without_python": {
                "own": self.without(pair).weights,
                "own_share": self.without(pair).shares,
            },
        }


def function_object(pair, row, difference):
    one = row.function
    shown = {"name": one.name, "file": one.file, "first_line": difference.first_line(one), "change": row.change}
    for name in ("own", "total"):
        shown[name] = [getattr(each, name) for each in row.ones]
        shown[name + "_share"] = [event.share(weight) for event, weight in zip(pair, shown[name])]
    if one.line is not None:
        shown["line"] = one.line
    return shown
