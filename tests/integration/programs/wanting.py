"""Calls new functions while their names lack "descriptors" or "memory". Arguments: that, and the
mode. Prints results as JSON; see cases_state.py."""
import json
import os
import resource
import sys
import time

WHAT, MODE = sys.argv[1], sys.argv[2]
SEEN = {}
CALLED = []


def call(names):
    for name in names:
        variables = {}
        exec(compile("def %s(): pass" % name, "new.py", "exec"), variables)
        variables[name]()
        CALLED.append(variables[name])


def numbered(name, count):
    return ["%s_%d" % (name, number) for number in range(count)]


def activate(mode):
    try:
        sys.activate_stack_trampoline(mode)
    except RuntimeError as error:
        return str(error)
    return sys.is_stack_trampoline_active()


def without_descriptors():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    call(numbered("before", 10))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
    try:
        os.dup(0)
    except OSError as error:
        SEEN["error"] = error.errno
    call(numbered("between", 200))
    pid = os.fork()
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    if pid == 0:
        call(numbered("child", 10))
        os._exit(0)
    os.waitpid(pid, 0)
    SEEN["child"] = pid
    time.sleep(2.1)  # a failed image is tried again after a second
    for function in CALLED:
        function()
    call(numbered("after", 10))
    sys.deactivate_stack_trampoline()
    SEEN["active"] = activate(MODE)
    call(numbered("again", 10))


def without_memory():
    limit = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    call(numbered("before", 10))
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), limit[1]))
    SEEN["error"] = activate("perf_jit")
    SEEN["active"] = sys.is_stack_trampoline_active()
    call(numbered("between", 10))
    resource.setrlimit(resource.RLIMIT_AS, limit)
    call(numbered("after", 10))
    SEEN["then"] = activate("perf_jit")
    call(numbered("dumped", 10))
    SEEN["last"] = activate("perf")
    call(numbered("again", 10))


if WHAT == "descriptors":
    without_descriptors()
else:
    without_memory()
print(json.dumps(SEEN))
