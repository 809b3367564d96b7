"""The memory of a million functions: prints, as JSON, KiB resident after a tenth, a half and all of
them. Arguments: how many, and their kind: short-lived ones, as a server compiles for a request,
with the "same" or "different" names."""
import gc
import json
import sys

COUNT, KIND = int(sys.argv[1]), sys.argv[2]
SAME = """
def page():
    def part(): return [row() for row in [lambda: 1]]
    class Cell:
        def show(self): return (lambda: part())()
    return Cell().show()
page()
"""


def resident():
    """Without the map file's window."""
    total, counted = 0, False
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if "-" in line.split(" ")[0]:
                counted = "/tmp/perf-" not in line
            elif line.startswith("Rss:") and counted:
                total += int(line.split()[1])
    return total


def request(number):
    if KIND == "same":
        exec(compile(SAME, "page.html", "exec"), {})
    else:
        exec(compile("def f%d(): pass\nf%d()" % (number, number), "many.py", "exec"), {})


def main():
    seen = {}
    for number in range(COUNT + 1):
        if number in (COUNT // 10, COUNT // 2, COUNT):
            gc.collect()
            seen[number] = resident()
        request(number)
    print(json.dumps(seen))


main()
