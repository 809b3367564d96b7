"""An interpreter with a lock of its own registers functions while the main one switches; then the
main one registers its own. At the end all are called once more, because one that waited for the
lock for 2 ms has no name yet. Arguments: how many each, and the modes that are switched to in turn.
Prints, as JSON, the names of the functions that the main one has called after its last switch."""
import json
import sys
import threading

try:
    import _interpreters
except ImportError:  # 3.12
    import _xxsubinterpreters as _interpreters
run = getattr(_interpreters, "exec", None) or _interpreters.run_string
COUNT, MODES = int(sys.argv[1]), sys.argv[2:]
CODE = """
for number in range(%d):
    exec("def new_%s_%%d(): pass" %% number, globals())
    globals()["new_%s_%%d" %% number]()
"""
AGAIN = """
for number in range(%d):
    globals()["new_%s_%%d" %% number]()
"""


def run_in(interpreter, code):
    failed = run(interpreter, code)
    assert failed is None, failed


interpreter = _interpreters.create()
thread = threading.Thread(target=run_in, args=(interpreter, CODE % (COUNT, "sub", "sub")))
thread.start()
for mode in MODES:
    sys.activate_stack_trampoline(mode)
exec(CODE % (COUNT, "main", "main"), globals())
thread.join()
run_in(interpreter, AGAIN % (COUNT, "sub"))
exec(AGAIN % (COUNT, "main"), globals())
_interpreters.destroy(interpreter)
print(json.dumps(["new_main_%d" % number for number in range(COUNT)]))
