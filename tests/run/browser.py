"""A page in headless Chromium, by the DevTools protocol over two pipes: messages are JSON, each
closed by a NUL. https://chromedevtools.github.io/devtools-protocol"""

import base64
import fcntl
import json
import os
import select
import signal
import subprocess
import time

PROGRAMS = ("chromium-headless-shell", "chromium")
TIMEOUT = 60
WINDOW = "--window-size=1200,1000"


def find(bench):
    for name in PROGRAMS:
        if bench.run(["sh", "-c", 'command -v "$1"', "sh", name]).status == 0:
            return name
    raise RuntimeError("no browser: apt-get install chromium-headless-shell")


class Browser:
    """With one page. fetched: the addresses of all other resources that the page requested; errors:
    uncaught exceptions of its scripts."""

    def __init__(self, bench):
        self.fetched, self.errors, self.loaded = [], [], False
        self.count, self.session, self.unread, self.page = 0, None, b"", None
        words = [find(bench), "--headless", "--disable-gpu", "--remote-debugging-pipe", WINDOW]
        words += ["--user-data-dir=" + os.path.join(bench.folder, "chromium")]
        # Chromium's sandbox does not work as root.
        words += ["--no-sandbox"] if os.geteuid() == 0 else []
        ends = os.pipe() + os.pipe()
        # Moved away from 3 and 4, where Chromium expects its ends.
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (ends[0], ends[3])]
        self.read_end, self.write_end = ends[2], ends[1]

        def place():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=bench.environment(preload=False, support=None, images=False),
            close_fds=False,
            preexec_fn=place,
            start_new_session=True,
        )
        for fd in theirs + [ends[0], ends[3]]:
            os.close(fd)

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        answer = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(domain + ".enable")
        return self

    def __exit__(self, *_):
        # Kills all of its processes: a remaining one would write to its folder, which is removed
        # next.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.read_end)
        os.close(self.write_end)

    def open(self, path):
        self.page = "file://" + path
        self.loaded = False
        self.call("Page.navigate", url=self.page)
        while not self.loaded:
            self.note(self.receive())

    def evaluate(self, script):
        """The value that the body of an async function returns."""
        whole = "(async () => { %s })()" % script
        answer = self.call(
            "Runtime.evaluate", expression=whole, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError("the script in the page: %s" % answer["exceptionDetails"])
        return answer["result"].get("value")

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot")["data"]
        with open(path, "wb") as out:
            out.write(base64.b64decode(picture))

    # the protocol

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.count:
                break
            self.note(answer)
        if "error" in answer:
            raise RuntimeError("%s: %s" % (method, answer["error"]))
        return answer["result"]

    def note(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            if parameters["request"]["url"] != self.page:
                self.fetched.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))

    def receive(self):
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.unread:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.read_end], [], [], left)[0]:
                raise RuntimeError("no answer from the browser after %d s" % TIMEOUT)
            part = os.read(self.read_end, 1 << 16)
            if not part:
                raise RuntimeError("the browser has gone, status %s" % self.process.wait())
            self.unread += part
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message.decode("utf-8"))
