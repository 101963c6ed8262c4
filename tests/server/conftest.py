"""A server in a process of its own, over a store with one of each type, and a client of the standard library."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.clock import system_clock
from asof.testing.processes import FORKS, within

NOW = system_clock().replace(microsecond=0)
PATIENCE_SECONDS = 60

customer = Entity("customer", keys={"customer_id": "int64"})
spending = FeatureGroup(
    "spending",
    entity=customer,
    event_time="at",
    features=[Feature("orders", "int64"), Feature("returned", "float64")],
    ttl="30d",
    online=True,
)
visit = Entity("visit", keys={"day": "date", "code": "bytes", "at_us": "timestamp", "open": "bool", "name": "string"})
everything = FeatureGroup(
    "everything",
    entity=visit,
    event_time="at",
    features=[
        Feature("f64", "float64"),
        Feature("f32", "float32"),
        Feature("i64", "int64"),
        Feature("i8", "int8"),
        Feature("flag", "bool"),
        Feature("text", "string"),
        Feature("raw", "bytes"),
        Feature("moment", "timestamp"),
        Feature("born", "date"),
        Feature("price", "decimal(38, 2)"),
        Feature("list", "list<float64>"),
        Feature("vector", "vector<float32, 2>"),
        Feature("nested", "struct<a: int64, b: bytes, c: list<decimal(5, 1)>>"),
    ],
    online=True,
)
nightly = FeatureGroup("nightly", entity=customer, event_time="at", features=[Feature("score", "float64")])
risk = FeatureView("risk", features=[spending])
logged = FeatureView("logged", features=[spending["orders"]], log=1.0)

VISIT = {"day": date(2026, 1, 2), "code": b"\xff\x00", "at_us": NOW, "open": True, "name": "Zoë"}
FULL = {
    "f64": float("nan"),
    "f32": float("-inf"),
    "i64": -(2**63),
    "i8": -128,
    "flag": False,
    "text": 'a "quoted" ü',
    "raw": b"\x00\xff",
    "moment": NOW + timedelta(microseconds=1),
    "born": date(1969, 12, 31),
    "price": Decimal("-123456789012345678901234567890123456.78"),
    "list": [1.5, None, float("inf")],
    "vector": [0.5, -0.0],
    "nested": {"a": None, "b": b"x", "c": [Decimal("1.5")]},
}


@pytest.fixture(scope="session")
def now():
    """Give the event time of the store's rows."""
    return NOW


def made(folder):
    """Make a store with some rows, and return its folder."""
    with asof.open(folder) as store:
        store.apply(spending, everything, nightly, risk, logged)
        rows = [{"customer_id": key, "at": NOW, "orders": key, "returned": key / 4} for key in range(10)]
        store.write("spending", rows)
        store.write("everything", [{**VISIT, "at": NOW, **FULL}])
    return folder


@pytest.fixture
def folder(tmp_path):
    """Give the folder of a store with some rows."""
    return made(tmp_path / "store")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Give a server for tests that change nothing."""
    server = Server(made(tmp_path_factory.mktemp("shared") / "store"))
    yield server
    server.stop()


@pytest.fixture
def serve(folder):
    """Give what starts a server over the store, and stop it in the end."""
    running = []

    def start(*options):
        running.append(Server(folder, options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def server_of():
    """Give what starts a server over a folder, and stop it when the module is done."""
    running = []

    def start(folder, *options, context=None):
        running.append(Server(folder, options, context=context))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def server(serve):
    """Give a server with the default options."""
    return serve()


def typed(stderr, words):
    """Do what `asof` does with these words."""
    import asof.cli

    nothing = os.open(os.devnull, os.O_RDWR)
    for given, number in ((nothing, 0), (nothing, 1), (stderr.fileno(), 2)):
        os.dup2(given, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - uvicorn gives its number to workers
    sys.argv = ["asof", *words]
    asof.cli.main()


class Asof:
    """A process of the command, as `subprocess` would give it, but forked with all imported: that takes a second.

    Attributes:
        pid: Its number.
        stderr: What it says.
    """

    def __init__(self, *words):
        taken, given = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=within, args=(dict(os.environ), typed, given, words))
        self._process.start()
        given.close()
        self.pid = self._process.pid
        self.stderr = os.fdopen(
            os.dup(taken.fileno()), encoding="utf-8", errors="replace"
        )  # gRPC logs bytes as they came
        taken.close()

    def poll(self):
        return self._process.exitcode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds=PATIENCE_SECONDS):
        """Return the code with which it ended."""
        self._process.join(seconds)
        if self.poll() is None:
            self.kill()
            raise subprocess.TimeoutExpired("asof", seconds)
        return self.poll()

    def ended(self):
        """Return the code with which it ended, and what it said."""
        code = self.wait()
        with self.stderr as said:
            return code, said.read()


class Server:
    """`asof serve` on a free port.

    Attributes:
        lines: What it said on stderr before it was ready.
        token: The key that it is asked with, if any.
    """

    def __init__(self, folder, options=(), *, token=None, context=None):
        self.token = token
        self.context = context
        self.process = Asof("serve", str(folder), "--port", "0", *options)
        self.lines = []
        try:
            self.port = self._port()
            threading.Thread(target=self.lines.extend, args=(self.process.stderr,), daemon=True).start()
            self._wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _port(self):
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"https?://[\d.]+:(\d+)", line)
            if found:
                return int(found[1])
        raise AssertionError("".join(self.lines))

    def _wait(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                if self.get("/v1/ready")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def get(self, path, **headers):
        return self.request("GET", path, None, headers)

    def post(self, path, body, **headers):
        return self.request("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)

    def request(self, method, path, body=None, headers=()):
        """Return status, decoded body (bytes or text if it is no JSON), and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        if self.context is not None:
            connection = http.client.HTTPSConnection(
                "localhost", self.port, timeout=PATIENCE_SECONDS, context=self.context
            )
        headers = dict(headers)
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            kind = answer.headers["content-type"]
            found = json.loads(content) if "json" in kind else content.decode() if "text" in kind else content
            return answer.status, found, answer.headers
        finally:
            connection.close()

    def answers(self):
        """Return whether an online read is answered within some tries: a connection may die with its worker."""
        for _ in range(50):
            try:
                if self.post("/v1/views/risk/online", {"keys": {"customer_id": 1}})[0] == 200:
                    return True
            except OSError:
                time.sleep(0.1)
        return False

    def workers(self):
        """Return the process numbers of its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}

    def stop(self, with_signal=signal.SIGTERM):
        """Stop it, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE_SECONDS)
        self.process.stderr.close()
        return code
