#!/usr/bin/env python3
"""A profile's Python functions, hottest first: as a table, as JSON, as folded stacks."""

import argparse
import errno
import json
import os
import stat
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import python2  # first

import advice
import columns
import firefox
import flames
import model
import perf_chains
import perf_data
import pprof
import roots
import sample_file
import samples
import source
import speedscope
import stacks
import totals

WIDTH = 100
STACK_UNIT = 8
STATUS_INTERRUPTED = 130
# Other formats: each takes all samples, and then gives its file's content.
FILES = (
    ("flamegraph", lambda arguments: flames.Graph(arguments.template)),
    ("pprof", lambda _: pprof.Profile()),
    ("speedscope", lambda _: speedscope.Profile()),
    ("firefox", lambda _: firefox.Profile()),
)
monotonic = getattr(time, "monotonic", time.time)  # not in 2.7
# When a bar is worth showing: bytes of the profile, or seconds that reading has taken.
LARGE = 8 << 20
LONG = 1.0
BAR_EVERY = 0.1
BAR_WIDTH = 30


def say(text):
    sys.stderr.write("pyperf-run: %s\n" % columns.printable(text))


def main():
    arguments = parse_arguments()
    try:
        return run(arguments)
    except stacks.Failed as why:
        say(str(why).replace(arguments.data, arguments.name or arguments.data))
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
    parser.add_argument("--data", default="perf.data", metavar="PATH", help="the profile")
    parser.add_argument("--name", metavar="PATH", help="what the user calls the profile")
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
    return parser.parse_args()


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
    stacks.check_readable(arguments.data)
    recording, records = open_profile(arguments)
    used, lasted = arguments.used or recording.used, arguments.lasted or recording.lasted
    found = totals.Totals(recording, used, lasted, bool(arguments.collapsed))
    bar = Bar(recording, os.path.getsize(arguments.data)) if arguments.progress else None
    files = [(getattr(arguments, name), kind(arguments)) for name, kind in FILES if getattr(arguments, name)]
    view = source.Source(arguments.source) if arguments.source else None
    # Of the sampler, what wants each sample by itself has its own way through them.
    single = [made for _, made in files if made.each and recording.mode == stacks.INSIDE]
    chains = new_chains(arguments) if arguments.perf_data and recording.mode != stacks.INSIDE else None
    several = [made for _, made in files if made not in single] + [made for made in (view, chains) if made]
    failure = add_records(found, records, bar, several)
    if not found.events:
        raise failure or stacks.Failed(
            "%s has no samples: the program used too little CPU time, or the event did not"
            " occur; record for longer, or more often (-F)" % arguments.data
        )
    for sample in recording.moments() if single else ():
        for made in single:
            made.add(sample)
    if arguments.collapsed:
        write(arguments.collapsed, folded_lines(found, arguments.collapsed))
    for path, made in files:
        write_bytes(path, made.content(found))
    if arguments.perf_data:
        write_perf_data(arguments, chains or new_perf_data(arguments, recording))
    if arguments.json:
        shown = as_object(found, arguments.name or arguments.data)
        write(arguments.json, [json.dumps(shown, indent=2, separators=(",", ": "))])
    if arguments.json != "-":
        write(arguments.out, table(found, arguments, view))
    if failure:
        raise failure
    return 0


def open_profile(arguments):
    """How it was recorded, and its samples: of perf, or of the sampler."""
    path = arguments.data
    if sample_file.recognises(path):
        recording = samples.Recording(path, arguments.lines, arguments.gil, roots.Roots(arguments.root))
        return recording, recording.records()
    if arguments.lines or arguments.source or arguments.gil:
        what = "who holds the GIL" if arguments.gil else "lines of Python functions"
        raise stacks.Failed(
            "%s was recorded by perf, which does not know %s: record with pyperf-run --sampler=inside" % (path, what)
        )
    recording = stacks.recording(path)
    if arguments.stack_size:
        recording.mode, recording.stack_size = "dwarf", arguments.stack_size
    return recording, stacks.records(path)


def add_records(found, records, bar, files):
    """Returns why perf did not read to the end: samples before that are still shown."""
    try:
        for record in records:
            found.add(record)
            for made in files if isinstance(record, model.Sample) else ():
                made.add(record)
            if bar:
                bar.at(record.time)
    except stacks.Failed as why:
        return why
    finally:
        if bar:
            bar.clear()
    return None


