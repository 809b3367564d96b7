"""Defines many functions and calls each for the first time.

usage: workload_functions.py prepare COUNT FILE    compiles them, 1,000 to a file name
       workload_functions.py run COUNT FILE        prints seconds of CPU and memory
"""

import gc
import marshal
import re
import sys
import time

import workload

FILE_SIZE = 1000


def prepare(count, path):
    codes = []
    for start in range(0, count, FILE_SIZE):
        numbers = range(start, min(count, start + FILE_SIZE))
        source = "\n".join("def function_%06d(): pass" % number for number in numbers)
        name = "/srv/application/module_%03d.py" % (start // FILE_SIZE)
        codes.append(compile(source, name, "exec"))
    with open(path, "wb") as file:
        marshal.dump(codes, file)


def resident():
    """Bytes of memory, without the pages of our files, which are the kernel's cache of them."""
    total, counts = 0, True
    with open("/proc/self/smaps") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = not ("/perf-" in line or "/pyperf-" in line)
            elif line.startswith("Rss:") and counts:
                total += int(line.split()[1]) * 1024
    return total


def run(path):
    with open(path, "rb") as file:
        codes = marshal.loads(file.read())
    gc.disable()  # its passes over more and more functions would be in the figures
    # co_extra is 16 bytes, and so is an object: without these, some fit where memory was in use.
    ballast = [object() for _ in range(200000)]
    resident()
    before = resident()
    start = time.process_time()
    modules = []
    for code in codes:
        module = {"__builtins__": __builtins__}
        exec(code, module)
        modules.append(module)
    for module in modules:
        for name, function in module.items():
            if name[0] == "f":
                function()
    called = time.process_time()
    after = resident()
    workload.finish(seconds=called - start, memory=after - before)
    del ballast


def main():
    action, count, path = workload.start()
    if action == "prepare":
        prepare(int(count), path)
    else:
        run(path)
    sys.stdout.flush()


main()
