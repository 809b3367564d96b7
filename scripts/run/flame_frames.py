"""What a flame graph tells of its frames: names, files with short paths, and kinds, by which its page (page.js)
colours frames and leaves some out."""

import os
import re

import model
import view

# The program's files, installed packages, the standard library, what imports modules; C, the kernel; what runs Python
# code or has no name; what a thread waits for; and processes or threads.
OWN, PACKAGE, STANDARD, IMPORTER = u"own", u"package", u"standard", u"importer"
C, KERNEL, INNER, WAITING, PROCESS = u"c", u"kernel", u"inner", u"waiting", u"process"

INSTALLED = re.compile(r".*/(?:site|dist)-packages/(.+)$")
LIBRARY = re.compile(r".*?/(?:lib(?:64)?/(?:python|pypy)\d[\d.]*|python\d+\.zip)/(.+)$")
FROZEN = re.compile(r"<frozen (.+)>$")
IMPORTERS = re.compile(
    r"<frozen (?:importlib\._bootstrap(?:_external)?|zipimport)>$"
    r"|.*/importlib/(?:_bootstrap(?:_external)?|__init__)\.py$|.*/zipimport\.py$"
)
# CPython's import.c: PyImport_ImportModuleLevelObject; in 2.7 it does all by itself.
IMPORTS = re.compile(
    r"_?PyImport_(Import|Exec|Load)\w*$|import_(submodule|module_level|find_and_load)$|ensure_fromlist$"
    r"|load_(next|package|module|source_module)$|builtin___import__$"
)
# Of CPython's ceval.c, call.c, abstract.c, object.c, methodobject.c, descrobject.c, classobject.c, typeobject.c,
# genobject.c and pythonrun.c: what leads from one function to the next.
CALLS = re.compile(
    r"_?Py(Eval|Function|Vectorcall|Object|Number|Sequence|Mapping|Iter|Run)_\w+"
    r"|_?PyC(all)?Function_\w*[Cc]all\w*|_?PyMethodDe(f|scr)_\w+|_?PyStack_\w+|_?PyGen_\w+|(fast|call)_function"
    r"|function_(code_fast)?call|(\w+_)?vectorcall(_\w+)?|(c|builtin_)?function_call|(instance)?method_call|type_call"
    r"|object_vacall|slot_tp_\w+|call_(method|attribute|unbound\w*|trampoline)|gen_(send_ex\w*|iternext|close)"
    r"|(py)?run_\w+|pyrun_\w+|thread_run|py_trampoline_evaluator"
)
EXTENSION = ".cpython-"  # in the name of a module in C: _json.cpython-311-x86_64-linux-gnu.so
OURS = re.compile(r"(.*/)?libpyperf[^/]*\.so")  # what it adds to a call
LONGEST = 3  # parts of a path that is shown


class Table:
    """Frames by number, each once: (kind, name, file, function). function: of a row of the table, or None."""

    def __init__(self):
        self.frames, self.numbers = [], {}
        self.known = {}  # frames of samples
        self.unnamed = set()

    def number(self, frame):
        found = self.known.get(frame)
        if found is None:
            found = self.known[frame] = self.of(described(frame))
            if frame.function is None and frame.symbol == model.UNKNOWN:
                self.unnamed.add(found)
        return found

    def process(self, name):
        return self.of((PROCESS, name, u"", None))

    def of(self, told):
        found = self.numbers.get(told)
        if found is None:
            found = self.numbers[told] = len(self.frames)
            self.frames.append(told)
        return found

    def python(self, function):
        """The number of a row's function."""
        return self.numbers.get((kind_of(function[1]), function[0], function[1], function))


def described(frame):
    function = frame.function
    if function is not None:
        return kind_of(function[1]), function[0], function[1], function
    name, holder = frame.symbol, frame.object
    if holder == model.WAITING:
        return WAITING, name, u"", None
    if frame.kernel:
        return KERNEL, name if name != model.UNKNOWN else u"[kernel]", u"", None
    file = os.path.basename(holder)
    inner = frame.interpreter and EXTENSION not in file
    if name == model.UNKNOWN:
        unseen = inner or frame.loader or frame.nameless or holder.startswith("[")
        name = name if holder.startswith("[") else u"[%s]" % file.split(EXTENSION)[0]
        return INNER if unseen else C, name, holder, None
    if frame.beginning or OURS.match(holder) or (inner and is_whole_match(CALLS, name)):
        return INNER, name, holder, None
    return IMPORTER if inner and IMPORTS.match(name) else C, name, holder, None


def is_whole_match(pattern, text):
    """fullmatch is not in 2.7. A symbol's version, or a part that the compiler has made of it, is behind a mark."""
    match = pattern.match(text)
    return bool(match) and match.end() in (len(text), text.find("@"), text.find("."))


def kind_of(file):
    if IMPORTERS.match(file):
        return IMPORTER
    if INSTALLED.match(file):
        return PACKAGE
    return STANDARD if FROZEN.match(file) or view.LIBRARY.search(file) else OWN


class Files:
    """What is shown of each file: a short path, the whole one, and what its module is called where it is imported."""

    def __init__(self, table):
        own = {file for kind, _, file, function in table.frames if kind == OWN and file.startswith("/") and function}
        self.common = common_folder(own)
        self.rows, self.numbers = [], {}

    def number(self, kind, file):
        """-1 for none."""
        if not file:
            return -1
        if (kind, file) not in self.numbers:
            self.numbers[kind, file] = len(self.rows)
            short = self.short(kind, file)
            self.rows.append([short, file, module(short) if kind != OWN else short])
        return self.numbers[kind, file]

    def short(self, kind, file):
        if kind in (C, INNER, KERNEL):
            return os.path.basename(file)
        for pattern in (INSTALLED, LIBRARY):
            match = pattern.match(file)
            if match:
                return match.group(1)
        if self.common and file.startswith(self.common):
            file = file[len(self.common) :]
        parts = file.split("/")
        return file if len(parts) <= LONGEST + 1 else u"/".join([u"..."] + parts[-LONGEST:])


def common_folder(files):
    """With a slash at its end; nothing if there is none but the root."""
    folders = [file.split("/")[:-1] for file in files]
    common = []
    for parts in zip(*folders):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common) + "/" if len(common) > 1 else ""


def module(short):
    """django/db/__init__.py is django.db, and <frozen os> is os."""
    frozen = FROZEN.match(short)
    if frozen:
        return frozen.group(1)
    for end in (".py", ".pyc", "/__init__"):
        short = short[: -len(end)] if short.endswith(end) else short
    return short.replace("/", ".")
