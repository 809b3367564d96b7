"""Programs for which the user preloads something: a sanitizer, an allocator, a library of their own."""

import os

from harness import case, finish
from recorded import start_run

CASES = []
WORK = """
import os
def hot(): return sum(i * i for i in range(2000000))
hot()
print(os.environ["LD_PRELOAD"])
with open("/proc/self/maps") as maps:
    print(all(os.path.basename(name) in maps.read() for name in os.environ["LD_PRELOAD"].split(":")[:1]))
"""
# Ends the program where another library comes before it, as a sanitizer does.
FIRST = """
#define _GNU_SOURCE
#include <link.h>
#include <string.h>
#include <unistd.h>
static int is_first;
static int look(struct dl_phdr_info *info, size_t size, void *unused)
{
    if (info->dlpi_name[0] != '/')
        return 0; /* the program and the vdso */
    is_first = strstr(info->dlpi_name, "/first.so") != NULL;
    return 1;
}
__attribute__((constructor)) static void insist(void)
{
    dl_iterate_phdr(look, NULL);
    if (!is_first)
        _exit(99);
}
"""
# Interposes what libpyperf defines too, and hands on.
SETLOCALE = """
#define _GNU_SOURCE
#include <dlfcn.h>
char *setlocale(int category, const char *locale)
{
    char *(*next)(int, const char *) = (char *(*)(int, const char *))dlsym(RTLD_NEXT, "setlocale");
    return next(category, locale);
}
"""
# Debian's (scripts/dev/setup.sh).
OTHERS = ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libeatmydata.so")


def compiled(bench, name, source):
    words = ["cc", "-shared", "-fPIC", "-w", bench.write(name + ".c", source)]
    path = os.path.join(bench.folder, name + ".so")
    done = bench.run(words + ["-o", path, "-ldl"])
    if done.status:
        raise RuntimeError(done.err)
    return path


def sanitizer(bench):
    path = bench.run(["cc", "-print-file-name=libasan.so"]).out.strip()
    return [os.path.realpath(path)] if os.path.exists(path) else []


@case(CASES, needs=("perf",))
def preloaded(bench):
    """All of them are there, in the user's order, and the program is profiled."""
    script = bench.write("work.py", WORK)
    first, locale = compiled(bench, "first", FIRST), compiled(bench, "locale", SETLOCALE)
    orders = [[first], [locale], [first, locale], [bench.library, locale], [locale, bench.library]]
    orders += [[name] for name in sanitizer(bench) + list(OTHERS) if is_there(bench, name)]
    for names in orders:
        before = ":".join(names)
        done = finish(start_run(bench, "--", bench.python, script, LD_PRELOAD=before))
        got = (done.out.split("\n")[:2], " hot " in done.err, "is incomplete" in done.err)
        what = ", ".join(os.path.basename(name) for name in names)
        bench.equal(what, ([before + ":" + bench.library, "True"], True, False), got)


def is_there(bench, name):
    """The loader says on stderr that it has no such library."""
    done = bench.run(["true"], bench.environment(preload=False, support=None, LD_PRELOAD=name))
    if done.err:
        bench.skip(name, "not installed")
    return done.err == ""
