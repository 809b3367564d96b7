"""Qualified names from a function's source: code objects have none before 3.11.

The names are those of CPython: Class.method, outer.<locals>.inner, outer.<locals>.<lambda>. Sources may be of
Python 2. Only the beginnings of statements are read, with their indentation; strings and brackets tell
where statements begin. A lambda or comprehension within another is taken for one beside it.
"""

import bisect
import io
import re

import roots

TOKEN = re.compile(
    r"#[^\n]*"
    r"|'{3}(?:[^\\]|\\.)*?'{3}"
    r'|"{3}(?:[^\\]|\\.)*?"{3}'
    r"|'(?:[^'\\\n]|\\.)*'"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|\\\r?\n|[\n()\[\]{}]",
    re.S,
)
DEFINITION = re.compile(r"(?:async[ \t]+)?(def|class)[ \t]+(\w+)", re.U)
OPENS_BLOCK = re.compile(r":\s*(#[^\n]*)?$")
# Names of code objects that no statement defines, and what their source has.
WORDS = {"<lambda>": "lambda", "<listcomp>": "for", "<setcomp>": "for", "<dictcomp>": "for", "<genexpr>": "for"}
LARGEST = 16 << 20


class Source:
    """The definitions of one file."""

    def __init__(self, text):
        self.definitions = {}  # (first line, name): qualified name
        self.first_lines = None  # the other way round
        self.starts, self.statements = [], []  # first line; its text, and what stands before the names in it
        scopes, decorated = [], None  # (indentation, what stands before the names in it)
        for number, statement in statements(text):
            body = statement.lstrip()
            if not body or body.startswith("#"):
                continue
            indentation = len(statement[: len(statement) - len(body)].expandtabs(8))
            while scopes and scopes[-1][0] >= indentation:
                scopes.pop()
            before = scopes[-1][1] if scopes else ""
            match = DEFINITION.match(body)
            if match:
                kind, name = match.groups()
                self.definitions[decorated or number, name] = before + name
                scopes.append((indentation, before + name + (".<locals>." if kind == "def" else ".")))
                if not OPENS_BLOCK.search(body):
                    before = scopes[-1][1]  # def f(x): return [one for one in x]
            decorated = (decorated or number) if body.startswith("@") else None
            self.starts.append(number)
            self.statements.append((body, before))

    def qualified(self, name, line):
        """The name itself where the source is not that of the function."""
        if name not in WORDS:
            return self.definitions.get((line, name), name)
        at = bisect.bisect_right(self.starts, line) - 1
        body, before = self.statements[at] if at >= 0 else ("", "")
        return before + name if re.search(r"\b%s\b" % WORDS[name], body) else name

    def first_line(self, qualified):
        """None where several definitions, or none, have the name."""
        if self.first_lines is None:
            self.first_lines = {}
            for (line, _), name in self.definitions.items():
                self.first_lines[name] = None if name in self.first_lines else line
        return self.first_lines.get(qualified)


def statements(text):
    """The first line and the text of each."""
    number, first, start, depth = 1, 1, 0, 0
    for match in TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            number += 1
            if not depth:
                yield first, text[start : match.start()]
                first, start = number, match.end()
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
        else:
            number += token.count("\n")
    yield first, text[start:]


class Sources:
    """Those that have been read; None for a file that is not to be had."""

    def __init__(self, files=None):
        self.known, self.files = {}, files or roots.Roots()

    def of(self, path):
        if path not in self.known:
            self.known[path] = self.read(path)
        return self.known[path]

    def first_line(self, qualified, path):
        source = self.of(path)
        return source.first_line(qualified) if source else None

    def qualified(self, name, path, line):
        source = self.of(path)
        return source.qualified(name, line) if source else name

    def read(self, path):
        if not path.endswith((".py", ".pyw")) and "/" not in path:
            return None  # <string>
        for file in self.files.opened(path):
            with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as text:
                try:
                    return Source(text.read(LARGEST))
                except (IOError, OSError):
                    pass
        return None
