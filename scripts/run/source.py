"""A source file with the share of each line: its own, and that of what it has called."""

from __future__ import division

import collections
import io
import os

import columns
import stacks

WIDTH, NARROWEST = 24, 40  # of the numbers, and of all
AROUND = 4  # lines that are shown before and behind one with samples
GAP = "..."


class Source:
    """path: as the user names it."""

    def __init__(self, path):
        self.path = path
        self.own, self.total = collections.Counter(), collections.Counter()  # (file, line): weights
        self.matches, self.weights = {}, collections.Counter()
        self.event, self.weight = None, 0

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event != self.event:
            return
        self.weight += sample.period
        seen, own = set(), None
        for frame in sample.frames:
            if frame.function is None:
                continue
            place = (frame.function[1], frame.line)
            own = own or place
            if place not in seen:
                seen.add(place)
                if self.is_wanted(place[0]):
                    self.total[place] += sample.period
        if own:
            self.weights[own[0]] += sample.period
            if self.is_wanted(own[0]):
                self.own[own] += sample.period

    def is_wanted(self, file):
        found = self.matches.get(file)
        if found is None:
            same = file == self.path or os.path.realpath(file) == os.path.realpath(self.path)
            found = self.matches[file] = same or file.endswith("/" + self.path)
        return found

    def view(self, found, style):
        """What is shown in place of the table."""
        file = self.file()
        source = self.text(file)
        sampled = {line for path, line in self.total if path == file}
        lines = [line for text in columns.heading(found) for line in columns.wrapped(text, style.width)]
        lines += ["", columns.printable(file), style.paint(columns.BOLD, " own %  total %   line")]
        before = 0
        for number in shown(sampled, len(source)):
            if number != before + 1:
                lines.append(GAP)
            before = number
            place = (file, number)
            cells = "%s  %s  %5d" % (self.cell(self.own[place], 6), self.cell(self.total[place], 7), number)
            cells = style.paint(columns.heat(self.own[place] / self.weight), cells)
            line = source[number - 1].expandtabs()
            lines.append(("%s  %s" % (cells, columns.from_right(line, max(style.width, NARROWEST) - WIDTH))).rstrip())
        return lines

    def cell(self, weight, width):
        return ("%.1f" % (100 * weight / self.weight) if weight else "").rjust(width)

    def file(self):
        """The one file that the user can mean."""
        files = sorted({path for path, _ in self.total})
        if len(files) > 1:
            raise stacks.Failed("--source %s: there are %s; name one of them" % (self.path, ", ".join(files)))
        if not files:
            most = [path for path, _ in self.weights.most_common(3)]
            raise stacks.Failed("--source %s: no sample is in that file; most are in %s" % (self.path, ", ".join(most)))
        return files[0]

    def text(self, file):
        for path in (file, self.path):
            try:
                with io.open(path, encoding="utf-8", errors="replace") as lines:
                    return lines.read().splitlines()
            except (IOError, OSError, ValueError):
                continue
        raise stacks.Failed("--source %s: the file is not here" % self.path)


def shown(sampled, count):
    """Numbers of the lines around those with samples; a file that is now shorter has not all of them."""
    wanted = set()
    for line in sampled:
        wanted.update(range(max(line - AROUND, 1), min(line + AROUND, count) + 1))
    return sorted(wanted)
