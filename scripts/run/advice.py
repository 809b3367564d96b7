"""What is wrong with a profile, and what to do, in sentences below the table."""

from __future__ import division

import collections
import os

import mapped
import model
import stacks

WHOLE_ENOUGH = 0.99
COPIES = (16384, 32768, stacks.LARGEST_COPY)
# A frame takes some 100 to 200 bytes. Stacks that have far fewer frames than fit into the largest
# copy did not end for want of bytes.
BYTES_A_FRAME = 1000
DEFAULT_MAX_STACK = 127


def advice(found):
    """What is wrong with the table, and what to do; or None. Of several profiles with their names."""
    if len(found.parts) == 1:
        return advice_on(found.parts[0])
    told = [(part.name, advice_on(part)) for part in found.parts]
    return " ".join("%s: %s" % one for one in told if one[1]) or None


def advice_on(found):
    if found.recording.mode == stacks.INSIDE:
        parts = [advice_inside(found), advice_on_others(found)] + found.recording.notes
    else:
        parts = [advice_on_table(found), advice_on_time(found)]
    return " ".join(filter(None, parts)) or None


def advice_inside(found):
    """Of a profile of the sampler."""
    if not any(event.has_functions for event in found.events):
        return "No sample is within a Python function: is the program one in Python?"
    event = found.events[0]
    whole, cut = found.whole(event), found.recording.machine_code_cut / event.samples
    if whole is not None and whole < WHOLE_ENOUGH:
        end = Broken(found.interpreters(event)).end_name
        return "%.1f %% of stacks lack Python functions, most of them in %s." % (100 * (1 - whole), end or "code without a file")
    if cut <= 1 - WHOLE_ENOUGH:
        return None
    return (
        "In %.1f %% of stacks functions of C are missing, in code without usable unwind data (such as musl's libc);"
        " those of Python are all there." % (100 * cut)
    )


def without_samples(found):
    """Seconds of CPU time that the program has used beyond what its samples come to, and a sentence's begin; (0, None)
    if they are few."""
    timed = [one for one in found.events if one.seconds(0) is not None]
    if not found.used or not timed:
        return 0, None
    event = timed[0]
    used = found.used[0] if event.user_alone else sum(found.used)
    sampled, period = event.seconds(event.weight), event.seconds(event.weight) / event.samples
    if used - sampled < max(0.1 * used, 0.1, 5 * period):
        return 0, None
    shares = (sampled, used, 100 * sampled / used)
    return used - sampled, "The samples are of %.1f s of %.1f s of CPU time (%.0f %%): " % shares


def advice_on_others(found):
    """Of a profile of the sampler, which is in interpreters alone."""
    _, what = without_samples(found)
    return what and what + "programs without Python in them, and the start of an interpreter, are not sampled."


def advice_on_time(found):
    """When the program has used more CPU time than the samples come to."""
    missing, what = without_samples(found)
    if not what:
        return None
    event = next(one for one in found.events if one.seconds(0) is not None)
    period = event.seconds(event.weight) / event.samples
    copies = bool(found.recording.stack_size)
    if found.tasks.started * period < missing / 2:
        return what + "perf has lost the others, record less often (-F)%s." % (
            " or copy less (--stack-size)" * copies
        )
    return what + (
        "%s of %s threads and processes ended before their first sample, %.1f ms after their start at"
        " the soonest; record more often: %s."
        % (
            "{:,}".format(found.tasks.unseen),
            "{:,}".format(found.tasks.started),
            1000 * period,
            "-F 1999" + " --stack-size 16384" * copies,
        )
    )


def advice_on_table(found):
    if found.recording.mode == stacks.NO_STACKS:
        return (
            "The profile was recorded without stacks, which hold the Python functions: record"
            " again with pyperf-run, or with perf record --call-graph dwarf,65528."
        )
    if found.nameless:
        return advice_on_names(found.nameless)
    named = any(event.has_functions for event in found.events)
    if not named and found.python:
        state = mapped.state(found.recording.path, {pid for pid, _ in found.python})
        if state != mapped.ON:
            return advice_on_library(state)
    for event in found.events:
        whole = found.whole(event)
        if whole is not None and whole < WHOLE_ENOUGH:
            broken = Broken(found.interpreters(event))
            return advice_on_stacks(found.recording, broken, 100 * (1 - whole))
    if named:
        return None
    if not found.python:
        return "No Python interpreter was seen: is the program one in Python?"
    return (
        "No sample is within a Python function, though libpyperf was switched on: a function that was"
        " running when the program itself did so gets its name when it is called again; record for longer, or more"
        " often (-F)."
    )


