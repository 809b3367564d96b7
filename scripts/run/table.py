#!/usr/bin/env python3
"""A profile's Python functions, hottest first: as a table, as JSON, as folded stacks."""

import argparse
import collections
import errno
import json
import os
import sys

sys.dont_write_bytecode = True

import python2  # first

import as_json
import callers
import columns
import difference
import firefox
import flames
import perf_chains
import perf_data
import pprof
import profiles
import source
import speedscope
import stacks
import totals
import view as looks
import writing

WIDTH = 100
STACK_UNIT = 8
STATUS_INTERRUPTED = 130
# Other formats: each takes all samples, and then gives its file's content.
FILES = (
    ("flamegraph", lambda arguments, view: flames.Graph(arguments, view)),
    ("pprof", lambda *_: pprof.Profile()),
    ("speedscope", lambda *_: speedscope.Profile()),
    ("firefox", lambda *_: firefox.Profile()),
)


def say(text):
    sys.stderr.write("pyperf-run: %s\n" % columns.printable(text))


def main():
    arguments = parse_arguments()
    try:
        return run(arguments)
    except stacks.Failed as why:
        text = str(why)
        for path, name in zip(arguments.data, arguments.name):
            text = text.replace(path, name)
        say(text)
        return 1
    except KeyboardInterrupt:
        return STATUS_INTERRUPTED
    except (IOError, OSError) as error:
        if error.errno == errno.EPIPE:
            # The reader has ended. Buffered output must not be written at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        say("%s: %s" % (error.filename or "the table cannot be written", error.strerror))
        return 1


def parse_arguments():
    parser = argparse.ArgumentParser(prog="table.py", description=__doc__)
    parser.add_argument("--data", action="append", metavar="PATH", help="the profile; several are merged")
    parser.add_argument("--name", action="append", default=[], metavar="PATH", help="what the user calls each profile")
    parser.add_argument("--diff", action="store_true", help="what differs between two profiles")
    parser.add_argument("--sort", choices=("own", "total"), default="own", help="the order of the table")
    parser.add_argument("--by", choices=(looks.THREAD, looks.PROCESS), help="a table for each")
    parser.add_argument("--callers", type=python2.argument, metavar="NAME", help="of a function, in place of the table")
    parser.add_argument("--python-only", action="store_true", help="no functions of C and the kernel")
    parser.add_argument("--only", type=python2.argument, action="append", default=[], metavar="PATH")
    parser.add_argument("--top", type=natural, default=20, metavar="N", help="rows; 0 for all")
    parser.add_argument("--json", metavar="FILE", help="also all functions as JSON; - for them alone")
    parser.add_argument("--collapsed", metavar="FILE", help="also folded stacks")
    parser.add_argument("--flamegraph", metavar="FILE", help="also a flame graph")
    parser.add_argument("--pprof", metavar="FILE", help="also a profile for pprof")
    parser.add_argument("--speedscope", metavar="FILE", help="also a profile for speedscope")
    parser.add_argument("--firefox", metavar="FILE", help="also a profile for Firefox's profiler")
    parser.add_argument("--perf-data", metavar="FILE", help="also a perf.data with call chains")
    parser.add_argument("--source", metavar="FILE", help="the lines of that file in place of the table")
    parser.add_argument("--template", metavar="FILE", help="of flame graphs")
    parser.add_argument("--command", type=python2.argument, metavar="TEXT", help="that was profiled")
    parser.add_argument("--lines", action="store_true", help="a row for each line, not function")
    parser.add_argument("--gil", action="store_true", help="only of threads that hold the GIL")
    parser.add_argument("--root", action="append", default=[], metavar="PATH", help="where a process's files are")
    parser.add_argument("--stack-size", type=stack_size, metavar="N", help="that were copied")
    parser.add_argument("--used", type=cpu_time, metavar="TIMES", help="of the program: 1m0.5s 0m0.2s")
    parser.add_argument("--lasted", type=span, metavar="TIMES", help="when it began and ended: 10.25 16.5")
    parser.add_argument("--width", type=natural, metavar="N", help="columns of the table")
    parser.add_argument("--colour", action="store_true")
    parser.add_argument("--progress", action="store_true", help="a bar on stderr while reading")
    parser.add_argument("--out", default="-", metavar="FILE", help="where the table goes")
    arguments = parser.parse_args()
    arguments.data = arguments.data or ["perf.data"]
    return arguments


def natural(text):
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def cpu_time(text):
    """Seconds in user code and in the kernel, of what the shell's "times" prints in a line."""
    pairs = [word.rstrip("s").replace(",", ".").split("m") for word in text.split()]
    return [60 * int(minutes) + float(seconds) for minutes, seconds in pairs]


def span(text):
    began, ended = [float(word) for word in text.split()]
    return ended - began


def stack_size(text):
    number = natural(text)
    if number % STACK_UNIT or not 0 < number <= stacks.LARGEST_COPY:
        raise argparse.ArgumentTypeError(
            "%s is not a multiple of 8 up to %d" % (text, stacks.LARGEST_COPY)
        )
    return number


