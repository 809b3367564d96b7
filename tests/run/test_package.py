#!/usr/bin/env python3
""""make help", and the Debian package of "make deb", made twice.

    test_package.py [--build DIR]

Each case is one line: verdict, case, expected, got.
"""

import filecmp
import glob
import os
import posixpath
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import looks

DOC = "usr/share/doc/libpyperf/"
# Links in Markdown: [text](file), [text](file#part).
LINK = r"\]\(([^):#]+)(?:#[^)]*)?\)"


def output(*words):
    return subprocess.check_output(words, universal_newlines=True)


def help_of_make(look):
    """Each description is complete: its parentheses are closed."""
    shown = looks.make("help").stdout.partition("variables:")[0]
    entries = re.split(r"^make ", shown, flags=re.M)[1:]
    look.equal("targets", True, len(entries) > 15)
    odd = [one for one in entries if one.count("(") != one.count(")")]
    odd += [one for one in entries if re.search(r"(,|;|and|as|on a|some)$", one.strip())]
    look.equal("descriptions that are cut", [], odd)
    look.equal("a second line", True, "\n     " in shown)


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


def package(look):
    if looks.missing("dh", "scdoc", "dpkg-deb"):
        return look.skip(looks.missing("dh", "scdoc", "dpkg-deb"))
    packages, build = [], looks.build_folder(__doc__)
    for umask in (0o022, 0o077):
        old = os.umask(umask)
        try:
            done = looks.make("deb", "O=" + build)
        finally:
            os.umask(old)
        look.that("make deb", "status 0", done.returncode == 0, done.stderr)
        (made,) = glob.glob(os.path.join(build, "libpyperf_*.deb"))
        packages.append(shutil.copy(made, look.path("%o.deb" % umask)))
    look.equal("twice the same", True, filecmp.cmp(*packages, shallow=False))
    root = look.path("root")
    output("dpkg-deb", "-x", packages[0], root)
    look.equal("its documents", True, os.path.exists(os.path.join(root, DOC, "docs/design.md")))
    look.equal("links that lead nowhere", [], sorted(missing_links(root)))
    depends = output("dpkg-deb", "-f", packages[0], "Depends")
    names = re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)
    wanted = {"libc6", "libelf1", "liblzma5", "python3"}
    look.equal("dependencies", wanted, wanted & {re.sub("t64$", "", name) for name in names})
    paths = output("dpkg-deb", "-c", packages[0])
    owners = {line.split()[1] for line in paths.splitlines()}
    look.equal("owners", {"root/root"}, owners)
    modes = {line.split()[0] for line in paths.splitlines()}
    look.equal("modes", {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}, modes)


def missing_tools(look):
    """Missing tools are named in one line, before anything is built."""
    tools = look.path("tools")
    os.mkdir(tools)
    essential = "sh cat cmp cut find mkdir mv rm sed sha256sum sort touch uname xargs"
    for tool in (essential + " make cc git").split():
        if shutil.which(tool):
            os.symlink(shutil.which(tool), os.path.join(tools, tool))
    done = looks.run("make", "deb", "O=" + look.path("nothing"), cwd=looks.ROOT, env={"PATH": tools})
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    line = "libpyperf: make deb needs more: apt-get install debhelper scdoc"
    look.equal("without its tools", (2, "", [line]), (done.returncode, done.stdout, said))


if __name__ == "__main__":
    sys.exit(looks.main("package", [help_of_make, missing_tools, package]))
