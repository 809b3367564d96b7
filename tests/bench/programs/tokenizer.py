"""A tokenizer and a compiler of expressions for a small language, run on its own stack machine."""

SOURCE = """
let total = 0; let n = 1;
while n < 60 {
    # squares, and what is left of them
    let square = n * n - (n - 1) * (n + 1) + n % 7;
    if square > 3 { total = total + square; } else { total = total - 1; }
    n = n + 1;
}
"""


class Token:
    __slots__ = ("kind", "text", "line")

    def __init__(self, kind, text, line):
        self.kind = kind
        self.text = text
        self.line = line


class Characters:
    def __init__(self, text):
        self.text = text
        self.at = 0
        self.line = 1

    def more(self):
        return self.at < len(self.text)

    def peek(self):
        return self.text[self.at]

    def take(self):
        character = self.text[self.at]
        self.at += 1
        if character == "\n":
            self.line += 1
        return character

    def take_while(self, wanted):
        start = self.at
        while self.more() and wanted(self.peek()):
            self.take()
        return self.text[start : self.at]


def is_word(character):
    return character.isalnum() or character == "_"


def is_not_end(character):
    return character != "\n"


def tokens(text):
    characters = Characters(text)
    while characters.more():
        line = characters.line
        character = characters.peek()
        if character.isspace():
            characters.take()
        elif character == "#":
            characters.take_while(is_not_end)
        elif character.isdigit():
            yield Token("number", characters.take_while(str.isdigit), line)
        elif is_word(character):
            yield Token("word", characters.take_while(is_word), line)
        else:
            yield Token("sign", characters.take(), line)
    yield Token("end", "", characters.line)


class Compiler:
    levels = (("<", ">"), ("+", "-"), ("*", "/", "%"))

    def __init__(self, text):
        self.tokens = tokens(text)
        self.current = next(self.tokens)
        self.code = []

    def emit(self, operation, argument=None):
        self.code.append((operation, argument))
        return len(self.code) - 1

    def advance(self):
        token = self.current
        self.current = next(self.tokens, None)
        return token

    def accept(self, text):
        if self.current.text == text and self.current.kind != "number":
            return self.advance()
        return None

    def program(self):
        while self.current.kind != "end":
            self.statement()
        return self.code

    def block(self):
        self.accept("{")
        while not self.accept("}"):
            self.statement()

    def statement(self):
        if self.accept("while"):
            start = len(self.code)
            self.expression(0)
            leave = self.emit("unless")
            self.block()
            self.emit("jump", start)
            self.code[leave] = ("unless", len(self.code))
        elif self.accept("if"):
            self.condition()
        else:
            self.accept("let")
            name = self.advance().text
            self.accept("=")
            self.expression(0)
            self.accept(";")
            self.emit("store", name)

    def condition(self):
        self.expression(0)
        otherwise = self.emit("unless")
        self.block()
        leave = self.emit("jump")
        self.code[otherwise] = ("unless", len(self.code))
        if self.accept("else"):
            self.block()
        self.code[leave] = ("jump", len(self.code))

    def expression(self, level):
        if level == len(self.levels):
            self.operand()
            return
        self.expression(level + 1)
        while self.current.text in self.levels[level]:
            sign = self.advance().text
            self.expression(level + 1)
            self.emit(sign)

    def operand(self):
        if self.accept("("):
            self.expression(0)
            self.accept(")")
        elif self.current.kind == "number":
            self.emit("constant", int(self.advance().text))
        else:
            self.emit("load", self.advance().text)


class Machine:
    def __init__(self, code):
        self.code = code
        self.names = {}
        self.stack = []
        self.at = 0

    def run(self):
        while self.at < len(self.code):
            operation, argument = self.code[self.at]
            self.at += 1
            if operation == "constant":
                self.stack.append(argument)
            elif operation == "load":
                self.stack.append(self.names[argument])
            elif operation == "store":
                self.names[argument] = self.stack.pop()
            elif operation == "jump":
                self.at = argument
            elif operation == "unless":
                if not self.stack.pop():
                    self.at = argument
            else:
                self.stack.append(self.apply(operation, self.stack.pop(), self.stack.pop()))
        return self.names

    def apply(self, sign, right, left):
        return {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "%": left % right if right else 0,
            "<": left < right,
            ">": left > right,
        }[sign]


def run():
    total = 0
    for _ in range(22):
        total += Machine(Compiler(SOURCE).program()).run()["total"]
    return str(total)
