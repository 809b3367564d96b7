"""Stores of profiles: where one is, and the body of a request that gives it profiles. Both take pprof in JSON.

    Grafana Pyroscope   POST /push.v1.PusherService/Push of its documentation "Server HTTP API" (2.2.1), the Connect
                        protocol's: a public API, which that calls stable. 1.x has it, too
    Parca               POST /api/profiles/writeraw: ProfileStoreService.WriteRaw of
                        parca/profilestore/v1alpha1/profilestore.proto (0.28.0), by its gateway of JSON

OpenTelemetry's profiles are left out until their format has settled: in opentelemetry-proto 1.11.0 it is
"v1development", and its fields still change.
"""

import base64
import re

PYROSCOPE, PARCA = u"pyroscope", u"parca"
PATHS = {PYROSCOPE: u"/push.v1.PusherService/Push", PARCA: u"/api/profiles/writeraw"}
NAME = u"__name__"
SERVICE, HOST, PROCESS = u"service_name", u"host_name", u"process_pid"
LABEL = re.compile(u"[A-Za-z_][A-Za-z0-9_]*$")
LONGEST = 2048  # characters of a label's value: Pyroscope's default limit


class Refused(Exception):
    """A mistake in an option, as a line for the user."""


class Store:
    """text: as --send names it."""

    def __init__(self, text):
        self.name = text
        self.kind, plus, url = text.partition(u"+")
        scheme, _, rest = url.partition(u"://")
        if self.kind == u"otlp":
            raise Refused(u"--send %s: OTLP's format of profiles has not settled (it is v1development)" % text)
        if self.kind not in PATHS or scheme not in (u"http", u"https") or not rest:
            raise Refused(
                u"--send %s: a store is pyroscope+http://HOST:4040 or parca+http://HOST:7070, or the same with https"
                % text
            )
        if u"@" in rest.split(u"/")[0]:
            raise Refused(u"--send: a password in a URL is seen by all users: put it into ~/.netrc")
        if re.search(u"[\\s?#\\\\\x00-\x1f]", rest):
            raise Refused(u"--send %s: is no URL of a server" % text)
        self.url = url.rstrip(u"/")
        if not self.url.endswith(PATHS[self.kind]):
            self.url += PATHS[self.kind]

    def body(self, series):
        """series: (labels, identity, file) of each."""
        made = []
        for labels, identity, file in series:
            pairs = [{u"name": name, u"value": labels[name]} for name in sorted(labels)]
            sample = {u"rawProfile": base64.b64encode(file).decode("ascii")}
            if self.kind == PYROSCOPE:
                sample[u"ID"] = u"%s" % identity
            made.append({u"labels": pairs if self.kind == PYROSCOPE else {u"labels": pairs}, u"samples": [sample]})
        return {u"series": made}


def labels(host, service, given):
    """Those of --service and --label, which replace others of their name."""
    found = {HOST: host, SERVICE: service or u""}
    for text in given:
        name, equals, value = text.partition(u"=")
        name = name.replace(u".", u"_")
        if not equals or not LABEL.match(name) or name.startswith(u"__"):
            raise Refused(u"--label %s: a label is KEY=VALUE, its key of letters, digits and _" % text)
        if len(value) > LONGEST or re.search(u"[\x00-\x1f\x7f]", value):
            raise Refused(u"--label %s: its value is longer than %d, or no text of one line" % (name, LONGEST))
        found[name] = value
    if not found[SERVICE]:
        raise Refused(u"--send: name the service that the profiles are of: --service NAME")
    return found


def with_process(found, pid):
    """Labels of one process. An empty value leaves its label out."""
    complete = dict({PROCESS: u"%d" % pid}, **found) if pid is not None else found
    return {name: value for name, value in complete.items() if value}


def name_of(event):
    """What stores call a profile of that event."""
    if event.seconds(0) is None:
        return re.sub(u"[^A-Za-z0-9_]", u"_", event.unit)
    return u"wall" if event.is_wall else u"process_cpu"


def shown(text):
    """A store's words on one line."""
    return u" ".join(re.sub(u"[\x00-\x1f\x7f-\x9f]", u" ", text).split())[:200]
