#!/usr/bin/env python3
"""fetch-interpreters without a network: the real mmdebstrap with a nearly empty mirror on this
machine, and a fake mmdebstrap that has everything.

Each case is one line: verdict, case, expected, got.
"""

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

import looks

CASES = []
PROGRAM = os.path.join(looks.ROOT, "scripts", "dev", "fetch-interpreters")
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# In the order of the output: the kind, the name if skipped, and the program.
ROWS = [
    ("interpreter", "python2.7", "bullseye/usr/bin/python2.7"),
    ("interpreter", "python2.7-dbg", "bullseye/usr/bin/python2.7-dbg"),
    ("interpreter", "python3.9", "bullseye/usr/bin/python3.9"),
    ("interpreter", "python3.9-dbg", "bullseye/usr/bin/python3.9d"),
    ("perf", "perf-5.10", "bullseye/usr/bin/perf_5.10"),
    ("interpreter", "python3.13", "trixie/usr/bin/python3.13"),
    ("interpreter", "python3.14", "sid/usr/bin/python3.14"),
    ("interpreter", "python3.15", "sid/usr/bin/python3.15"),
    ("perf", "perf-sid", "sid/usr/bin/perf"),
]

# A machine with sources other than Debian's mirror, which must not be used.
SOURCES = """
Types: deb
URIs: http://127.0.0.1:1/other
Suites: nodistro
Components: main

Types: deb
URIs: http://127.0.0.1:{port}/some/debian/
Suites: {own} {own}-updates
Components: main
"""
DISABLED = """
Enabled: no
Types: deb
URIs: http://127.0.0.1:{port}/some/debian/
Suites: {own}
Components: main
"""
UNSIGNED = "Suite: unstable\nCodename: sid\nArchitectures: amd64\nComponents: main\n"

# $FAKE has the log; $FAKE/trixie exists if the mirror has trixie, $FAKE/slow if downloads of sid
# take long, $FAKE/unmet if python3.14 cannot be installed. python3.15 is in no suite. Its programs
# are /bin/true and /bin/false.
MMDEBSTRAP = r"""#!/bin/sh
for word; do
    case $word in
    --include=*) include=$word ;;
    --simulate) simulate=yes ;;
    --*) ;;
    /*) tree=$word ;;
    *' main') mirror=$word ;;
    *) suite=$word ;;
    esac
done
packages=$(printf '%s' "$include" | sed 's/?exact-name(//g; s/.*?or(//; s/)//g; s/,/ /g')
there=$(printf '%s' "$installed" | sed -n 's/^Package: / /p' | tr -d '\n')
echo "$suite: $packages; has$there; $mirror" >>"$FAKE/log"
case $suite in
trixie) [ -e "$FAKE/trixie" ] || { echo 'E: There is no trixie.' >&2; exit 100; } ;;
sid) [ ! -e "$FAKE/slow" ] || { : >"$FAKE/waiting"; sleep 60; } ;;
esac
if [ -e "$FAKE/unmet" ]; then
    case $packages in *python3.14*)
        printf '%s\n' 'The following packages have unmet dependencies:' 'E: Broken packages' >&2
        exit 25 ;;
    esac
fi
mkdir "$tree"
[ -z "$simulate" ] || exit 0
cd "$tree"
mkdir -p usr/bin usr/share/doc/package usr/lib/x86_64-linux-gnu
[ $suite = bullseye ] || cp /lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu
for name in $packages; do
    case $name in
    *-testsuite | python3.15) ;;
    python3.14) cp /bin/false usr/bin/$name ;;
    python3.9-dbg) cp /bin/true usr/bin/python3.9d ;;
    python*) cp /bin/true usr/bin/$name ;;
    linux-perf-5.10) cp /bin/true usr/bin/perf_5.10 ;;
    linux-perf) cp /bin/true usr/bin/perf ;;
    esac
done
"""
NOT_RUNNING = {
    "python3.14": "it does not run",
    "python3.15": "sid has no python3.15 that can be installed",
}


def own_release():
    with open("/etc/os-release") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.strip().partition("=")[2]
    return "stable"


