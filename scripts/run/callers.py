"""Who calls a function, and whom it calls, in place of the table. Of recursion, the outermost call has the caller, and
the innermost one the callee: so callers, and callees with the own time, come to the function's total.

    main  walk  other  walk  walk  size        main is the caller of walk, size the callee
"""

from __future__ import division

import columns
import perf_script
import stacks
import totals

OWN = "(own time)"


class Relations:
    """Of one function; of those whose rows are lines, of all of its lines."""

    def __init__(self):
        self.all = totals.Function(None, None)
        self.callers, self.callees = {}, {}  # {key of a function, or None: totals.Function}

    def add(self, sample, caller, callee):
        self.all.total += sample.period
        self.all.samples += sample.count
        if callee is None:
            self.all.own += sample.period
        for ones, key in ((self.callers, caller), (self.callees, callee)):
            one = ones.get(key)
            if one is None:
                one = ones[key] = totals.Function(*(key or (None, None)))
            one.total += sample.period
            one.samples += sample.count


class Callers:
    """wanted: a qualified name or its end, and perhaps, behind a colon, the file or its end."""

    def __init__(self, wanted):
        self.wanted = wanted
        place = perf_script.PLACE.match(wanted)
        self.name, self.file = place.groups() if place else (wanted, "")
        self.fits, self.events = {}, {}  # {function: whether it is meant}, {event: {(name, file): Relations}}

    def add(self, sample):
        functions = [frame.function for frame in sample.frames if frame.function is not None]
        ends = {}  # {function: place of its innermost call, of its outermost}
        for number, function in enumerate(functions):
            fits = self.fits.get(function)
            if fits is None:
                fits = self.fits[function] = self.is_meant(*function[:2])
            if fits:
                first, _ = ends.get(function[:2], (number, None))
                ends[function[:2]] = first, number
        found = self.events.setdefault(sample.event, {})
        for function, (first, last) in ends.items():
            caller = functions[last + 1] if last + 1 < len(functions) else None
            callee = functions[first - 1] if first else None
            found.setdefault(function, Relations()).add(sample, caller, callee)

    def is_meant(self, name, file):
        if name != self.name and not name.endswith("." + self.name):
            return False
        return not self.file or file == self.file or file.endswith("/" + self.file.lstrip("/"))

    def function(self, found):
        """(name, file) of the one function that the user can mean."""
        ones = {function for event in self.events.values() for function in event}
        ones = sorted({one for one in ones if one[0] == self.name} or ones)
        if len(ones) == 1:
            return ones[0]
        if ones:
            names = ", ".join("%s:%s" % one for one in ones)
            raise stacks.Failed("--callers %s: there are %s; name one of them" % (self.wanted, names))
        most = ", ".join(one.name for one in found.events[0].sums.ordered()[:3]) or "machine code"
        raise stacks.Failed("--callers %s: no sample is in such a function; most are in %s" % (self.wanted, most))

    def related(self, event, function):
        return self.events.get(event.name, {}).get(function) or Relations()

    def view(self, found, style):
        function = self.function(found)
        lines = columns.wrapped(columns.elapsed(found), style.width)
        for event in found.events:
            related = self.related(event, function)
            text = "%s  %s: total %s, own %s, %s" % (
                function[0],
                columns.place(totals.Function(*function), found),
                self.amount(event, related.all.total),
                self.amount(event, related.all.own),
                columns.counted(related.all.samples, "sample"),
            )
            lines += columns.heading_of(event, found, style) + [""] + columns.wrapped(text, style.width)
            lines += ["", "called by"] + self.rows(related.callers, columns.NO_PYTHON, event, found, style)
            lines += ["", "calls"] + self.rows(related.callees, OWN, event, found, style) + [""]
        return columns.closed(lines, found, style)

    def amount(self, event, weight):
        share = "%.1f %%" % (100 * event.share(weight))
        seconds = event.seconds(weight)
        return share if seconds is None else "%.2f s (%s)" % (seconds, share)

    def rows(self, ones, without, event, found, style):
        has_seconds = event.seconds(0) is not None
        ones = ordered(ones)
        rows = []
        for one in ones[: style.top] if style.top else ones:
            cells = ["%.2f" % event.seconds(one.total)] * has_seconds
            cells += ["%.1f" % (100 * event.share(one.total)), "{:,}".format(one.samples)]
            name = without if one.name is None else one.name
            rows.append(columns.Row(cells, event.share(one.total), name, columns.place(one, found)))
        titles = ["s"] * has_seconds + ["%", "samples"]
        lines = columns.grid(titles, rows, titles.index("%"), style)
        if len(ones) > len(rows):
            lines.append("and %s" % columns.counted(len(ones) - len(rows), "more function"))
        return lines

    def as_object(self, event, found):
        function = self.function(found)
        related = self.related(event, function)

        def shown(one):
            made = {"name": one.name, "file": one.file, "weight": one.total, "share": event.share(one.total)}
            made["samples"] = one.samples
            if one.line is not None:
                made["line"] = one.line
            return made

        return {
            "name": function[0],
            "file": function[1],
            "own": related.all.own,
            "total": related.all.total,
            "samples": related.all.samples,
            "callers": [shown(one) for one in ordered(related.callers)],
            "callees": [shown(one) for one in ordered(related.callees)],
        }


def ordered(ones):
    return sorted(ones.values(), key=lambda one: (-one.total, one.name or "", one.file or "", one.line or 0))