class Broken:
    """The advice for stacks of interpreters that end too soon."""

    def __init__(self, processes):
        self.count = sum(one.samples - one.whole for one in processes)
        self.mean_length = sum(one.broken_frames for one in processes) / self.count
        self.longest = max(one.longest for one in processes)
        at_longest = (one.longest_count for one in processes if one.longest == self.longest)
        self.at_longest = sum(at_longest)
        ends = sum((one.ends for one in processes), collections.Counter())
        self.end = min(ends, key=lambda name: (-ends[name], name))

    @property
    def end_name(self):
        return os.path.basename(self.end)


def advice_on_library(state):
    what = "An interpreter was seen, but no Python function: libpyperf was "
    if state == mapped.NOTHING:
        return (
            what + "not in it. Either it was started with another environment, which lacks LD_PRELOAD (sudo,"
            " env -i, a container), or it is linked statically or setuid; see also pyperf-run --doctor."
        )
    return (
        what + "in it, but did not profile. A line of libpyperf on stderr says why; where there is none, it waits"
        " for its signal (PYPERF_TOGGLE_SIGNAL), or the interpreter ignores the environment (python -I or -E, an"
        " isolated PyConfig): use -X perf, or"
        ' sys.activate_stack_trampoline("perf") where there is no command line; see also pyperf-run --doctor.'
    )


def advice_on_names(image):
    where = "Names of Python functions are missing, they were in %s: " % image
    if os.path.exists(image):
        return (
            where + "it is there, but perf did not read it, perhaps since the interpreter is not"
            " (a container that has been removed?): pyperf-run --archive keeps all that is needed."
        )
    return where + "images must stay where they were when the program ran."


def advice_on_stacks(recording, broken, percent):
    what = "%.1f %% of stacks end too soon" % percent
    if broken.end == "[vdso]":
        # perf record -N: for an object with a build id perf looks in its cache alone.
        return (
            "%s: most end in [vdso], where clock_gettime is, and of which perf has no copy; record"
            " with both -N and -B, or neither." % what
        )
    if recording.stack_size and recording.has_lost(broken.end):
        if not os.path.exists(broken.end):
            return (
                "%s: most end in %s, which is not here. A program that unpacks itself (PyInstaller --onefile)"
                " removes it at its end, and no copy could be made in time: record one that keeps its files"
                " (--onedir). Of a program in a container, pyperf-run --archive keeps all that is needed."
                % (what, broken.end)
            )
        return (
            "%s: most end in %s, and what has this name here is not what the program had (its build"
            " id is another; an upgrade, a container?): pyperf-run --archive keeps all that is needed."
            % (what, broken.end)
        )
    if recording.stack_size:
        return "%s: %s." % (what, advice_on_copies(recording.stack_size, broken))
    if recording.mode == "lbr":
        return "%s: --call-graph lbr holds the last 16 to 32 calls only; record without it." % what
    if recording.mode is None:  # the header is missing
        return "%s: record again with --stack-size %d." % (what, stacks.LARGEST_COPY)
    limit = recording.max_stack or max_stack_here()
    if broken.longest in (limit, DEFAULT_MAX_STACK) and 2 * broken.at_longest >= broken.count:
        return (
            "%s, cut after %d frames, the most that the kernel takes here: as root, run sysctl"
            " kernel.perf_event_max_stack=%d, and record again."
            % (what, broken.longest, 8 * (broken.longest + 1))
        )
    return (
        "%s: frame pointers lead no further, most often from %s, which was built without; record"
        " again with --call-graph dwarf." % (what, broken.end_name)
    )


def advice_on_copies(size, broken):
    harm = "totals of outer functions are too low"
    if size < stacks.LARGEST_COPY:
        larger = next(copy for copy in COPIES if copy > size)
        return (
            "of each, %d bytes were copied, which was too short, and %s; record again with"
            " --stack-size %d" % (size, harm, larger)
        )
    if size > broken.mean_length * BYTES_A_FRAME and model.LIBC.search(broken.end):
        return (
            "though %d bytes of each were copied; most end in %s, for which perf finds no unwind data;"
            " it takes those of the debug symbols, too: install libc's (Debian's package: libc6-dbg)"
            % (size, broken.end_name)
        )
    if size > broken.mean_length * BYTES_A_FRAME:
        return (
            "though %d bytes of each were copied; most end in %s, in code that perf cannot unwind;"
            " --call-graph fp does, where it has frame pointers" % (size, broken.end_name)
        )
    return (
        "of each, %d bytes were copied, the most that perf can; deeper stacks do not fit, and %s;"
        " --sampler=inside takes them whole, and so does --call-graph fp where the interpreter and its"
        " libraries have frame pointers" % (size, harm)
    )


def max_stack_here():
    try:
        with open("/proc/sys/kernel/perf_event_max_stack") as limit:
            return int(limit.read())
    except (IOError, ValueError):
        return DEFAULT_MAX_STACK