class Mirror(http.server.BaseHTTPRequestHandler):
    """A mirror that has sid, unsigned."""

    def do_GET(self):
        self.server.asked.add(self.path)
        found = self.path == "/some/debian/dists/sid/Release"
        self.send_response(200 if found else 404)
        text = UNSIGNED.encode() if found else b""
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Looker(looks.Look):
    def __init__(self, *what):
        super().__init__(*what)
        self.dir = self.path("got")
        self.fake = self.path("fake")

    def equal(self, what, expected, got):
        shown = [repr(one).replace(self.dir, "DIR") for one in (expected, got)]
        self.that(what, shown[0], expected == got, shown[1])

    def environment(self, more):
        environment = dict(os.environ, FAKE=self.fake, **more)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            environment.pop(name, None)
        return environment

    def run(self, **more):
        """Its status, and its output, which is also in the list."""
        done = looks.run(PROGRAM, self.dir, env=self.environment(more), timeout=120)
        if done.returncode != 0:
            sys.stderr.write(done.stderr)
        with open(os.path.join(self.dir, "list")) as file:
            listed = file.read()
        if listed != done.stdout:
            self.equal("DIR/list", done.stdout, listed)
        return done.returncode, done.stdout.splitlines()

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def there(self):
        return sorted(name for name in os.listdir(self.dir) if "." not in name)

    def asked(self):
        """The calls of the fake mmdebstrap since the last time."""
        path = os.path.join(self.fake, "log")
        with open(path) as file:
            lines = sorted(file.read().splitlines())
        open(path, "w").close()
        return lines

    def expected(self, skipped):
        """The expected output; `skipped` has the suite or the name with the reason."""
        lines = []
        for kind, name, program in ROWS:
            suite = program.partition("/")[0]
            why = skipped.get(name, skipped.get(suite))
            line = "%s %s" % (kind, os.path.join(self.dir, program))
            lines.append(line if why is None else "skipped %s: %s" % (name, why))
        return 0, lines


