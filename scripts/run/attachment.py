"""The sampler or the trampolines that pyperf-run has switched on in a running process, and the folder with their
files."""

import os

import target
import target_folder
from attach_tool import say

ROUNDS = 3  # of looking for processes that were forked while others were switched off
SAMPLE = "sample"


class Attachment:
    """folder: a target_folder.Folder, or None where the files lie in a folder of ours; in_memory: whether the library,
    by our path, is loaded from the process's memory."""

    def __init__(self, one, folder, library, directory, in_memory=False):
        self.one, self.folder, self.library, self.directory = one, folder, library, directory
        self.in_memory = in_memory
        self.since, self.environment = now(), one.environment()
        self.is_off = self.has_map = False

    @property
    def pid(self):
        return self.one.pid

    def command(self, action, sampler):
        more = ["--sampler", sampler] if action == SAMPLE else []
        more += ["--in-memory"] if self.in_memory else []
        return [action, self.pid, self.library, self.directory] + more

    def remove(self):
        if self.has_map:
            target_folder.remove_map(self.one)
        if self.folder:
            try:
                self.folder.remove()
            except target_folder.Failed as why:
                say(str(why))
            self.folder.close()
            self.folder = None


def now():
    """In ticks since the machine was started, as /proc has the start of a process."""
    return float(target.read("/proc/uptime").split()[0]) * os.sysconf("SC_CLK_TCK")


def prepare(pid, library, action, images):
    """Makes what the process needs. images: a folder that is used if it can be. Raises target_folder.Failed."""
    folder = None
    try:
        one = target.Target(pid)
        wanted = target_folder.libraries(library)
        copied = not target_folder.can_be_loaded(one, wanted)
        if not copied and images and target_folder.can_be_written(one, images):
            return Attachment(one, None, library, images)
        folder, in_memory = make_folder(one, copied, action)
        for path in wanted if copied and not in_memory else ():
            folder.put(path)
        folder.mark(action=action, since=now())
        folder.give()
    except target.Gone:
        raise target_folder.Failed("there is no process %d" % pid)
    except (IOError, OSError) as error:
        if folder:
            Attachment(one, folder, None, None).remove()
        raise target_folder.Failed("process %d: its folder cannot be made: %s" % (pid, error))
    if copied and not in_memory:
        library = "%s/%s" % (folder.path, os.path.basename(library))
    return Attachment(one, folder, library, folder.path, in_memory)


def make_folder(one, copied, action):
    """A folder, and whether the library must be loaded from memory: the sampler's files need no right to execute."""
    try:
        return target_folder.make(one, copied or action != SAMPLE, action == SAMPLE), False
    except target_folder.Failed:
        if not copied or action != SAMPLE:
            raise
    return target_folder.make(one, False, True), True


def prepare_all(pids, library, action, images):
    """Yields what could be prepared, and prints a line for each other process."""
    for pid in pids:
        try:
            yield prepare(pid, library, action, images)
        except target_folder.Failed as why:
            say(str(why))


def settle(tool, one, answer):
    """Whether it is attached. If not, what was prepared is removed."""
    if answer.line is None:
        return True
    if answer.was_killed:
        undo(tool, one)
    one.remove()
    return False


def undo(tool, one):
    """The tool was killed, perhaps when all was done. It takes back what that has left, also where nothing is on."""
    off(tool, [one.one])


def found(one, folder, mark):
    """The attachment to which a folder of target_folder.found belongs."""
    left = Attachment(one, folder, None, folder.path)
    since = mark.get("since")
    left.since = since if isinstance(since, (int, float)) else 0
    left.has_map = mark.get("action") != SAMPLE
    return left


# the end


def switch_off(tool, attachments):
    """Switches these off, and those that they have forked meanwhile. Returns the pids that could not be."""
    failed = off(tool, [one.one for one in attachments if one.one.lives()])
    for one in attachments:
        one.is_off = one.pid not in failed
    for _ in range(ROUNDS):
        left = [one for one in followers(attachments) if one.pid not in failed]
        answers = tool.look([one.pid for one in left])
        still = [one for one, answer in zip(left, answers) if is_on(answer.figures)]
        if not still:
            break
        more = off(tool, still)
        failed.update(more)
        for one in attachments:
            one.is_off = one.is_off and not more
    return failed


def off(tool, ones):
    failed = set()
    for one, answer in zip(ones, tool.run([("off", one.pid) for one in ones])):
        if answer.line is not None and one.lives():
            say(answer.line)
            failed.add(one.pid)
    return failed


def is_on(figures):
    return bool(figures.get("sampling")) or figures.get("mode", "off") != "off"


def followers(attachments):
    """Processes that were forked since, with all that was switched on: those with files in our folders, descendants,
    and those of the same environment, such as daemons."""
    known = {one.pid for one in attachments}
    began = min([one.since for one in attachments] or [0]) - os.sysconf("SC_CLK_TCK")
    below = {one.pid for one in target.children_of(known)}
    folders = tuple(one.directory + "/" for one in attachments)
    environments = [one.environment for one in attachments]
    for one in target.all_targets():
        if one.pid in known or one.started < began:
            continue
        paths = one.mapped()
        if any(path.startswith(folders) for path in paths):
            yield one
        elif any(target.LIBRARY.search(path) for path in paths) and not one.was_preloaded():
            if one.pid in below or one.environment() in environments:
                yield one


def gather(attachments, into):
    """Moves the sampler's files to that folder of ours. False if some could not be: they stay, and a line says so."""
    good = True
    for one in attachments:
        try:
            for name in one.folder.files() if one.folder else ():
                one.folder.take_out(name, os.path.join(into, "%d-%s" % (one.pid, name)))
        except (IOError, OSError) as error:
            folder = one.folder.seen_here
            say(
                "the samples of process %d cannot be read, or written to %s: %s; they stay in %s: pyperf-run --report"
                " %s shows them" % (one.pid, into, error.strerror, folder, folder)
            )
            one.is_off = good = False
    return good


def take_away(attachments):
    """Removes the folders, but for those that are still in use."""
    for one in attachments:
        if one.is_off:
            one.remove()
        elif one.folder:
            again = "process %d is not switched off yet: pyperf-run --detach %d does that later, and removes %s"
            say(again % (one.pid, one.pid, one.folder.seen_here))


def keep_images(attachments):
    """Of folders in the processes' roots, because perf report reads the images where they were made. Copies of the
    library go."""
    for one in attachments:
        target_folder.remove_map(one.one)
        if not one.folder:
            continue
        images = one.folder.drop_libraries()
        if not images and one.is_off:
            one.remove()
        else:
            say(
                "perf report needs the trampoline images of process %d, which are in %s: pyperf-run --detach %d removes"
                " them" % (one.pid, one.folder.seen_here, one.pid)
            )
