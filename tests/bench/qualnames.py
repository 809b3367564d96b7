"""The share of code objects of the standard library for which the qualified name that libpyperf
derives is CPython's own. Needs an interpreter with co_qualname: 3.11 or later.

usage: qualnames.py FILTER    (build/tests/qualnames)
"""

import os
import subprocess
import sys
import sysconfig
import types
import warnings


def source_files(root):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f != "site-packages")
        for file in sorted(files):
            if file.endswith(".py"):
                yield os.path.join(folder, file)


def code_objects(path):
    """(index of the enclosing one within this list or -1, code object), enclosing ones first."""
    try:
        with open(path, "rb") as file:
            module = compile(file.read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return []  # test data of the parser
    found = [(-1, module)]
    for index, (_, code) in enumerate(found):
        found.extend((index, c) for c in code.co_consts if isinstance(c, types.CodeType))
    return found


def main():
    warnings.simplefilter("ignore")
    root = sysconfig.get_path("stdlib")
    lines, expected = [], []
    for path in source_files(root):
        first = len(lines)
        for enclosing, code in code_objects(path):
            at = -1 if enclosing < 0 else first + enclosing
            lines.append(f"{at} {code.co_flags} {code.co_name}")
            expected.append((code.co_qualname, path, code.co_firstlineno))
    result = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", check=True,
                            capture_output=True, encoding="utf-8", errors="surrogatepass")
    got = result.stdout.split("\n")[:-1]
    wrong = [(e, g) for e, g in zip(expected, got) if e[0] != g]
    for (name, path, line), worked_out in wrong:
        print(f"{os.path.relpath(path, root)}:{line}: {name}: worked out as {worked_out}")
    share = 100 * (len(expected) - len(wrong)) / len(expected)
    print(f"Python {sys.version.split()[0]}: {len(expected)} code objects, {len(wrong)} differ, "
          f"{share:.3f} % equal co_qualname")
    return 0 if len(got) == len(expected) and share >= 99.5 else 1


sys.exit(main())