@looks.case(CASES)
def mirror(looker):
    """The address is that of the machine's apt, and unsigned suites are refused."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.asked = set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        text = SOURCES.format(port=server.server_port, own=own_release())
        status, lines = looker.run(APT_CONFIG=configuration(looker, text))
    finally:
        server.shutdown()
        server.server_close()
    missing = "The repository 'ADDRESS %s Release' does not have a Release file."
    expected = {suite: missing % suite for suite in ("bullseye", "trixie")}
    expected["sid"] = "The repository 'ADDRESS sid Release' is not signed."
    address = "http://127.0.0.1:%d/some/debian" % server.server_port
    lines = [line.replace(address, "ADDRESS") for line in lines]
    looker.equal("what a mirror lacks", looker.expected(expected), (status, lines))
    asked = sorted({"/".join(path.split("/")[:5]) for path in server.asked})
    expected = ["/some/debian/dists/" + suite for suite in ("bullseye", "sid", "trixie")]
    looker.equal("what the mirror is asked", expected, asked)
    looker.equal("what is left of it", ["list"], looker.there())


def configuration(looker, text):
    """The path of an apt.conf that excludes all others, with these sources and no lists."""
    folder = os.path.join(looker.folder, "etc")
    looker.write("etc/sources.d/debian.sources", text)
    os.makedirs(os.path.join(folder, "lists", "partial"))
    text = 'Dir::Etc::Parts "/dev/null";\nDir::Etc::Main "/dev/null";\n'
    text += 'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "%s/sources.d";\n' % folder
    text += 'Dir::State::Lists "%s/lists";\n' % folder
    return looker.write("etc/apt.conf", text)


@looks.case(CASES)
def no_mirror(looker):
    text = DISABLED.format(port=1, own=own_release())
    why = "apt is configured for no mirror of Debian"
    expected = looker.expected(dict.fromkeys(("bullseye", "trixie", "sid"), why))
    looker.equal("no mirror", expected, looker.run(APT_CONFIG=configuration(looker, text)))


def stand_in(looker):
    """A PATH with the fake one first."""
    looker.write("fake/bin/mmdebstrap", MMDEBSTRAP, 0o755)
    return os.path.join(looker.fake, "bin") + ":" + os.environ.get("PATH", os.defpath)


@looks.case(CASES)
def missing_tools(looker):
    """Missing tools are named, in a PATH without them."""
    tools = "sh readlink dirname mkdir uniq flock cat mv apt-get apt-config grep sed head".split()
    os.mkdir(looker.folder + "/tools")
    for tool in tools:
        os.symlink(shutil.which(tool), os.path.join(looker.folder, "tools", tool))
    for tool in ("patchelf", "mmdebstrap"):
        why = "%s is missing: apt-get install %s" % (tool, tool)
        expected = looker.expected(dict.fromkeys(("bullseye", "trixie", "sid"), why))
        looker.equal("no " + tool, expected, looker.run(PATH=looker.folder + "/tools"))
        os.symlink("/bin/true", os.path.join(looker.folder, "tools", tool))


@looks.case(CASES)
def making(looker):
    path = stand_in(looker)
    missing = looker.expected(dict(NOT_RUNNING, trixie="There is no trixie."))
    looker.equal("what is printed", missing, looker.run(PATH=path))
    looker.equal("what is left", ["bullseye", "list", "sid"], looker.there())
    asked = looker.asked()
    looker.equal("packages", PACKAGES, [line.partition("; deb")[0] for line in asked])
    signed = "; deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    looker.equal("signed", 3, sum(signed in line for line in asked))
    unused = os.path.exists(os.path.join(looker.dir, "sid/usr/share"))
    looker.equal("documentation is kept", False, unused)
    look_at_programs(looker)
    looker.equal("what is there is kept", missing, looker.run(PATH=path))
    again = [line.partition(":")[0] for line in looker.asked()]
    looker.equal("only the missing suite is asked for again", ["trixie"], again)
    looker.write("fake/trixie", "")
    expected = looker.expected(NOT_RUNNING)
    looker.equal("it has appeared", expected, looker.run(PATH=path))
    looker.asked()
    looker.equal("nothing more to do", expected, looker.run(PATH=path))
    looker.equal("nothing is asked for then", [], looker.asked())


PACKAGES = [
    "bullseye: python2.7 libpython2.7-testsuite python2.7-dbg python3.9 libpython3.9-testsuite"
    " python3.9-dbg linux-perf-5.10; has libc6 libgcc-s1 libstdc++6 zlib1g liblzma5 libelf1 libdw1",
    "sid: python3.14 libpython3.14-testsuite libelf1t64 python3.15 libpython3.15-testsuite"
    " libelf1t64 linux-perf; has",
    "trixie: python3.13 libpython3.13-testsuite libelf1t64; has",
]


@looks.case(CASES)
def unmet_dependencies(looker):
    """One package cannot be installed: the others of its suite are."""
    path = stand_in(looker)
    looker.write("fake/trixie", "")
    looker.write("fake/unmet", "")
    skipped = dict(NOT_RUNNING)
    skipped["python3.14"] = "sid has no python3.14 that can be installed"
    looker.equal("unmet dependencies", looker.expected(skipped), looker.run(PATH=path))


def look_at_programs(looker):
    """Programs of bullseye use this machine's loader, those of sid their own."""
    for suite, program in (("bullseye", "python3.9"), ("sid", "perf")):
        top = os.path.join(looker.dir, suite)
        path = os.path.join(top, "usr/bin", program)
        shown = subprocess.check_output(["readelf", "-ldW", path], universal_newlines=True)
        loader = "/lib64/ld-linux-x86-64.so.2" if suite == "bullseye" else os.path.join(top, LOADER)
        got = re.search(r"interpreter: (.*)\]", shown).group(1)
        looker.equal("loader in %s" % suite, loader, got)
        folders = [top + "/usr/lib/x86_64-linux-gnu", top + "/lib/x86_64-linux-gnu"]
        got = re.search(r"\(RPATH\) .*\[(.*)\]", shown)
        looker.equal("libraries in %s" % suite, folders, got and got.group(1).split(":"))


@looks.case(CASES)
def interruption(looker):
    """A suite is complete or absent; the next run makes missing ones."""
    path = stand_in(looker)
    looker.write("fake/trixie", "")
    looker.write("fake/slow", "")
    process = subprocess.Popen(
        [PROGRAM, looker.dir],
        env=looker.environment({"PATH": path}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    awaited = [os.path.join(looker.fake, "waiting")]
    awaited += [os.path.join(looker.dir, suite, ".stamp") for suite in ("bullseye", "trixie")]
    while not all(map(os.path.exists, awaited)) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    looker.equal("an interrupted run fails", True, process.wait() != 0)
    looker.equal("what it leaves", ["bullseye", "trixie"], looker.there())
    os.remove(os.path.join(looker.fake, "slow"))
    os.mkdir(os.path.join(looker.dir, "sid"))  # left by a run that was killed
    looker.equal("the next run", looker.expected(NOT_RUNNING), looker.run(PATH=path))
    looker.equal("what the next run leaves", ["bullseye", "list", "sid", "trixie"], looker.there())


if __name__ == "__main__":
    skipped = looks.missing("apt-get", "mmdebstrap", "patchelf")
    sys.exit(looks.main("fetch-interpreters", CASES, skipped, Looker))
