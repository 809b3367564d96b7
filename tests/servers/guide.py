"""docs/services.md, whose recipes are tested unchanged."""

import os

HERE = os.path.dirname(os.path.realpath(__file__))
PATH = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs", "services.md")


def section(title):
    with open(PATH, encoding="utf-8") as text:
        return text.read().split("\n## %s\n" % title)[1].split("\n## ")[0]
