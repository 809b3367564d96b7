"""Prints properties of the three functions of sys as JSON. A row of CALLS is an expression and its
expected result: (type, text), or a call of another function of sys that must fail with the same
message, but for the function's name."""
import inspect
import json
import pickle
import pydoc
import sys

NAMES = ("activate_stack_trampoline", "deactivate_stack_trampoline", "is_stack_trampoline_active")
ATTRIBUTES = ("__doc__", "__text_signature__", "__module__", "__name__", "__qualname__")


def looks(name):
    function = getattr(sys, name)
    result = {attribute: getattr(function, attribute) for attribute in ATTRIBUTES}
    result["repr"] = repr(function)
    result["type"] = type(function).__name__
    result["self"] = repr(function.__self__)
    result["signature"] = str(inspect.signature(function))
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    result["help"] = [line.rstrip() for line in shown.split("\n")]
    result["pickled"] = pickle.loads(pickle.dumps(function)) is function
    result["in dir"] = dir(sys).count(name)
    return result


def outcome(expression):
    try:
        return ["value", repr(eval(expression, {"sys": sys, "Text": Text}))]
    except Exception as error:
        return [type(error).__name__, str(error)]


class Text(str):
    pass


rows = json.loads(sys.argv[1])
answer = {
    "looks": {name: looks(name) for name in NAMES},
    "calls": [outcome(expression) for expression in rows],
    "active": sys.is_stack_trampoline_active(),
    "dir": dir(sys),
}
print(json.dumps(answer))
