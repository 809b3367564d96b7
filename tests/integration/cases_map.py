"""The map file: its format, its completeness, and the names in it."""

import os
import stat

import harness
from harness import case
from maps import Map, look_at_form

CASES = []


@case(CASES)
def map_of_killed_process(bench):
    """After SIGKILL the map has all functions that were called, and no others."""
    program = bench.program("qualnames.py")
    process = bench.start([bench.python, program, "sleep"])
    called = process.stdout.readline().split()
    done = harness.kill(process)
    bench.equal("status, stderr", (-9, ""), (done.status, done.err))
    map_file = Map(bench.map_path(process.pid))
    look_at_form(bench, map_file)
    mode = stat.S_IMODE(os.stat(bench.map_path(process.pid)).st_mode)
    bench.equal("mode", "0600", "%04o" % mode)
    bench.equal("names, in order of their first call", called, map_file.of_file(program))


@case(CASES)
def map_of_ended_process(bench):
    program = bench.program("qualnames.py")
    done = bench.run_python(program)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    map_file = Map(bench.map_path(done.pid))
    look_at_form(bench, map_file)
    bench.equal("names, in order of their first call", done.out.split(), map_file.of_file(program))
    bench.equal("empty lines at its end", 0, map_file.empty_lines_at_end)


@case(CASES)
def map_of_many_exits(bench):
    """Each way to end a process: all called functions are in the map."""
    for way in ("sys.exit(3)", "os._exit(4)", "os.abort()", "1/0", "os.kill(os.getpid(), 15)"):
        code = "import os, sys\ndef last(): %s\nlast()" % way
        done, plain = bench.run_python("-c", code), bench.plain("-c", code)
        bench.equal("%s: same status, output" % way, plain.seen, done.seen)
        names = Map(bench.map_path(done.pid)).of_file("<string>")
        bench.equal("%s: names" % way, ["<module>", "last"], names[:2])


SAME = """
for _ in range(1000):
    space = {}
    exec(compile("def same():\\n return 1\\nsame()", "page.html", "exec"), space)
for line in (1, 2, 3):
    exec(compile("\\n" * line + "def moved(): pass\\nmoved()", "page.html", "exec"), {})
"""


@case(CASES)
def map_of_recompiled_code(bench):
    """The same name, file and line is one function, for any number of code objects."""
    done = bench.run_python(bench.write("same.py", SAME))
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    map_file = Map(bench.map_path(done.pid))
    names = map_file.of_file("page.html")
    bench.equal("lines for 1,000 code objects", 1, names.count("same"))
    bench.equal("lines for three lines of a file", 3, names.count("moved"))


# The file's name as Python source, and its form in the map.
ODD_FILES = [
    ("'new\\nline.py'", "new\\nline.py"),
    ("'return\\rtab\\t.py'", "return\\rtab\\t.py"),
    ("'surrogate\\udc80.py'", "surrogate\\udc80.py"),
    ("'escape\\x1b[31m.py'", "escape\\x1b[31m.py"),
    ("'delete\\x7f.py'", "delete\\x7f.py"),
    ("'next\\x85line.py'", "next\\x85line.py"),
    ("'separator\\u2028.py'", "separator\\u2028.py"),
    ("'\\u00e9t\\u00e9.py'", "\u00e9t\u00e9.py"),
    ("'snake\\U0001f40d.py'", "snake\U0001f40d.py"),
    ("'two words: a.py'", "two words: a.py"),
    ("'ffff 10 py::other:x.py'", "ffff 10 py::other:x.py"),
]


# In Python 2 names are bytes: UTF-8 is shown as such.
ODD_FILES_2 = [
    ("'new\\nline.py'", "new\\nline.py"),
    ("'escape\\x1b[31m.py'", "escape\\x1b[31m.py"),
    ("'\\xc3\\xa9t\\xc3\\xa9.py'", "\u00e9t\u00e9.py"),
    ("'latin \\xe9.py'", "latin \\xe9.py"),
    ("'next\\xc2\\x85line.py'", "next\\x85line.py"),
    ("'surrogate\\xed\\xa0\\x80.py'", "surrogate\\xed\\xa0\\x80.py"),
    ("'snake\\xf0\\x9f\\x90\\x8d.py'", "snake\U0001f40d.py"),
    ("'two words: a.py'", "two words: a.py"),
    ("'ffff 10 py::other:x.py'", "ffff 10 py::other:x.py"),
]


@case(CASES)
def map_of_odd_names(bench):
    files = ODD_FILES if bench.version > (3,) else ODD_FILES_2
    lines = ["for file in (%s):" % ", ".join(written for written, _ in files)]
    lines.append("    exec(compile('def odd(): pass\\nodd()', file, 'exec'), {})")
    done = bench.run_python(bench.write("odd.py", "\n".join(lines)))
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    map_file = Map(bench.map_path(done.pid))
    look_at_form(bench, map_file)
    for _, file in files:
        names = [name for name in map_file.names if name == "odd:" + file]
        bench.equal("lines for %s" % ascii(file), 1, len(names))


LONG = """
import sys
def odd(): pass
code = odd.__code__
exec(compile("def %s(): pass\\n%s()" % (("n" * 20000,) * 2), "long.py", "exec"), {})
exec(compile("def f(): pass\\nf()", "l" * 20000, "exec"), {})
if sys.version_info >= (3, 8):
    function = type(odd)
    function(code.replace(co_name="a\\0b"), {})()
    function(code.replace(co_name=""), {})()
    function(code.replace(co_filename=""), {})()
    if sys.version_info >= (3, 11):
        function(code.replace(co_qualname="q\\0r\\ns"), {})()
def last(): pass
last()
"""


@case(CASES)
def map_of_extreme_names(bench):
    """Names longer than any path, empty, or with a NUL: no line is damaged, and the next function
    is in the map."""
    program = bench.write("extreme.py", LONG)
    done = bench.run_python(program)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    map_file = Map(bench.map_path(done.pid))
    damaged = [line for line in map_file.lines if len(line.split(" ", 2)) < 3 or "\0" in line]
    bench.equal("damaged lines", [], damaged)
    bench.equal("the last function", True, "last" in map_file.of_file(program))


MANY = """
import sys
wanted = int(sys.argv[1])
space = {}
for start in range(0, wanted, 1000):
    names = ["f%d" % number for number in range(start, min(start + 1000, wanted))]
    text = "\\n".join("def %s(): pass" % name for name in names)
    text += "".join("\\n%s()" % name for name in names)
    exec(compile(text, "many.py", "exec"), space)
"""


@case(CASES)
def more_than_an_image_holds(bench):
    """70,000 functions where an image has 65,536 trampolines."""
    done = bench.run_python(bench.write("many.py", MANY), "70000")
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    map_file = Map(bench.map_path(done.pid))
    names = {name[: -len(":many.py")] for name in map_file.names if name.endswith(":many.py")}
    bench.equal("functions named", 70000, len(names - {"<module>"}))
    bench.equal("lines less addresses", 0, len(map_file.lines) - len(set(map_file.addresses)))
    bench.equal("images", 2, len(bench.image_paths(done.pid, bench.images)))
