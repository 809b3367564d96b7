#!/usr/bin/env python3
"""fetch-interpreters without a network: the real apt asks a mirror on this machine that has hardly
anything, and stand-ins for apt-get, apt-cache and dpkg-deb have everything.

Each case is one line: verdict, case, expected, got.
"""

import functools
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness

PROGRAM = os.path.join(ROOT, "scripts", "fetch-interpreters")
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# In the order of what is printed: the kind, the name where it is skipped, and the program.
ROWS = [
    ("interpreter", "python2.7", "bullseye/usr/bin/python2.7"),
    ("interpreter", "python2.7-dbg", "bullseye/usr/bin/python2.7-dbg"),
    ("interpreter", "python3.9", "bullseye/usr/bin/python3.9"),
    ("interpreter", "python3.9-dbg", "bullseye/usr/bin/python3.9-dbg"),
    ("perf", "perf-5.10", "bullseye/usr/bin/perf_5.10"),
    ("interpreter", "python3.13", "trixie/usr/bin/python3.13"),
    ("interpreter", "python3.14", "sid/usr/bin/python3.14"),
    ("interpreter", "python3.15", "sid/usr/bin/python3.15"),
    ("perf", "perf-sid", "sid/usr/bin/perf"),
]

# Of a machine that has others beside Debian's mirror. They are never asked.
LIST = """
deb cdrom:[Debian GNU/Linux]/ {own} main
deb http://127.0.0.1:1/other nodistro main
deb [arch=amd64] http://127.0.0.1:{port}/some/debian {own} main contrib
deb http://127.0.0.1:{port}/some/debian {own}-updates main
"""
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

# $FAKE has the log; $FAKE/trixie is there when the mirror has trixie, $FAKE/slow when downloads of
# sid take long. python3.15 is in no suite.
APT_GET = r"""#!/bin/sh
echo "apt-get $*" >>"$FAKE/log"
[ "$1" != indextargets ] || { echo 'Debian|Debian|main|x|http://mirror/debian/'; exit; }
state=$(dirname "$2")
suite=${state##*/}
case $* in
*update)
    [ $suite != trixie ] || [ -e "$FAKE/trixie" ] || {
        echo 'E: There is no trixie.' >&2
        exit 100
    } ;;
*install*)
    [ ! -e "$FAKE/slow" ] || [ $suite != sid ] || { : >"$FAKE/waiting"; sleep 60; }
    for name in libc6 ${*##* install }; do
        echo $name $suite >"$state/archives/$name.deb"
    done ;;
esac
"""
APT_CACHE = r"""#!/bin/sh
case $* in *python3.15*) exit 100 ;; esac
"""
# Programs of this machine that succeed and fail. bullseye's libc6 is not unpacked there.
DPKG_DEB = r"""#!/bin/sh
read -r name suite <"$2"
cd "$3"
mkdir -p usr/bin usr/share/doc/$name usr/lib/x86_64-linux-gnu
case $name in
*-testsuite) ;;
python3.14) cp /bin/false usr/bin/$name ;;
python*) cp /bin/true usr/bin/$name ;;
linux-perf-5.10) cp /bin/true usr/bin/perf_5.10 ;;
linux-perf) cp /bin/true usr/bin/perf ;;
libc6) [ $suite = bullseye ] || cp /lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu ;;
esac
"""


def own_release():
    with open("/etc/os-release") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.strip().partition("=")[2]
    return "stable"


class Mirror(http.server.BaseHTTPRequestHandler):
    """Has sid, unsigned."""

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


class Looker:
    def __init__(self, folder, tally):
        self.folder, self.tally = folder, tally
        self.dir = os.path.join(folder, "got")
        self.fake = os.path.join(folder, "fake")

    def equal(self, case, expected, got):
        shown = [repr(one).replace(self.dir, "DIR") for one in (expected, got)]
        self.tally.report(case, shown[0], expected == got, shown[1])

    def environment(self, more):
        environment = dict(os.environ, FAKE=self.fake, **more)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            environment.pop(name, None)
        return environment

    def run(self, **more):
        """Its status, and the lines that it has printed, which are also in the list."""
        done = subprocess.run(
            [PROGRAM, self.dir],
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=120,
        )
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
        return sorted(name for name in os.listdir(self.dir) if not name.startswith("."))

    def asked(self):
        """What the stand-ins were asked since the last time."""
        path = os.path.join(self.fake, "log")
        with open(path) as file:
            lines = file.read().splitlines()
        open(path, "w").close()
        return lines

    def expected(self, skipped):
        """What is printed; `skipped` has the suite or the name with the reason."""
        lines = []
        for kind, name, program in ROWS:
            suite = program.partition("/")[0]
            why = skipped.get(name, skipped.get(suite))
            line = "%s %s" % (kind, os.path.join(self.dir, program))
            lines.append(line if why is None else "skipped %s: %s" % (name, why))
        return 0, lines


