"""Regular expressions that call back into Python for each match: a wiki's markup to HTML."""

import re

TEXT = """== Heading %d ==
Some ''emphasis'' and '''weight''' and a [[Link to|page %d]], {{price:%d}} {{date:3}}.
* item one with `code %d` * item two & <three> -- "quoted" http://example.org/%d
"""


class Renderer:
    def __init__(self):
        self.links = 0
        self.rules = [
            (re.compile(r"[&<>]"), self.entity),
            (re.compile(r"^(=+) (.*?) =+$", re.M), self.heading),
            (re.compile(r"'''(.*?)'''"), self.weight),
            (re.compile(r"''(.*?)''"), self.emphasis),
            (re.compile(r"\[\[([^|\]]+)\|([^\]]+)\]\]"), self.link),
            (re.compile(r"\{\{(\w+):(\d+)\}\}"), self.macro),
            (re.compile(r"`([^`]*)`"), lambda match: "<code>%s</code>" % match.group(1)),
            (re.compile(r"\d+"), self.number),
            (re.compile(r"\b[a-z]+\b"), self.word),
        ]

    def entity(self, match):
        return {"&": "&amp;", "<": "&lt;", ">": "&gt;"}[match.group()]

    def heading(self, match):
        return "<h%d>%s</h>" % (len(match.group(1)), match.group(2))

    def weight(self, match):
        return "<b>%s</b>" % match.group(1)

    def emphasis(self, match):
        return "<i>%s</i>" % match.group(1)

    def link(self, match):
        self.links += 1
        return '<a href="%s">%s</a>' % (self.address(match.group(1)), match.group(2))

    def address(self, name):
        return re.sub(r"\W+", self.dash, name)

    def dash(self, match):
        return "-" * len(match.group())

    def macro(self, match):
        return getattr(self, "macro_" + match.group(1))(int(match.group(2)))

    def macro_price(self, value):
        return "%d.%02d" % divmod(value * 119, 100)

    def macro_date(self, value):
        return "2020-01-%02d" % value

    def number(self, match):
        return str(int(match.group()) + 1)

    def word(self, match):
        word = match.group()
        return word if len(word) < 5 else self.shortened(word)

    def shortened(self, word):
        return word[0] + str(len(word) - 2) + word[-1]

    def render(self, text):
        for pattern, action in self.rules:
            text = pattern.sub(action, text)
        return text


def run():
    renderer = Renderer()
    text = "".join(TEXT % (i, i, i, i, i) for i in range(900))
    return "%d %d" % (len(renderer.render(text)), renderer.links)