def run(arguments):
    names = arguments.name + [None] * (len(arguments.data) - len(arguments.name))
    view = looks.View(arguments.python_only, arguments.only, arguments.by)
    opened = [profiles.Profile(path, name, view, arguments) for path, name in zip(arguments.data, names)]
    files = [(getattr(arguments, name), kind(arguments, view)) for name, kind in FILES if getattr(arguments, name)]
    seen = source.Source(arguments.source) if arguments.source else None
    seen = callers.Callers(arguments.callers) if arguments.callers else seen
    chains = new_chains(arguments) if arguments.perf_data and opened[0].recording.mode != stacks.INSIDE else None
    together = [made for _, made in files if not made.each] + [seen] * bool(seen)
    failure = None
    for number, one in enumerate(opened):
        for made in together:
            if isinstance(made, flames.Graph):
                made.start(number)
        failure = one.read(together, [made for _, made in files if made.each], chains) or failure
    parts = [one.found for one in opened]
    profiles.check_alike(opened)
    check_shown(parts, arguments)
    if arguments.diff:
        write_difference(difference.Difference(parts), files, arguments)
    else:
        found = parts[0] if len(parts) == 1 else totals.Merged(parts)
        write_all(found, files, seen, arguments)
        if arguments.perf_data:
            write_perf_data(arguments, chains or new_perf_data(arguments, opened[0].recording))
        if arguments.json != "-":
            writing.write(arguments.out, table(found, arguments, seen))
    if failure:
        raise failure
    return 0


def check_shown(parts, arguments):
    """A path without a sample is a mistake in the option."""
    if not arguments.only or any(event.sums.functions for part in parts for event in part.events):
        return
    raise stacks.Failed(
        "--only %s: no sample is in a function of such a file, or below one; most are in %s"
        % (" ".join(arguments.only), ", ".join(most_files(parts)) or "machine code")
    )


def most_files(parts):
    weights = collections.Counter()
    for part in parts:
        for event in part.events:
            weights.update(event.others)
    return [file for file, _ in weights.most_common(3)]


# what is written


def write_all(found, files, seen, arguments):
    if arguments.collapsed:
        writing.write(arguments.collapsed, folded_lines(found, arguments.collapsed))
    for path, made in files:
        writing.write_bytes(path, made.content(found))
    if arguments.json:
        related = seen if arguments.callers else None
        write_json(arguments.json, as_json.as_object(found, arguments.sort, related))


def write_json(path, shown):
    writing.write(path, [json.dumps(shown, indent=2, separators=(",", ": "))])


def write_difference(found, files, arguments):
    for path, made in files:
        writing.write_bytes(path, made.difference(found))
    if arguments.collapsed:
        writing.write(arguments.collapsed, found.folded_lines())
    if arguments.json:
        write_json(arguments.json, found.as_object(arguments.sort))
    if arguments.json != "-":
        writing.write(arguments.out, found.view(style_of(arguments)))


def table(found, arguments, seen):
    style = style_of(arguments)
    return seen.view(found, style) if seen else columns.report(found, style)


def style_of(arguments):
    width = arguments.width or terminal_width(arguments.out)
    return columns.Style(width, arguments.top, arguments.colour, arguments.sort)


def terminal_width(out):
    if out == "-" and sys.stdout.isatty():
        return python2.columns_of_terminal(WIDTH)
    return WIDTH


def folded_lines(found, path):
    """Samples of one event only, because those of different events do not add up."""
    chosen, others = found.events[0], found.events[1:]
    if others:
        left = ", ".join(event.unit for event in others)
        say("%s has the stacks of %s, and not those of %s" % (path, chosen.unit, left))
    return sorted("%s %d" % (stack, round(count)) for stack, count in chosen.folded.items())


def new_chains(arguments):
    """Of a profile of perf. It takes all samples."""
    check_perf_data(arguments)
    if os.path.realpath(arguments.perf_data) == os.path.realpath(arguments.data[0]):
        raise stacks.Failed("--perf-data %s: is the profile itself, name another file" % arguments.perf_data)
    return perf_chains.File(arguments.data[0], arguments.perf_data)


def new_perf_data(arguments, recording):
    """Of a profile of the sampler, which has taken all samples."""
    check_perf_data(arguments)
    command = ["pyperf-run", "--report", (arguments.name or arguments.data)[0], "--perf-data", arguments.perf_data]
    return perf_data.File(recording, arguments.perf_data, command)


def check_perf_data(arguments):
    if not writing.is_replaceable(arguments.perf_data):
        why = "--perf-data %s: is no regular file, name one: a second one, of Python functions, lies beside it"
        raise stacks.Failed(why % arguments.perf_data)


def write_perf_data(arguments, made):
    """With its file of Python functions, which is complete before."""
    image = made.image()
    if image:
        writing.replace(image.path, lambda out: out.write(image.content))
    writing.replace(os.path.realpath(arguments.perf_data), made.write)


if __name__ == "__main__":
    sys.exit(main())
