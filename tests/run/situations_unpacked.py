"""One-file bundles: a program that unpacks libpython, runs it and removes it."""

import os
import re

from harness import Skip, case, finish
from outcome import configuration
from recorded import start_run

CASES = []
WORK = """
import os
def hot():
    return sum(i * i for i in range(1000))
def main():
    while sum(os.times()[:2]) < 1.2:
        hot()
main()
"""
# bundle HOW LIBPYTHON HOME SCRIPT: "parent" removes it when its child has ended, as PyInstaller's does;
# "early" as soon as it is loaded.
BUNDLE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void unpack(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, in)) > 0;)
        fwrite(buffer, 1, count, out);
    fclose(in);
    fclose(out);
}

static void run(const char *library, const char *script, const char *remove)
{
    void *python = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    if (remove != NULL)
        unlink(remove);
    ((void (*)(void))dlsym(python, "Py_Initialize"))();
    ((int (*)(FILE *, const char *))dlsym(python, "PyRun_SimpleFile"))(fopen(script, "r"), script);
    ((void (*)(void))dlsym(python, "Py_Finalize"))();
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/_MEIXXXXXX", library[PATH_MAX];
    setenv("PYTHONHOME", argv[3], 1);
    if (strcmp(argv[1], "child") == 0) {
        run(argv[2], argv[4], NULL);
        return 0;
    }
    mkdtemp(folder);
    snprintf(library, sizeof library, "%s/%s", folder, strrchr(argv[2], '/') + 1);
    unpack(argv[2], library);
    if (strcmp(argv[1], "early") == 0)
        run(library, argv[4], library);
    else if (fork() == 0)
        execl("/proc/self/exe", argv[0], "child", library, argv[3], argv[4], NULL);
    wait(NULL);
    unlink(library);
    rmdir(folder);
    return 0;
}
"""


def bundle(bench):
    """The command, without HOW."""
    folder, library, prefix = configuration(bench, "LIBDIR", "INSTSONAME", "prefix")
    library = os.path.join(folder, library)
    if ".so" not in library or not os.path.exists(library):
        raise Skip("no shared libpython")
    program = os.path.join(bench.folder, "bundle")
    done = bench.run(["cc", "-w", bench.write("bundle.c", BUNDLE), "-o", program, "-ldl"])
    bench.equal("compiler's status", 0, done.status)
    return program, [library, prefix, bench.write("work.py", WORK)]


def share_of_hot(lines):
    found = re.search(r"(?m)^ *[\d.]+ +[\d.]+ +([\d.]+) +\d+  hot ", lines)
    return float(found.group(1)) if found else 0.0


@case(CASES, needs=("perf",))
def unpacked(bench):
    """The table has its Python functions, at once and later. Some stacks are lost all the same where a
    program becomes itself once more: perf 6.1 keeps the addresses of before an exec."""
    program, arguments = bundle(bench)
    for how in ("parent",) + ("early",) * (os.getuid() == 0):
        done = finish(start_run(bench, "--", program, how, *arguments))
        bench.equal("%s: status" % how, 0, done.status)
        shown = share_of_hot(done.err)
        bench.that("%s: share of hot, at once" % how, "65 % or more", shown >= 65, done.err)
        whole = re.search(r"([\d.]+) % of stacks complete", done.err)
        bench.that("%s: stacks" % how, "75 % whole", whole and float(whole.group(1)) >= 75, done.err)
        later = finish(start_run(bench, "--report", "perf.data"))
        bench.that("%s: later" % how, "the same", share_of_hot(later.out) == shown, later.out)
        copies = os.listdir(os.path.join(bench.folder, "perf.data.images"))
        bench.equal("%s: copies" % how, True, any(name.endswith(".debug") for name in copies))
    for _ in range(2):
        finish(start_run(bench, "-q", "--", "true"))
    bench.equal("copies of no profile", False, os.path.exists(os.path.join(bench.folder, "perf.data.images")))
    finish(start_run(bench, "-q", "--", bench.python, arguments[-1]))
    copies = os.listdir(os.path.join(bench.folder, "perf.data.images"))
    bench.equal("copies of what stays", [], [name for name in copies if name.endswith(".debug")])
