"""A store of profiles for tests. It checks each request by what the documentation of the real ones asks for, and
answers a wrong one as they do:

    Grafana Pyroscope 2.2.1   "Server HTTP API", /push.v1.PusherService/Push; the Connect protocol for errors; limits of
                              its "Configuration parameters", -validation.*
    Parca 0.28.0              profilestore.swagger.json, /profiles/writeraw, below /api; the status of gRPC for errors
"""

import base64
import gzip
import http.server
import json
import re
import threading
import uuid

import pprof_file

PUSH, WRITE_RAW = "/push.v1.PusherService/Push", "/api/profiles/writeraw"
LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*$")
METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*$")
MOST_LABELS, LONGEST_NAME, LONGEST_VALUE = 30, 1024, 2048
LARGEST, MOST_SAMPLES = 4 << 20, 16000


class Wrong(Exception):
    """What is wrong with a request."""


def want(good, what):
    if not good:
        raise Wrong(what)


def only(found, *names):
    want(isinstance(found, dict) and set(found) <= set(names), "unknown field among %s" % sorted(found))


class Received:
    """A profile, with its labels and its identity."""

    def __init__(self, labels, identity, data):
        self.labels, self.identity = labels, identity
        check_labels(labels)
        want(data[:2] == b"\x1f\x8b", "is not compressed")
        check_pprof(gzip.decompress(data))
        self.profile = pprof_file.Decoded(data)


def check_labels(labels):
    want(METRIC.match(labels.get("__name__", "")), "no __name__")
    want(labels.get("service_name"), "service name is not provided")
    want(len(labels) <= MOST_LABELS, "too many labels")
    for name, value in labels.items():
        want(LABEL.match(name) and len(name) <= LONGEST_NAME, "label name %r" % name)
        want(isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE, "label value %r" % value)


def check_pprof(data):
    """What both servers check before they take it."""
    want(len(data) <= LARGEST, "too large")
    top = pprof_file.fields(data)
    strings = [text.decode() for text in top[6]]
    want(strings[0] == "", "the first string is not empty")
    want(len(set(strings)) == len(strings), "strings twice")
    for number, what in ((3, "mapping"), (4, "location"), (5, "function")):
        ids = [pprof_file.fields(one)[1][0] for one in top.get(number, [])]
        want(ids == list(range(1, len(ids) + 1)), "%s ids are not sequential" % what)
    types = [[strings[pprof_file.fields(one)[number][0]] for number in (1, 2)] for one in top[1]]
    want(all(METRIC.match(name) and METRIC.match(unit) for name, unit in types), "types %s" % types)
    want(len(top[11]) == 1 and top[12][0] > 0, "no period")
    want(len(top[9]) == 1 and top[9][0] > 0, "no time")
    want(len(top[2]) <= MOST_SAMPLES, "too many samples")
    for one in map(pprof_file.fields, top[2]):
        want(len(pprof_file.packed(one[2][0])) == len(types), "values and types differ in number")
        stack = pprof_file.packed(one[1][0]) if 1 in one else []
        want(all(0 < number <= len(top[4]) for number in stack), "a stack has an unknown location")
        for label in map(pprof_file.fields, one.get(3, [])):
            want(0 < label[1][0] < len(strings), "a label without a key")


def pairs(listed):
    for one in listed:
        only(one, "name", "value")
    found = {one["name"]: one["value"] for one in listed}
    want(len(found) == len(listed), "a label twice")
    return found


def pushed(body):
    """Of Pyroscope."""
    only(body, "series")
    found = []
    for series in body["series"]:
        only(series, "labels", "samples")
        for sample in series["samples"]:
            only(sample, "ID", "rawProfile")
            want(str(uuid.UUID(sample["ID"])) == sample["ID"], "ID")
            data = base64.b64decode(sample["rawProfile"], validate=True)
            found.append(Received(pairs(series["labels"]), sample["ID"], data))
    return found


def written(body):
    """Of Parca."""
    only(body, "tenant", "series", "normalized")
    found = []
    for series in body["series"]:
        only(series, "labels", "samples")
        only(series["labels"], "labels")
        for sample in series["samples"]:
            only(sample, "rawProfile", "executableInfo")
            data = base64.b64decode(sample["rawProfile"], validate=True)
            found.append(Received(pairs(series["labels"]["labels"]), None, data))
    return found


READERS = {PUSH: pushed, WRITE_RAW: written}
CODES = {400: ("invalid_argument", 3), 401: ("unauthenticated", 16), 503: ("unavailable", 14)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        store = self.server.store
        body = self.rfile.read(int(self.headers["Content-Length"]))
        store.headers.append(dict(self.headers))
        if store.hangs:
            store.released.wait()
        elif store.answers:
            self.answer(*store.answers.pop(0))
        else:
            self.take(body)

    def take(self, body):
        store = self.server.store
        try:
            want(self.path in READERS, "path %s" % self.path)
            want(self.headers["Content-Type"] == "application/json", "Content-Type")
            got = READERS[self.path](json.loads(body.decode()))
        except Exception as why:  # whatever is wrong with it
            store.wrong.append("%s: %s" % (type(why).__name__, why))
            self.answer(400, store.wrong[-1])
            return
        store.received.append(got)
        self.answer(200, {})

    def answer(self, status, content, headers=()):
        """content: an object, HTML, or the message of an error."""
        if not isinstance(content, dict) and not content.startswith("<"):
            name, number = CODES.get(status, ("unknown", 2))
            parca = {"code": number, "message": content, "details": []}
            content = {"code": name, "message": content} if self.path == PUSH else parca
        data = json.dumps(content) if isinstance(content, dict) else content
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *_):
        pass


class Store:
    """received: a list for each request that was taken; answers: (status, content) of the next requests."""

    def __init__(self):
        self.received, self.wrong, self.headers, self.answers = [], [], [], []
        self.hangs, self.released = False, threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.store = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.server.server_port

    def url(self, kind):
        return "%s+http://%s" % (kind, self.address)

    def clear(self):
        for one in (self.received, self.wrong, self.headers, self.answers):
            del one[:]
