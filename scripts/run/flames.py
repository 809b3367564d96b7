"""An interactive flame graph of samples, one HTML file: d3-flame-graph's template (scripts/dev/fetch-template)
filled in as perf's own flamegraph.py does it."""

import io
import json

import columns
import python2
import stacks
import totals

PLACES = {u"stacks": u"/** @flamegraph_json **/", u"options": u"/** @options_json **/"}


class Node:
    """A function with those that it has called: value is its own time alone, in samples."""

    __slots__ = ("name", "kind", "value", "called")

    def __init__(self, name, kind):
        self.name, self.kind, self.value, self.called = name, kind, 0, {}

    def of(self, name, kind):
        node = self.called.get(name)
        if node is None:
            node = self.called[name] = Node(name, kind)
        return node

    @property
    def head(self):
        return u'{"n":%s,"l":"%s","v":%d,"c":[' % (json.dumps(self.name), self.kind, self.value)


class Graph:
    each = False

    def __init__(self, template):
        self.template, self.root = template, Node(u"all", u"root")
        self.known = {}  # names and kinds of frames

    def add(self, sample):
        node = self.root.of(u"%s (%d)" % (sample.comm, sample.pid), u"")
        for frame in reversed(sample.frames):
            shown = self.known.get(frame)
            if shown is None:
                shown = self.known[frame] = (totals.label(frame), u"kernel" if frame.kernel else u"")
            node = node.called.get(shown[0]) or node.of(*shown)
        node.value += sample.count

    def content(self, found):
        """The page. Its button "Context" shows what stands above the table."""
        with io.open(self.template, encoding="utf-8") as file:
            page = file.read()
        options = {"colorscheme": "blue-green", "context": u"\n".join(columns.heading(found))}
        filled = {"stacks": u"".join(pieces(self.root)), "options": json.dumps(options)}
        for name, place in PLACES.items():
            if place not in page:
                why = "%s is no template of d3-flame-graph for perf: it has no %s"
                raise stacks.Failed(why % (self.template, place))
            # "</script>" in a name would end the script.
            page = page.replace(place, filled[name].replace(u"</", u"\\u003c/"))
        return python2.bytes_of(page)


def pieces(root):
    """JSON of a tree that may be deeper than Python's own recursion, which json needs."""
    left = [root]
    while left:
        node = left.pop()
        if not isinstance(node, Node):
            yield node
            continue
        yield node.head
        left.append(u"]}")
        for number, one in enumerate(reversed(list(node.called.values()))):
            if number:
                left.append(u",")
            left.append(one)