def look_at_mirror(looker, kind, text):
    """The address is that of the machine's own apt, whichever way it is written down."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.asked = set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        text = text.format(port=server.server_port, own=own_release())
        status, lines = looker.run(APT_CONFIG=configuration(looker, kind, text))
    finally:
        server.shutdown()
        server.server_close()
    missing = "The repository 'ADDRESS %s Release' does not have a Release file."
    expected = {suite: missing % suite for suite in ("bullseye", "trixie")}
    expected["sid"] = "The repository 'ADDRESS sid Release' is not signed."
    address = "http://127.0.0.1:%d/some/debian" % server.server_port
    lines = [line.replace(address, "ADDRESS") for line in lines]
    looker.equal("what is printed, .%s" % kind, looker.expected(expected), (status, lines))
    asked = sorted({"/".join(path.split("/")[:5]) for path in server.asked})
    expected = ["/some/debian/dists/" + suite for suite in ("bullseye", "sid", "trixie")]
    looker.equal("what the mirror is asked, .%s" % kind, expected, asked)
    looker.equal("what is left, .%s" % kind, ["list"], looker.there())


def configuration(looker, kind, text):
    """The path of an apt.conf beside which there is no other, with these sources and no lists."""
    folder = os.path.join(looker.folder, "etc-" + kind)
    looker.write("etc-%s/sources.d/debian.%s" % (kind, kind), text)
    os.makedirs(os.path.join(folder, "lists", "partial"))
    text = 'Dir::Etc::Parts "/dev/null";\nDir::Etc::Main "/dev/null";\n'
    text += 'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "%s/sources.d";\n' % folder
    text += 'Dir::State::Lists "%s/lists";\n' % folder
    return looker.write("etc-%s/apt.conf" % kind, text)


def look_at_no_mirror(looker):
    text = DISABLED.format(port=1, own=own_release())
    why = "apt is configured for no mirror of Debian"
    expected = looker.expected(dict.fromkeys(("bullseye", "trixie", "sid"), why))
    path = configuration(looker, "sources", text)
    looker.equal("no mirror", expected, looker.run(APT_CONFIG=path))


def stand_ins(looker):
    """The PATH that has them before the real ones."""
    texts = {"apt-get": APT_GET, "apt-cache": APT_CACHE, "dpkg-deb": DPKG_DEB}
    for name, text in texts.items():
        looker.write("fake/bin/" + name, text, 0o755)
    return os.path.join(looker.fake, "bin") + ":" + os.environ.get("PATH", os.defpath)


def look_at_making(looker):
    path = stand_ins(looker)
    skipped = {"python3.14": "it does not run", "python3.15": "there is no python3.15 in sid"}
    missing = looker.expected(dict(skipped, trixie="There is no trixie."))
    looker.equal("what is printed", missing, looker.run(PATH=path))
    looker.equal("what is left", ["bullseye", "list", "sid"], looker.there())
    installed = [line.partition(" install ")[2] for line in looker.asked() if " install " in line]
    looker.equal("packages", PACKAGES, installed)
    look_at_programs(looker)
    looker.equal("what is there is kept", missing, looker.run(PATH=path))
    again = {line.split("/apt.conf")[0].split("/")[-1] for line in looker.asked() if " -c " in line}
    looker.equal("only the missing suite is asked for again", {"trixie"}, again)
    looker.write("fake/trixie", "")
    expected = looker.expected(skipped)
    looker.equal("it has appeared", expected, looker.run(PATH=path))
    looker.asked()
    looker.equal("nothing more to do", expected, looker.run(PATH=path))
    looker.equal("nothing is asked for then", [], looker.asked())


PACKAGES = [
    "python2.7 libpython2.7-testsuite",
    "python2.7-dbg",
    "python3.9 libpython3.9-testsuite",
    "python3.9-dbg",
    "linux-perf-5.10",
    "python3.14 libpython3.14-testsuite libelf1t64",
    "linux-perf",
]


def look_at_programs(looker):
    """bullseye's have this machine's loader, sid's their own."""
    environment = looker.environment({"LD_DEBUG": "libs"})
    for suite, program in (("bullseye", "python3.9"), ("sid", "perf")):
        top = os.path.join(looker.dir, suite)
        path = os.path.join(top, "usr/bin", program)
        shown = subprocess.check_output(["readelf", "-lW", path], universal_newlines=True)
        loader = "/lib64/ld-linux-x86-64.so.2" if suite == "bullseye" else os.path.join(top, LOADER)
        got = re.search(r"interpreter: (.*)\]", shown).group(1)
        looker.equal("loader in %s" % suite, loader, got)
        said = subprocess.run([path], env=environment, stderr=subprocess.PIPE).stderr.decode()
        looked = re.search(r"search path=(\S+).*\(RPATH from file %s\)" % re.escape(path), said)
        got = looked and looked.group(1).split(":")[-1]
        looker.equal("libraries in %s" % suite, os.path.join(top, "usr/lib/x86_64-linux-gnu"), got)


def look_at_interruption(looker):
    """A suite is whole or absent; the run that follows makes what was not."""
    path = stand_ins(looker)
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
    while not os.path.exists(os.path.join(looker.fake, "waiting")) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    looker.equal("an interrupted run fails", True, process.wait() != 0)
    looker.equal("what it leaves", ["bullseye", "trixie"], looker.there())
    os.remove(os.path.join(looker.fake, "slow"))
    os.mkdir(os.path.join(looker.dir, "sid"))  # of a run that was killed before it had tried all
    os.mkdir(os.path.join(looker.dir, "sid.new"))
    skipped = {"python3.14": "it does not run", "python3.15": "there is no python3.15 in sid"}
    looker.equal("the next run", looker.expected(skipped), looker.run(PATH=path))
    looker.equal("what the next run leaves", ["bullseye", "list", "sid", "trixie"], looker.there())


def main():
    tally = harness.Tally("fetch-interpreters")
    cases = [
        functools.partial(look_at_mirror, kind="list", text=LIST),
        functools.partial(look_at_mirror, kind="sources", text=SOURCES),
        look_at_no_mirror,
        look_at_making,
        look_at_interruption,
    ]
    if not shutil.which("apt-get"):
        tally.skip("fetch-interpreters: no apt-get here")
        cases = []
    for case in cases:
        folder = tempfile.mkdtemp(prefix="pyperf-test-")
        try:
            case(Looker(folder, tally))
        finally:
            shutil.rmtree(folder)
    print(tally.closing())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
