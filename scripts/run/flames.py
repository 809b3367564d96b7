"""An interactive flame graph of samples, one HTML file: d3-flame-graph's template (scripts/dev/fetch-template)
filled in as perf's own flamegraph.py does it."""

from __future__ import division

import io
import json

import columns
import python2
import stacks
import totals

PLACES = {u"stacks": u"/** @flamegraph_json **/", u"options": u"/** @options_json **/"}
STRONGEST, LEAST = 0.2, 0.001  # changes of a share: with the full colour, and with any


class Node:
    """A function with those that it has called: values are its own time alone, in samples of each profile."""

    __slots__ = ("name", "kind", "values", "called")

    def __init__(self, name, kind, profiles):
        self.name, self.kind, self.values, self.called = name, kind, [0] * profiles, {}

    def of(self, name, kind):
        node = self.called.get(name)
        if node is None:
            node = self.called[name] = Node(name, kind, len(self.values))
        return node


class Graph:
    """profiles: how many there are; start() says of which one the next samples are."""

    each = False

    def __init__(self, template, view, profiles):
        self.template, self.view, self.profiles = template, view, profiles
        self.roots, self.number = {}, 0  # {event: Node}
        self.known = {}  # names and kinds of frames

    def start(self, number):
        self.number = number

    def add(self, sample):
        root = self.roots.get(sample.event)
        if root is None:
            root = self.roots[sample.event] = Node(u"all", u"root", self.profiles)
        node = root.of(self.view.root(sample), u"")
        for frame in reversed(sample.frames):
            shown = self.known.get(frame)
            if shown is None:
                shown = self.known[frame] = (totals.label(frame), u"kernel" if frame.kernel else u"")
            node = node.called.get(shown[0]) or node.of(*shown)
        node.values[self.number] += sample.count

    def root(self, event):
        return self.roots.get(event.name) or Node(u"all", u"root", self.profiles)

    def content(self, found):
        """The page. Its button "Context" shows what stands above the table."""
        event = found.events[0]
        root = self.root(event)
        scales = [part.by_name[event.name].period / event.period for part in found.parts]
        heads = (
            (node, node.name, node.kind, round(sum(value * scale for value, scale in zip(node.values, scales))))
            for node in walk(root)
        )
        return self.page(root, heads, columns.heading(found))

    def difference(self, found):
        """The page of what differs between two profiles: as wide as in the second one, red where its share has become
        larger, and blue where smaller."""
        pair = found.pairs[0]
        weights = [event.sums.samples or 1 for event in pair]
        root = self.root(pair[0])
        nodes, sums = list(walk(root)), {}
        for node in reversed(nodes):
            below = [sums[id(one)] for one in node.called.values()]
            sums[id(node)] = [sum(values) for values in zip(node.values, *below)]
        heads = []
        for node in nodes:
            shares = [value / weight for value, weight in zip(sums[id(node)], weights)]
            change = shares[1] - shares[0]
            numbers = tuple(100 * one for one in shares + [change])
            text = u"%s [%.1f %% -> %.1f %%, %+.1f]" % ((node.name,) + numbers)
            heads.append((node, text, colour(change), node.values[1]))
        return self.page(root, heads, found.headings())

    def page(self, root, heads, context):
        """heads: of each node its name, kind and value."""
        with io.open(self.template, encoding="utf-8") as file:
            page = file.read()
        options = {"colorscheme": "blue-green", "context": u"\n".join(context)}
        texts = {}
        for node, name, kind, value in heads:
            texts[id(node)] = u'{"n":%s,"l":"%s","v":%d,"c":[' % (json.dumps(name), kind, value)
        filled = {"stacks": u"".join(pieces(root, texts)), "options": json.dumps(options)}
        for name, place in PLACES.items():
            if place not in page:
                why = "%s is no template of d3-flame-graph for perf: it has no %s"
                raise stacks.Failed(why % (self.template, place))
            # "</script>" in a name would end the script.
            page = page.replace(place, filled[name].replace(u"</", u"\\u003c/"))
        return python2.bytes_of(page)


def colour(change):
    """For the template as scripts/dev/fetch-template changes it; another one does not know it."""
    strength = min(abs(change) / STRONGEST, 1.0) ** 0.5
    weak = 235 - int(170 * strength)
    red, green, blue = (255, weak, weak) if change > 0 else (weak, weak, 255)
    if abs(change) < LEAST:
        red = green = blue = 235
    return u"rgb(%d,%d,%d)" % (red, green, blue)


def walk(root):
    """All nodes, callers before those that they have called."""
    left = [root]
    while left:
        node = left.pop()
        yield node
        left += node.called.values()


def pieces(root, texts):
    """JSON of a tree that may be deeper than Python's own recursion, which json needs."""
    left = [root]
    while left:
        node = left.pop()
        if not isinstance(node, Node):
            yield node
            continue
        yield texts[id(node)]
        left.append(u"]}")
        for number, one in enumerate(reversed(list(node.called.values()))):
            if number:
                left.append(u",")
            left.append(one)
