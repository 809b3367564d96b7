"""HTML pages from templates: compiled to a tree of nodes, rendered with filters and loops."""

PAGE = """<html><head><title>{{ title|upper }}</title></head><body>
{% for person in people %}<div class="{{ person.kind }}"><h2>{{ person.name|title|escape }}</h2>
{% if person.orders %}<ul>{% for order in person.orders %}
<li>{{ order.text|escape }}: {{ order.price|money }}{% if order.late %} <b>late</b>{% endif %}</li>
{% endfor %}</ul>{% endif %}</div>
{% endfor %}</body></html>"""


class Context:
    def __init__(self, values):
        self.stack = [values]

    def push(self, name, value):
        self.stack.append({name: value})

    def pop(self):
        self.stack.pop()

    def find(self, path):
        parts = path.split(".")
        value = self.first(parts[0])
        for part in parts[1:]:
            value = self.attribute(value, part)
        return value

    def first(self, name):
        for values in reversed(self.stack):
            if name in values:
                return values[name]
        return ""

    def attribute(self, value, name):
        return value.get(name, "") if isinstance(value, dict) else getattr(value, name, "")


def escape(value):
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


FILTERS = {
    "upper": lambda value: str(value).upper(),
    "title": lambda value: str(value).title(),
    "escape": escape,
    "money": lambda value: "%.2f" % value,
}


class Text:
    def __init__(self, text):
        self.text = text

    def render(self, context, out):
        out(self.text)


class Value:
    def __init__(self, expression):
        parts = expression.split("|")
        self.path = parts[0].strip()
        self.filters = [FILTERS[part.strip()] for part in parts[1:]]

    def render(self, context, out):
        value = context.find(self.path)
        for apply in self.filters:
            value = apply(value)
        out(str(value))


class Block:
    def __init__(self):
        self.nodes = []

    def render(self, context, out):
        for node in self.nodes:
            node.render(context, out)


class Loop(Block):
    def __init__(self, name, path):
        Block.__init__(self)
        self.name, self.path = name, path

    def render(self, context, out):
        for item in context.find(self.path):
            context.push(self.name, item)
            Block.render(self, context, out)
            context.pop()


class Condition(Block):
    def __init__(self, path):
        Block.__init__(self)
        self.path = path

    def render(self, context, out):
        if context.find(self.path):
            Block.render(self, context, out)


def pieces(source):
    """(kind, text) of a template."""
    at = 0
    while at < len(source):
        start = source.find("{", at)
        if start < 0:
            yield "text", source[at:]
            return
        if start > at:
            yield "text", source[at:start]
        close = "}}" if source[start + 1] == "{" else "%}"
        end = source.index(close, start)
        yield ("value" if close == "}}" else "tag"), source[start + 2 : end].strip()
        at = end + 2


def compiled(source):
    blocks = [Block()]
    for kind, text in pieces(source):
        if kind == "text":
            blocks[-1].nodes.append(Text(text))
        elif kind == "value":
            blocks[-1].nodes.append(Value(text))
        elif text.startswith("end"):
            blocks.pop()
        else:
            words = text.split()
            node = Loop(words[1], words[3]) if words[0] == "for" else Condition(words[1])
            blocks[-1].nodes.append(node)
            blocks.append(node)
    return blocks[0]


class Order:
    def __init__(self, number):
        self.text = "order <%d>" % number
        self.price = number * 1.1
        self.late = number % 3 == 0


def run():
    people = [
        {
            "name": "person & number %d" % i,
            "kind": "even" if i % 2 == 0 else "odd",
            "orders": [Order(i * j) for j in range(i % 9)],
        }
        for i in range(100)
    ]
    out = []
    for _ in range(8):
        compiled(PAGE).render(Context({"title": "orders", "people": people}), out.append)
    return str(len("".join(out)))
