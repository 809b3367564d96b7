"""JSON read and written in pure Python: a recursive descent parser and a generator of chunks."""


class Reader:
    escapes = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/"}

    def __init__(self, text):
        self.text = text
        self.at = 0

    def peek(self):
        return self.text[self.at]

    def skip(self):
        while self.at < len(self.text) and self.text[self.at] in " \n\t":
            self.at += 1

    def expect(self, word):
        if not self.text.startswith(word, self.at):
            raise ValueError("%s expected at %d" % (word, self.at))
        self.at += len(word)

    def value(self):
        self.skip()
        first = self.peek()
        if first == "{":
            return self.dictionary()
        if first == "[":
            return self.array()
        if first == '"':
            return self.string()
        return self.word() if first in "tfn" else self.number()

    def dictionary(self):
        self.expect("{")
        result = {}
        self.skip()
        while self.peek() != "}":
            self.skip()
            key = self.string()
            self.skip()
            self.expect(":")
            result[key] = self.value()
            self.comma()
        self.expect("}")
        return result

    def array(self):
        self.expect("[")
        result = []
        self.skip()
        while self.peek() != "]":
            result.append(self.value())
            self.comma()
        self.expect("]")
        return result

    def comma(self):
        self.skip()
        if self.peek() == ",":
            self.at += 1
            self.skip()

    def string(self):
        self.expect('"')
        parts = []
        while self.peek() != '"':
            parts.append(self.character())
        self.at += 1
        return "".join(parts)

    def character(self):
        character = self.text[self.at]
        self.at += 1
        if character != "\\":
            return character
        self.at += 1
        return self.escapes[self.text[self.at - 1]]

    def number(self):
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in "+-.0123456789eE":
            self.at += 1
        text = self.text[start : self.at]
        return float(text) if "." in text or "e" in text else int(text)

    def word(self):
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        raise ValueError("a value expected at %d" % self.at)


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def chunks(value):
    if isinstance(value, dict):
        yield "{"
        for number, key in enumerate(sorted(value)):
            yield ", " if number else ""
            yield quoted(key) + ": "
            for chunk in chunks(value[key]):
                yield chunk
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            for chunk in chunks(item):
                yield chunk
        yield "]"
    elif isinstance(value, str):
        yield quoted(value)
    else:
        yield {True: "true", False: "false", None: "null"}.get(value) or repr(value)


def document(entries):
    return {
        "title": 'An "order" book\nof %d lines' % entries,
        "open": False,
        "lines": [
            {
                "id": 1000 + i,
                "price": i * 1.25,
                "tags": ["new", "tag \\ %d" % (i % 7), None],
                "sizes": [i + 2, i * 3 + 2, {"deep": [[i + 5]]}],
            }
            for i in range(entries)
        ],
    }


def run():
    value = document(180)
    text = ""
    for _ in range(2):
        text = "".join(chunks(value))
        value = Reader(text).value()
    return "%d characters, %s" % (len(text), value == document(180))
