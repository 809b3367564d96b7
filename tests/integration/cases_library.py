"""Properties of libpyperf.so, and its effects in processes that are not Python."""

import os
import re
import subprocess

import harness
from harness import case

CASES = []
EXPORTS = os.path.join(os.path.dirname(os.path.dirname(harness.HERE)), "preload", "exports.map")


def output(*command):
    environment = dict(os.environ, LC_ALL="C")
    return subprocess.run(
        command, stdout=subprocess.PIPE, universal_newlines=True, check=True, env=environment
    ).stdout


@case(CASES, harness.LIBRARY)
def needed_libraries(bench):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", bench.library))
    bench.equal("NEEDED", ["libc.so.6"], needed)


@case(CASES, harness.LIBRARY)
def exported_symbols(bench):
    with open(EXPORTS) as file:
        text = re.sub(r"/\*.*?\*/|#[^\n]*", "", file.read(), flags=re.S)
    listed = " ".join(re.findall(r"global:([^}]*?)(?:local:|\})", text, re.S))
    allowed = set(re.findall(r"[A-Za-z_]\w*", listed))
    shown = output("nm", "-D", "--defined-only", bench.library).splitlines()
    found = {line.split()[-1].split("@")[0] for line in shown}
    bench.equal("exported beyond preload/exports.map", [], sorted(found - allowed))


@case(CASES, harness.LIBRARY)
def version(bench):
    """The version of pyperf-run, and the build: one string in both libraries."""
    top = os.path.dirname(os.path.dirname(harness.HERE))
    run = output(os.path.join(top, "scripts", "pyperf-run"), "--version").split()[-1]
    found = []
    for name in ("libpyperf.so", "libpyperf-plan.so"):
        with open(os.path.join(bench.build, name), "rb") as file:
            found += re.findall(rb"\0libpyperf (\d[!-~]*)\0", file.read())
    pattern = re.escape(run) + "-[0-9a-f]{12}$"
    good = len(found) == 2 and found[0] == found[1] and re.match(pattern, found[0].decode())
    bench.that("strings of both", "twice %s" % pattern, good, repr(found))


@case(CASES, harness.LIBRARY)
def segments(bench):
    shown = output("readelf", "-lW", bench.library)
    rights = re.findall(r"^\s+(LOAD|GNU_STACK)\s(?:\s*0x\w+){5}\s+([RWE ]{3})", shown, re.M)
    bench.that("segments", "3 or more", len(rights) >= 3, str(len(rights)))
    wrong = [one for one in rights if "W" in one[1] and "E" in one[1]]
    bench.equal("segments both writable and executable", [], wrong)


@case(CASES, harness.LIBRARY)
def variables_of_threads(bench):
    """musl loads no library into a running process that wants them at a fixed place (arch_thread.h)."""
    found = re.findall(r"R_X86_64_(\w*(?:TLS|TPOFF|DTP)\w*)", output("readelf", "-rW", bench.library))
    bench.equal("relocations", ["TLSDESC"], found)
    shown = output("readelf", "-dW", bench.library)
    bench.equal("wants a fixed place", False, "STATIC_TLS" in shown)


@case(CASES, harness.LIBRARY)
def other_programs(bench):
    """Programs that are not Python print the same, in the same environment."""
    bench.write("file", "text\n")
    for command in (
        ["/bin/true"],
        ["/bin/false"],
        ["/bin/sh", "-c", "echo out; echo err >&2; ls; exit 3"],
        ["/bin/bash", "-c", "printf 'out %s\\n' ${#LC_ALL}; type printf"],
        ["/bin/ls", "-l", bench.folder + "/file", "/nonexistent"],
        ["/bin/sh", "-c", "kill -9 $$"],
        ["/bin/sh", "-c", "ls -l /proc/self/fd | wc -l; env | grep -v -e LD_PRELOAD -e ^_= | sort"],
    ):
        environment = bench.environment()
        plain = dict(environment)
        del plain["LD_PRELOAD"]
        without, done = bench.run(command, plain), bench.run(command, environment)
        bench.equal(" ".join(command)[:60], without.seen, done.seen)
        bench.equal("left by it", [], bench.left(done.pid))


@case(CASES, harness.LIBRARY)
def nothing_loaded(bench):
    done = bench.run(["/bin/cat", "/proc/self/maps"])
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    lines = done.out.splitlines()
    mapped = {os.path.basename(line.split(None, 5)[5]) for line in lines if "/" in line}
    bench.equal("libpyperf.so is in cat", True, "libpyperf.so" in mapped)
    ours = re.compile(r"libpyperf-|pyperf-|libelf|libcapstone|liblzma|libz")
    bench.equal("loaded into cat for us", [], sorted(one for one in mapped if ours.match(one)))
    bench.equal("left by cat", [], bench.left(done.pid))
    wrong = [line for line in lines if re.match(r"\S+ .wx", line)]
    bench.equal("pages of cat both writable and executable", [], wrong)


@case(CASES, harness.LIBRARY)
def searched_for(bench):
    """As the dynamic loader reports it."""
    environment = bench.environment(LD_DEBUG="libs")
    done = bench.run(["/bin/true"], environment)
    bench.equal("status", 0, done.status)
    calls = re.findall(r"calling init: (\S+)", done.err)
    bench.equal("libpyperf.so is initialised", True, bench.library in calls)
    searched = set(re.findall(r"find library=(\S+)", done.err))
    bench.equal("libraries searched for", ["libc.so.6"], sorted(searched))
