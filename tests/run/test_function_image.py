#!/usr/bin/env python3
"""scripts/run/function_image.py: the ELF file for names and lines of Python functions, as the tools of binutils and
elfutils see it. One line for each check; the exit status is 1 if any failed."""

import os
import re
import sys

sys.dont_write_bytecode = True

import looks  # finds tests/integration, too
from looks import case, main, missing, run

sys.path.insert(1, os.path.join(looks.ROOT, "scripts", "run"))

import elf
import function_image

CASES = []
APP = "/srv/my app/größe.py"
FUNCTIONS = {
    ("A.work", APP, 3): {9, 4, 6},
    ("same", APP, 20): {21},
    ("same", APP, 30): {32, 31},
    ("<module>", "<string>", 1): {1},
    ("relative", "app.py", 1): {70000},
    ("two\nlines \x7f", "/srv/a\nb.py", 5): {5},
    ("f", "", None): {0},
}


def made(look, functions=None, start=65536):
    image = function_image.Image(functions or FUNCTIONS, start)
    content, image.build_id = image.content()
    with open(look.path("x.so"), "wb") as out:
        out.write(content)
    return image, out.name


def hexadecimal(number):
    return "".join("%02x" % byte for byte in bytearray(number))


@case(CASES)
def tools_find_it_well_formed(look):
    image, path = made(look)
    for words in (["readelf", "-aW"], ["readelf", "--debug-dump=decodedline,info,aranges,abbrev"]):
        if missing("readelf"):
            look.skip(missing("readelf"))
            break
        done = run(*(words + [path]), errors="replace")
        look.equal(" ".join(words), (0, ""), (done.returncode, done.stderr))
    if missing("eu-elflint"):
        look.skip(missing("eu-elflint"))
    else:
        done = run("eu-elflint", path)
        look.equal("eu-elflint", "No errors\n", done.stdout)
    if missing("readelf"):
        return
    out = run("readelf", "-nW", path).stdout
    look.that("build id", hexadecimal(image.build_id), hexadecimal(image.build_id) in out, out)
    look.equal("the same again", image.build_id, made(look)[0].build_id)
    other = made(look, {("g", APP, 1): {1}})[0].build_id
    look.that("of other functions", "another build id", other != image.build_id, hexadecimal(other))


@case(CASES)
def addresses_lead_to_lines(look):
    """Each address, and the one before it, which is within a call for tools that take it for a return address."""
    image, path = made(look)
    places = sorted(image.places.items(), key=lambda one: one[1])
    look.equal("each line has its address", (10, 10), (len(places), len({address for _, address in places})))
    expected = []
    for (name, file, _), line in (key for key, _ in places):
        name, file = name.replace("\n", "\\x0a").replace("\x7f", "\\x7f"), file.replace("\n", "\\x0a")
        place = "%s:%d" % (file, line) if file else "[unknown]"
        expected += ["py::%s:%s" % (name, file or "[unknown]"), place] * 2
    addresses = [hex(address - back) for _, address in places for back in (0, 1)]
    for tool in ("addr2line", "eu-addr2line"):
        if missing(tool):
            look.skip(missing(tool))
            continue
        done = run(tool, "-f", "-e", path, *addresses, encoding="utf-8", universal_newlines=None)
        # eu-addr2line adds a column, the offset in a function, and what stands for a folder that is not known.
        lines = [re.sub(r"^\(null\)|\+0x1$|(:0|:\?)+$", "", line) for line in done.stdout.splitlines()]
        look.equal("%s: names and lines" % tool, expected, lines)


@case(CASES)
def symbols(look):
    """Our own reader finds the names, at places of the file that are the addresses."""
    image, path = made(look)
    found = elf.Symbols(open(path, "rb"), image.build_id)
    for (function, line), address in image.places.items():
        name = found.name(address)
        if not name.startswith("py::" + function[0].split("\n")[0]):
            look.equal("the name at %x" % address, function, name)
    same = [address for (function, _), address in image.places.items() if function[0] == "same"]
    starts = {one[0] for one in found.found if one[0] <= max(same) and one[1] > min(same)}
    look.equal("functions of the same name", 2, len(starts))
    look.equal("frames left out", "[frames left out]", found.name(image.marks["[frames left out]"]))
    names = [found.name(address) for address in image.places.values()]
    look.equal("line breaks", [], [name for name in names if "\n" in name])
    more = made(look, {("f%d" % number, APP, number): {number, number + 5} for number in range(1, 20000)}, 1 << 20)[0]
    look.equal("many functions", (40000 - 2, True), (len(more.places), min(more.places.values()) > 1 << 20))
    good = more.end - more.start <= function_image.largest({number: {1, 2} for number in range(1, 20000)})
    look.that("its size", "not more than was said", good, str(more.end))


if __name__ == "__main__":
    sys.exit(main("function_image", CASES))
