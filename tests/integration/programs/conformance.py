"""Runs CPython's own test_perf_profiler.py of 3.13 or later, unaltered, under an interpreter that
has no perf support: with libpyperf in LD_PRELOAD.

The answers of a 3.13 replace this interpreter's: it has trampolines and frame pointers, and perf is
new enough. Stacks come from DWARF instead, with the options of the file's own DWARF tests. Names
that are elsewhere in older versions of test.support are put where the file looks for them.

Arguments: the file, and the output file: a line of JSON for each test."""
import json
import subprocess
import sys
import sysconfig
import types
import unittest

FILE, OUTCOMES = sys.argv[1:]
NATIVE = "_testinternalcapi.compile_perf_trampoline_entry"


def prepare_support():
    from test import support

    support.has_subprocess_support = True
    support.check_sanitizer = lambda **kinds: False
    try:
        import test.support.os_helper
    except ImportError:  # before 3.10
        helper = types.ModuleType("test.support.os_helper")
        helper.temp_dir = support.temp_dir
        sys.modules["test.support.os_helper"] = support.os_helper = helper


def prepare_answers():
    own = sysconfig.get_config_var

    def get_config_var(name):
        answers = {"PY_HAVE_PERF_TRAMPOLINE": 1, "PY_CORE_CFLAGS": "-fno-omit-frame-pointer"}
        return answers[name] if name in answers else own(name)

    sysconfig.get_config_var = get_config_var


class Popen(subprocess.Popen):
    def __init__(self, args, *more, **options):
        if "text" in options:  # before 3.7
            options["universal_newlines"] = options.pop("text")
        if list(args) == ["perf", "--version"]:
            args = ["echo", "perf version 99.0"]
        # At perf's default of 4,000 Hz samples of that size get lost, and perf script reports it.
        dwarf = ["--call-graph=dwarf,65528", "-F99"]
        words = [dwarf if word == "--call-graph=fp" else [word] for word in args]
        super().__init__(sum(words, []), *more, **options)


def load_tests():
    module = types.ModuleType("test_perf_profiler")
    with open(FILE, encoding="utf-8") as file:
        exec(compile(file.read(), FILE, "exec"), module.__dict__)
    suite = unittest.TestSuite()
    for value in list(vars(module).values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            # The tests remove all new files of that kind from /tmp, also those of other processes.
            for name in {"setUp", "tearDown"} & set(vars(value)):
                delattr(value, name)
            # Not a switch: a module of 3.13's own tests.
            if hasattr(value, "test_pre_fork_compile") and lacks_native_api():
                skipped = unittest.skip("needs " + NATIVE)(value.test_pre_fork_compile)
                value.test_pre_fork_compile = skipped
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(value))
    return suite


def lacks_native_api():
    try:
        import _testinternalcapi
    except ImportError:
        return True
    names = ("compile_perf_trampoline_entry", "perf_trampoline_set_persist_after_fork")
    return not all(hasattr(_testinternalcapi, name) for name in names)


class Result(unittest.TestResult):
    def tell(self, test, outcome, text=""):
        name = ".".join(test.id().split(".")[-2:])
        with open(OUTCOMES, "a") as file:
            file.write(json.dumps([name, outcome, text]) + "\n")

    def addSuccess(self, test):
        self.tell(test, "passed")

    def addSkip(self, test, reason):
        self.tell(test, "skipped", reason)

    def addFailure(self, test, error):
        self.tell(test, "failed", self._exc_info_to_string(error, test))

    addError = addFailure


prepare_support()
prepare_answers()
subprocess.Popen = Popen
load_tests().run(Result())
