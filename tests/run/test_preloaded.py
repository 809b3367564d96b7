#!/usr/bin/env python3
"""Programs of any libc and kind run as before when libpyperf.so is preloaded.

usage: test_preloaded.py --build DIR
"""

import os
import sys

sys.dont_write_bytecode = True

import looks

SOURCE = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *run(void *result)
{
    *(int *)result = 1;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    int result = 0, status = 0;
    pthread_create(&thread, NULL, run, &result);
    pthread_join(thread, NULL);
    pid_t child = fork();
    if (child == 0)
        exit(7);
    waitpid(child, &status, 0);
    printf("%d %d\n", result, WEXITSTATUS(status));
    return 3;
}
"""
KINDS = (  # name, compiler and options, lines of the loader, which names what it ignores
    ("glibc", ["cc"], 0),
    ("glibc, static", ["cc", "-static"], 0),
    ("glibc, static-pie", ["cc", "-static-pie"], 0),
    ("glibc, 32 bits", ["cc", "-m32"], 1),
    ("musl", ["musl-gcc"], 0),
    ("musl, static", ["musl-gcc", "-static"], 0),
    ("musl, static-pie", ["musl-gcc", "-static-pie"], 0),
)


def run(path, **more):
    done = looks.run(path, env=dict(os.environ, LC_ALL="C", **more))
    return done.returncode, done.stdout, len(done.stderr.splitlines())


def compiled(folder, name, command):
    """The program and what it does by itself, or None where the compiler is missing, lacks this kind's
    libraries, or the kernel does not run this kind."""
    path = os.path.join(folder, name.replace(", ", "-").replace(" ", "-"))
    words = command + ["-pthread", "-o", path, os.path.join(folder, "program.c")]
    try:
        return (path, run(path)) if looks.run(*words).returncode == 0 else None
    except OSError:
        return None


def programs(look):
    library = os.path.join(looks.build_folder(__doc__), "libpyperf.so")
    with open(look.path("program.c"), "w") as file:
        file.write(SOURCE)
    for name, command, lines in KINDS:
        made = compiled(look.folder, name, command)
        if made is None:
            look.skip("%s: not made by %s, or not run here" % (name, " ".join(command)))
            continue
        path, (status, out, _) = made
        for what, more in (("dormant", {}), ("on", {"PYTHONPERFSUPPORT": "1"})):
            expected = (status, out, lines)
            got = run(path, LD_PRELOAD=library, **more)
            look.equal("%s, %s: status, output, lines" % (name, what), expected, got)


if __name__ == "__main__":
    sys.exit(looks.main("preloaded", [programs]))