class Bar:
    """How far into the recording the samples are."""

    def __init__(self, recording, size):
        self.first, self.last = recording.first, recording.last
        now = monotonic()
        self.next = now if size > LARGE else now + LONG
        self.shown = False
        if self.first is None or self.last is None or self.last <= self.first:
            self.next = float("inf")

    def at(self, sample_time):
        now = monotonic()
        if now < self.next:
            return
        self.next = now + BAR_EVERY
        share = (sample_time - self.first) / (self.last - self.first)
        share = min(max(share, 0.0), 1.0)
        done = int(share * BAR_WIDTH)
        marks = "#" * done + "." * (BAR_WIDTH - done)
        sys.stderr.write("\rreading the profile [%s] %3d %%" % (marks, 100 * share))
        sys.stderr.flush()
        self.shown = True

    def clear(self):
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


# what is written


def table(found, arguments, view):
    width = arguments.width or terminal_width(arguments.out)
    style = columns.Style(width, arguments.top, arguments.colour)
    return view.view(found, style) if view else columns.report(found, style)


def terminal_width(out):
    if out == "-" and sys.stdout.isatty():
        return python2.columns_of_terminal(WIDTH)
    return WIDTH


def as_object(found, path):
    return {
        "profile": path,
        "elapsed_seconds": found.times.elapsed,
        "cpu_seconds": found.cpu_seconds(),
        "events": [event_object(found, event) for event in found.events],
        "advice": advice.advice(found),
    }


def event_object(found, event):
    return {
        "event": event.name,
        "unit": "count" if event.seconds(0) is None else "ns",
        "samples": event.samples,
        "seconds": event.seconds(event.weight),
        "processes": len(event.pids),
        "complete": found.whole(event),
        "functions": [function_object(event, one) for one in event.by_own_time()],
        "without_python": {
            "own": event.without.own,
            "own_share": event.share(event.without.own),
            "samples": event.without.samples,
        },
    }


def function_object(event, one):
    shown = {
        "name": one.name,
        "file": one.file,
        "own": one.own,
        "total": one.total,
        "own_share": event.share(one.own),
        "total_share": event.share(one.total),
        "samples": one.samples,
    }
    if event.is_wall:
        names = ("own_on_cpu", "own_ready", "own_waiting_for_gil", "own_waiting")
        shown.update(zip(names, one.own_in))
    if one.line is not None:
        shown["line"] = one.line
    return shown


def folded_lines(found, path):
    """Samples of one event only, because those of different events do not add up."""
    chosen, others = found.events[0], found.events[1:]
    if others:
        left = ", ".join(event.unit for event in others)
        say("%s has the stacks of %s, and not those of %s" % (path, chosen.unit, left))
    return sorted("%s %d" % stack for stack in chosen.folded.items())


def new_chains(arguments):
    """Of a profile of perf. It takes all samples."""
    check_perf_data(arguments)
    if os.path.realpath(arguments.perf_data) == os.path.realpath(arguments.data):
        raise stacks.Failed("--perf-data %s: is the profile itself, name another file" % arguments.perf_data)
    return perf_chains.File(arguments.data, arguments.perf_data)


def new_perf_data(arguments, recording):
    """Of a profile of the sampler, which has taken all samples."""
    check_perf_data(arguments)
    command = ["pyperf-run", "--report", arguments.name or arguments.data, "--perf-data", arguments.perf_data]
    return perf_data.File(recording, arguments.perf_data, command)


def check_perf_data(arguments):
    if not is_replaceable(arguments.perf_data):
        why = "--perf-data %s: is no regular file, name one: a second one, of Python functions, lies beside it"
        raise stacks.Failed(why % arguments.perf_data)


def write_perf_data(arguments, made):
    """With its file of Python functions, which is complete before."""
    image = made.image()
    if image:
        replace(image.path, lambda out: out.write(image.content))
    replace(os.path.realpath(arguments.perf_data), made.write)


def write(path, lines):
    write_bytes(path, python2.bytes_of("".join(line + "\n" for line in lines)))


def write_bytes(path, text):
    if path == "-":
        out = getattr(sys.stdout, "buffer", sys.stdout)
        out.write(text)
        out.flush()
    elif is_replaceable(path):
        replace(os.path.realpath(path), lambda out: out.write(text))
    else:
        with open(path, "ab", 0) as out:
            out.write(text)


def is_replaceable(path):
    """Whether it is a regular file: not /dev/stderr, whatever it leads to, nor a FIFO."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    return not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)


def replace(path, fill):
    """Writes all of the file or nothing: it is renamed when it is complete. fill writes into it."""
    handle, temporary = tempfile.mkstemp(prefix=".pyperf-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as out:
            fill(out)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    sys.exit(main())
