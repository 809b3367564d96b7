#!/usr/bin/env python3
""""make help", and the Debian package of "make deb", made twice.

    test_package.py [--build DIR]

Each case is one line: verdict, case, expected, got.
"""

import argparse
import filecmp
import glob
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness

DOC = "usr/share/doc/libpyperf/"
# Links in Markdown: [text](file), [text](file#part).
LINK = r"\]\(([^):#]+)(?:#[^)]*)?\)"


def output(*words, **more):
    return subprocess.check_output(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, universal_newlines=True, **more
    )


def make(*words, **more):
    # Independent of the make that runs this.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return output("make", "--no-print-directory", *words, env=dict(environment, **more))


def look_at_help(equal):
    """Each description is complete: its parentheses are closed."""
    shown = make("help").partition("variables:")[0]
    entries = re.split(r"^make ", shown, flags=re.M)[1:]
    equal("make help, targets", True, len(entries) > 15)
    odd = [one for one in entries if one.count("(") != one.count(")")]
    odd += [one for one in entries if re.search(r"(,|;|and|as|on a|some)$", one.strip())]
    equal("make help, descriptions that are cut", [], odd)
    equal("make help, a second line", True, "\n     " in shown)


def missing_links(root):
    """Links of the package's Markdown files to files that are not in it."""
    top = os.path.join(root, DOC)
    for folder, _, names in os.walk(top):
        for name in names:
            if name.endswith(".md"):
                with open(os.path.join(folder, name)) as file:
                    for link in re.findall(LINK, file.read()):
                        if not os.path.exists(posixpath.join(folder, link)):
                            yield "%s: %s" % (name, link)


def look_at_package(equal, build, folder):
    packages = []
    for umask in (0o022, 0o077):
        old = os.umask(umask)
        try:
            make("deb", "O=" + build)
        finally:
            os.umask(old)
        (made,) = glob.glob(os.path.join(build, "libpyperf_*.deb"))
        packages.append(shutil.copy(made, os.path.join(folder, "%o.deb" % umask)))
    equal("make deb, twice the same", True, filecmp.cmp(*packages, shallow=False))
    root = os.path.join(folder, "root")
    output("dpkg-deb", "-x", packages[0], root)
    equal("make deb, its documents", True, os.path.exists(os.path.join(root, DOC, "docs/design.md")))
    equal("make deb, links that lead nowhere", [], sorted(missing_links(root)))
    depends = output("dpkg-deb", "-f", packages[0], "Depends")
    names = re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)
    wanted = {"libc6", "libelf1", "liblzma5", "python3"}
    equal("make deb, dependencies", wanted, wanted & {re.sub("t64$", "", name) for name in names})
    paths = output("dpkg-deb", "-c", packages[0])
    owners = {line.split()[1] for line in paths.splitlines()}
    equal("make deb, owners", {"root/root"}, owners)
    modes = {line.split()[0] for line in paths.splitlines()}
    equal("make deb, modes", {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}, modes)


def look_at_missing_tools(equal, folder):
    """Missing tools are named in one line, before anything is built."""
    tools = os.path.join(folder, "tools")
    os.mkdir(tools)
    essential = "sh cat cmp cut find mkdir mv rm sed sha256sum sort touch uname xargs"
    for tool in (essential + " make cc git").split():
        if shutil.which(tool):
            os.symlink(shutil.which(tool), os.path.join(tools, tool))
    done = subprocess.run(
        ["make", "deb", "O=" + os.path.join(folder, "nothing")],
        cwd=ROOT,
        env={"PATH": tools},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    line = "libpyperf: make deb needs more: apt-get install debhelper scdoc"
    equal("make deb, without its tools", (2, "", [line]), (done.returncode, done.stdout, said))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", help="the build directory")
    build = os.path.join(ROOT, parser.parse_args().build)
    harness.clean_up_when_ended()
    tally = harness.Tally("package")

    def equal(case, expected, got):
        tally.report(case, repr(expected), expected == got, repr(got))

    look_at_help(equal)
    folder = tempfile.mkdtemp(prefix="pyperf-test-")
    try:
        look_at_missing_tools(equal, folder)
        missing = [tool for tool in ("dh", "scdoc", "dpkg-deb") if not shutil.which(tool)]
        if missing:
            tally.skip("package: missing: " + ", ".join(missing))
        else:
            look_at_package(equal, build, folder)
    finally:
        shutil.rmtree(folder)
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
