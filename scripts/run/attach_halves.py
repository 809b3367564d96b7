#!/usr/bin/env python3
"""Looks at processes that run already; attaches libpyperf to them and leaves it there; or takes it away again.

    attach_halves.py look PID...      a line for each that is there: its number and what can be done with it (way_of)
    attach_halves.py attach PID...    what perf's own user then does, a line each
    attach_halves.py detach PID...    what was there; the sampler's files go to INTO
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

import python2  # noqa: F401  # first

import attach_tool
import attachment
import target
import target_folder
from attach_tool import say

FREE, TRAMPOLINES, SAMPLED, REFUSED = "free", "trampolines", "sampled", "refused"
MANY = 8  # children are named


def main():
    parser = argparse.ArgumentParser(prog="attach_halves.py", description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("look", "attach", "detach"))
    parser.add_argument("--tool", required=True, help="pyperf-attach; a line for each word")
    parser.add_argument("--library", help="libpyperf.so")
    parser.add_argument("--action", choices=("sample", "map", "jitdump"), default="map")
    parser.add_argument("--sampler", help="as the value of PYPERF_SAMPLER")
    parser.add_argument("--into", help="a folder for the sampler's files")
    parser.add_argument("--children", action="store_true", help="descendants that run Python, too")
    parser.add_argument("--patience", metavar="SECONDS", help="in which a thread must run Python")
    parser.add_argument("--quiet", action="store_true", help="without hints")
    parser.add_argument("pids", nargs="+", type=int)
    arguments = parser.parse_args()
    return {"look": look, "attach": attach, "detach": detach}[arguments.what](arguments)


def tool_of(arguments):
    return attach_tool.Tool(arguments.tool.split("\n"), arguments.patience)


# look


def look(arguments):
    found = find(arguments)
    for pid, way in found:
        sys.stdout.write("%d %s\n" % (pid, way))
    return 0 if found else 1


def find(arguments):
    """(pid, way) of each process that is there. A line was printed for those that are refused."""
    tool, found = tool_of(arguments), []
    pids = [pid for pid in sorted(set(arguments.pids), key=arguments.pids.index) if is_there(pid)]
    answers = tool.look(pids)
    children = python_children(tool, pids)
    if arguments.children:
        pids, answers = pids + [one for one, _ in children], answers + [answer for _, answer in children]
    elif children:
        tell_children(pids, [one for one, _ in children])
    for pid, answer in zip(pids, answers):
        way = way_of(answer)
        if way == REFUSED:
            say(answer.line)
        elif way == SAMPLED:
            tell_sampled(pid)
        found.append((pid, way))
    return found


def is_there(pid):
    try:
        one = target.Target(pid)
    except target.Gone:
        say("-p %d: there is no such process" % pid)
        return False
    if one.is_permitted():
        return True
    # perf's own advice, to lower perf_event_paranoid, does not help.
    say(
        "process %d belongs to %s, and only your own processes can be recorded: run it as that user or as root (sudo"
        " pyperf-run ...)" % (pid, one.user())
    )
    return False


def python_children(tool, pids):
    below = [one.pid for one in target.children_of(pids)]
    pairs = zip(below, tool.look(below))
    return [(pid, answer) for pid, answer in pairs if answer.figures.get("python") or answer.line is None]


def tell_children(pids, children):
    named = ",".join(str(one) for one in pids)
    all_of_them = ",".join(str(one) for one in pids + children)
    if len(children) > MANY:
        count = len(children)
        say("-p %s leaves out %d processes below it that run Python: --children takes them, too" % (named, count))
    else:
        say("-p %s leaves out its children: -p %s, or --children, takes them, too" % (named, all_of_them))


def way_of(answer):
    """How a process can be recorded."""
    if answer.figures.get("sampling"):
        return SAMPLED
    if answer.figures.get("mode", "off") != "off":
        return TRAMPOLINES
    return REFUSED if answer.line is not None else FREE


def folder_of_samples(pid):
    """Where a process that is sampled has its files; None if it has none yet."""
    try:
        one = target.Target(pid)
    except target.Gone:
        return None
    for path in sorted(one.mapped()):
        if path.endswith(".samples"):
            return os.path.dirname(path if one.sees_our_files() else one.root + path)
    return None


def tell_sampled(pid):
    folder = folder_of_samples(pid)
    shown = ": pyperf-run --report %s shows it" % folder if folder else ""
    say("process %d is sampled already%s; pyperf-run --detach %d ends that" % (pid, shown, pid))


# attach


def attach(arguments):
    tool, free = tool_of(arguments), []
    for pid, way in find(arguments):
        if way == FREE:
            free.append(pid)
        elif way == TRAMPOLINES:
            say("trampolines are on already in process %d: %s" % (pid, next_step(pid)))
    prepared = list(attachment.prepare_all(free, arguments.library, arguments.action, None))
    done = []
    for one, answer in zip(prepared, tool.run([one.command(arguments.action, arguments.sampler) for one in prepared])):
        if not attachment.settle(tool, one, answer):
            say(answer.line)
            continue
        done.append(one)
        if answer.way() and not arguments.quiet:
            say("attached to process %d%s" % (one.pid, answer.way()))
        if arguments.action == attachment.SAMPLE:
            say(
                "process %d is sampled into %s: pyperf-run --report %s shows it at any time; pyperf-run --detach %d ends"
                " it and keeps the profile" % (one.pid, one.folder.path, one.folder.seen_here, one.pid)
            )
        else:
            say("process %d has trampolines now: %s" % (one.pid, next_step(one.pid)))
        one.folder.close()
    return 0 if done else 1


def next_step(pid):
    """Its images are removed with --detach: perf's cache must have them."""
    record = "perf record -F 199 --call-graph dwarf,16384 --buildid-all -p %d -- sleep 30" % pid
    return "%s, and then pyperf-run --detach %d" % (record, pid)


# detach


def detach(arguments):
    tool, status = tool_of(arguments), 0
    for pid in arguments.pids:
        try:
            one = target.Target(pid)
        except target.Gone:
            one = target_folder.Dead(pid)
        if not detach_one(tool, one, arguments.into):
            status = 1
    return status


def detach_one(tool, one, into):
    attachments = [attachment.found(one, folder, mark) for folder, mark in target_folder.found(one)]
    parts, failed = [], set()
    answer = tool.look([one.pid])[0] if one.lives() else None
    on = answer is not None and attachment.is_on(answer.figures)
    if on:
        parts.append("the sampler was on" if answer.figures.get("sampling") else "trampolines were on")
    if on and not attachments:
        failed = attachment.off(tool, [one])
    elif attachments:
        failed = attachment.switch_off(tool, attachments)
    samples = sum(len(each.folder.files()) for each in attachments)
    if samples:
        parts.append("%d file%s of samples" % (samples, "" if samples == 1 else "s"))
    if attachments:
        parts.append("in " + ", ".join(each.folder.seen_here for each in attachments))
    attachment.gather(attachments, into)
    attachment.take_away(attachments)
    if failed:
        return False
    told = "%s; all is off and removed" % ", ".join(parts) if parts else nothing(one, answer)
    say("process %d: %s" % (one.pid, told))
    return True


def nothing(one, answer):
    if answer is None:
        return "it has ended, and has left nothing"
    there = answer.figures.get("libpyperf", "none") != "none"
    return "nothing is on" if there else "libpyperf is not there: nothing is to be done"


if __name__ == "__main__":
    sys.exit(main())
