"""Sends profiles to a store (stores.py), by curl. pyperf-run starts it when the program has ended and the profile is
written (send.sh): a store that is down costs no more than the time limits below, and the profile stays.

A profile is one request, with a pprof for each process. Of a folder that processes still write (PYPERF_DIR) each
complete file is one request, once (sent.py).
"""

import argparse
import collections
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import uuid

sys.dont_write_bytecode = True

import python2  # first

import columns
import pprof
import profiles
import sent
import stacks
import stores
import view as looks

CONNECT, WHOLE = "5", "30"  # seconds that curl takes at the most
LARGEST_ANSWER = 1 << 20
STATUS_INTERRUPTED = 130
# Of HTTP: the store will never take this one. Others are about the store, or who we are.
OF_PROFILE = (400, 413, 422)
NAMESPACE = uuid.UUID("9c7e2a52-3f0c-5c1e-8d6b-0d3f7a5e41b7")
# What profiles.Profile wants to know of a table.
OPTIONS = dict(collapsed=None, progress=False, lines=False, gil=False, source=None, stack_size=None, used=None)

Answer = collections.namedtuple("Answer", "taken final why")


def say(text):
    sys.stderr.write("pyperf-run: %s\n" % columns.printable(text))


def main():
    arguments = parse_arguments()
    try:
        store = stores.Store(arguments.url)
        labels = stores.labels(python2.escaped_text(os.uname()[1].encode()), arguments.service, arguments.label)
    except stores.Refused as why:
        say(u"%s" % why)
        return 2
    good = True
    try:
        for path, name in zip(arguments.data, arguments.name):
            good = send(Sender(store, labels, arguments), path, name) and good
    except KeyboardInterrupt:
        say("not sent: interrupted; " + arguments.later(name))
        return STATUS_INTERRUPTED
    return 0 if good else 1


class Arguments(argparse.Namespace):
    def later(self, name):
        """How the profile is sent when the store is there."""
        words = ["pyperf-run", "--report", name, "--send", self.url]
        words += ["--service", self.service] if self.service else []
        for label in self.label:
            words += ["--label", label]
        return "%s stays: %s" % (name, " ".join(quoted(word) for word in words))


