"""An interactive flame graph of samples, one HTML file: the template, which is a page of ours around the library
d3-flame-graph (scripts/dev/fetch-template), with the profile in it.

The page has one tree of all frames, each with its own samples alone, and makes of it what it shows: Python functions,
those and functions of C and the kernel, or all frames.

    main 10                   frames:  0 main   1 sorted   2 key
      sorted 0         gives  nodes:   0,0,10,  1,1,0,  2,2,5,  1,2,7    depth, frame, samples
        key 5
      key 7
"""

from __future__ import division

import io
import json

import columns
import flame_frames
import python2
import stacks
import totals

PLACE = u"@pyperf-profile@"
HOTTEST = 8  # functions that the page names


class Node:
    """A frame with those that it has called: values are its own samples alone, of each profile."""

    __slots__ = ("frame", "values", "called")

    def __init__(self, frame, profiles):
        self.frame, self.values, self.called = frame, [0] * profiles, {}

    def of(self, frame):
        node = self.called[frame] = Node(frame, len(self.values))
        return node


class Graph:
    """Of the profiles of arguments; start() says of which one the next samples are."""

    each = False

    def __init__(self, arguments, view):
        self.template, self.command, self.callers = arguments.template, arguments.command, arguments.callers
        self.view, self.profiles, self.diff = view, len(arguments.data), arguments.diff
        self.roots, self.number = {}, 0  # {event: Node}
        self.table = flame_frames.Table()

    def start(self, number):
        self.number = number

    def add(self, sample):
        table = self.table
        root = self.roots.get(sample.event)
        if root is None:
            root = self.roots[sample.event] = Node(None, self.profiles)
        # The same program is another process each time.
        number = table.process(sample.comm if self.diff else self.view.root(sample))
        node = root.called.get(number) or root.of(number)
        for frame in reversed(sample.frames):
            number = table.number(frame)
            if number == node.frame and number in table.unnamed:
                continue
            node = node.called.get(number) or node.of(number)
        node.values[self.number] += sample.count

    def root(self, event):
        return self.roots.get(event.name) or Node(None, self.profiles)

    def content(self, found):
        """The page of a profile, or of several that are added up."""
        event = found.events[0]
        scales = [part.by_name[event.name].period / event.period for part in found.parts]
        root = self.root(event)
        hottest = [(one.key, event.share(one.own)) for one in event.sums.ordered() if one.own]
        shown = self.shown(root, event, found)
        shown["heading"] = [line for line in columns.heading(found) if line]
        shown["seconds"] = event.seconds(event.period)
        shown["nodes"] = flat(root, lambda values: [round_of(values, scales)])
        shown["hottest"] = self.named(hottest)
        shown["command"] = self.command or found.parts[0].recording.command
        shown["processes"] = names(event)
        return self.page(shown)

    def difference(self, found):
        """The page of what differs between two profiles."""
        pair = found.pairs[0]
        root = self.root(pair[0])
        shown = self.shown(root, pair[0], found)
        shown["heading"] = [line for line in found.headings() if line]
        shown["seconds"] = None
        shown["nodes"] = flat(root, list)
        shown["hottest"] = self.named([(row.function.key, row.change) for row in found.rows(pair, "own") if row.change])
        shown["weights"] = [event.sums.samples or 1 for event in pair]
        shown["command"] = u" -> ".join(u"%s" % part.name for part in found.parts)
        return self.page(shown)

    def shown(self, root, event, found):
        """What both pages have."""
        files = flame_frames.Files(self.table)
        rows = []
        for kind, name, file, function in self.table.frames:
            line = 0
            if function is not None:
                line = function[2] if len(function) > 2 else found.first_line(totals.Function(*function))
            rows.append([kind, name, files.number(kind, file), line or 0])
        without = columns.NONE_OF_THESE if self.view.paths else columns.NO_PYTHON
        # Blanks are between words of a search.
        search = self.callers.replace(":", " ") if self.callers else u""
        shown = {"frames": rows, "files": files.rows, "unit": unit(event), "without": without, "search": search}
        shown["lines"] = any(function is not None and len(function) > 2 for _, _, _, function in self.table.frames)
        return shown

    def named(self, functions):
        """Those that the page names above the graph: frames and shares."""
        numbered = [[self.table.python(key), round(share, 5)] for key, share in functions]
        kinds = [one[0] for one in self.table.frames]
        return [one for one in numbered if one[0] is not None and kinds[one[0]] != flame_frames.IMPORTER][:HOTTEST]

    def page(self, shown):
        with io.open(self.template, encoding="utf-8") as file:
            page = file.read()
        if page.count(PLACE) != 1:
            why = "%s is no template of libpyperf's flame graphs: it has no %s"
            raise stacks.Failed(why % (self.template, PLACE))
        # "</script>" in a name would end the script.
        text = json.dumps(shown, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
        return python2.bytes_of(page.replace(PLACE, u"%s" % text))


def names(event):
    """Of the processes, those with the most samples first."""
    counts = {}
    for (_, comm), one in event.processes.items():
        counts[comm] = counts.get(comm, 0) + one.samples
    return sorted(counts, key=lambda name: (-counts[name], name))


def round_of(values, scales):
    return int(round(sum(value * scale for value, scale in zip(values, scales))))


def flat(root, shown):
    """Callers before those that they have called. The tree may be deeper than Python's own recursion."""
    numbers, left = [], [(0, node) for node in root.called.values()]
    while left:
        depth, node = left.pop()
        numbers += [depth, node.frame] + shown(node.values)
        left += [(depth + 1, one) for one in node.called.values()]
    return numbers


def unit(event):
    if event.seconds(0) is None:
        return event.unit
    return u"elapsed time" if event.is_wall else u"CPU time"