def quoted(word):
    """For the shell."""
    return word if re.match(u"[A-Za-z0-9/._+@%,=:~-]+$", word) else "'%s'" % word.replace("'", "'\\''")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="sending.py", description=__doc__)
    parser.add_argument("--url", type=python2.argument, required=True, help="the store: pyroscope+http://HOST:4040")
    parser.add_argument("--service", type=python2.argument, metavar="NAME", help="what the profiles are of")
    parser.add_argument("--label", type=python2.argument, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data", action="append", default=[], metavar="PATH", help="a profile; none: only checks")
    parser.add_argument("--name", type=python2.argument, action="append", default=[], help="what the user calls each")
    parser.add_argument("--root", action="append", default=[], metavar="PATH", help="where a process's files are")
    parser.add_argument("--lasted", metavar="TIMES", help="when the program began and ended: 10.25 16.5")
    parser.add_argument("--quiet", action="store_true", help="says only what was not sent")
    return parser.parse_args(namespace=Arguments())


def send(sender, path, name):
    """Whether all went well; says why not."""
    try:
        if os.path.isdir(path):
            return sender.send_folder(path, name)
        return sender.send_profile(path, name)
    except stacks.Failed as why:
        say("not sent: " + str(why).replace(path, name))
    except (IOError, OSError) as error:
        say("not sent: %s: %s" % (error.filename or name, error.strerror))
    return False


class Sender:
    def __init__(self, store, labels, arguments):
        self.store, self.labels, self.arguments = store, labels, arguments

    def tell(self, text):
        if not self.arguments.quiet:
            say(text)

    def send_profile(self, path, name):
        series = self.series(path, name)
        answer = post(self.store, series)
        if not answer.taken:
            what = "refused %s" % name if answer.final else "did not get %s" % name
            say("%s %s: %s; %s" % (self.store.name, what, answer.why, self.arguments.later(name)))
        else:
            self.tell("sent to %s: %s" % (self.store.name, processes(len(series))))
        return answer.taken

    def send_folder(self, path, name):
        """Until the store fails: what is left is sent by the next one."""
        folder = sent.Folder(path, self.store)
        if not folder.open():
            say("%s: another pyperf-run is sending from here" % name)
            return False
        waiting = folder.waiting()
        if waiting:
            folder.keep()  # what cannot be noted is not sent
        count = refused = 0
        for file, header in waiting:
            answer = self.answer_to(file)
            if answer is None:
                continue
            if not answer.taken and not answer.final:
                say("%s did not get %s: %s; %s" % (self.store.name, file, answer.why, self.arguments.later(name)))
                return False
            if not answer.taken:
                say("%s: %s is not sent again: %s" % (self.store.name, file, answer.why))
            folder.note(file, header, answer.taken)
            count, refused = count + answer.taken, refused + (not answer.taken)
        self.tell("sent to %s: %d complete files of %s" % (self.store.name, count, name))
        return not refused

    def answer_to(self, file):
        """None if its process has removed the file meanwhile."""
        try:
            return post(self.store, self.series(file, file))
        except stacks.Failed as why:
            return Answer(False, True, str(why)) if os.path.exists(file) else None

    def series(self, path, name):
        """(labels, identity, pprof) of each process, or of all if they have no label."""
        arguments = argparse.Namespace(data=[path], root=self.arguments.root, lasted=self.lasted, **OPTIONS)
        profile = profiles.Profile(path, name, looks.View(False, [], None), arguments)
        alone = self.labels.get(stores.PROCESS) is None
        pieces = Pieces(alone)
        failure = profile.read([pieces], [], None)
        if failure:
            raise failure
        event = profile.found.by_name[pieces.event]
        spans = spans_of(profile.recording, alone) or collections.defaultdict(lambda: span_of(profile.found))
        found = []
        for pid in sorted(pieces.made):
            labels = stores.with_process(self.labels, pid if alone else None)
            identity = identity_of(labels, spans[pid])
            labels[stores.NAME] = stores.name_of(event)
            found.append((labels, identity, pieces.made[pid].packed(event, *spans[pid])))
        return found

    @property
    def lasted(self):
        if not self.arguments.lasted:
            return None
        began, ended = [float(word) for word in self.arguments.lasted.split()]
        return ended - began


class Pieces:
    """A pprof for each process, or one; of the first event alone."""

    each = False

    def __init__(self, alone):
        self.alone, self.event, self.made = alone, None, {}

    def add(self, sample):
        self.event = self.event or sample.event
        if sample.event == self.event:
            pid = max(sample.pid, 0) if self.alone else 0
            if pid not in self.made:
                self.made[pid] = pprof.Profile(plain=True)
            self.made[pid].add(sample)


def spans_of(recording, alone):
    """{pid: (begin since 1970, duration)} in nanoseconds, of the sampler's profiles."""
    found = {}
    for one in recording.processes if recording.mode == stacks.INSIDE else ():
        header = one.part.header
        pid, ended = header.pid if alone else 0, header.began_utc + max(one.last - header.began, 0)
        first, last = found.get(pid, (header.began_utc, ended))
        found[pid] = min(first, header.began_utc), max(last, ended)
    return {pid: (first, last - first) for pid, (first, last) in found.items()}


def span_of(found):
    return pprof.began(found), int((found.elapsed or 0) * 1e9)


def identity_of(labels, span):
    """The same when it is sent again."""
    return uuid.uuid5(NAMESPACE, "%s %d" % (json.dumps(labels, sort_keys=True), span[0]))


def processes(count):
    return "%d process%s" % (count, "es" * (count != 1))


# the request


def post(store, series):
    body = python2.bytes_of(json.dumps(store.body(series)))
    with tempfile.NamedTemporaryFile(prefix="pyperf-answer-") as out:
        status, said, code, elsewhere = curl(store.url, body, out.name)
        text = python2.escaped_text(out.read(LARGEST_ANSWER))
    if status != 0:
        why = re.sub("^curl: *([(][0-9]+[)] )?", "", stores.shown(said))
        return Answer(False, False, why or "curl's status is %d" % status)
    if 300 <= code < 400:
        return Answer(False, False, "HTTP %d, it is at %s: name that" % (code, elsewhere or "another place"))
    answer = object_of(text)
    if 200 <= code < 300:
        if answer is None:
            return Answer(False, False, "HTTP %d, and no answer in JSON: this is no such store" % code)
        return Answer(True, True, None)
    why = answer.get("message") if answer else text
    return Answer(False, code in OF_PROFILE, ("HTTP %d: %s" % (code, stores.shown(u"%s" % why))).rstrip(": "))


def curl(url, body, out):
    """Its exit status and stderr, the status of HTTP, and where a redirection leads, which is not followed: it may be
    to another host. Passwords and tokens are in ~/.netrc, or in the file that PYPERF_SEND_CONFIG names."""
    words = ["curl", "-q", "--silent", "--show-error", "--netrc-optional", "--connect-timeout", CONNECT]
    words += ["--max-time", WHOLE, "--user-agent", "pyperf-run"]
    if os.environ.get("PYPERF_SEND_CONFIG"):
        words += ["--config", os.environ["PYPERF_SEND_CONFIG"]]
    words += ["--header", "Content-Type: application/json", "--header", "Expect:", "--data-binary", "@-"]
    words += ["--output", out, "--write-out", "%{http_code} %{redirect_url}", "--url", url]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child = subprocess.Popen(words, preexec_fn=limit_answer, **pipes)
    except OSError as error:
        return 1, "curl cannot be run: %s" % error.strerror, 0, ""
    try:
        told, said = child.communicate(body)
    except BaseException:
        child.kill()
        child.wait()
        raise
    code, _, elsewhere = told.decode("utf-8", "replace").partition(" ")
    lines = said.decode("utf-8", "replace").strip().split("\n")
    return child.returncode, lines[-1], int(code) if code.isdigit() else 0, stores.shown(elsewhere)


def limit_answer():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_ANSWER, LARGEST_ANSWER))


def object_of(text):
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


if __name__ == "__main__":
    sys.exit(main())
