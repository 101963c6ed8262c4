"""A server in this process, over a store with a few rows, and a remote store that reads it."""

import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
import uvicorn

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.server.access import Access
from asof.server.app import Api
from asof.server.flight import FlightServer
from asof.server.limits import Limits
from asof.server.shared import shared

NOW = datetime(2026, 1, 2, tzinfo=UTC)
customer = Entity("customer", keys={"id": "int64"})
spending = FeatureGroup(
    "spending", entity=customer, event_time="at", features=[Feature("orders", "int64"), Feature("x", "float64")],
    online=True, ttl="30d",
)  # fmt: skip
risk = FeatureView("risk", features=[spending["orders"]])


def rows(count=10, orders=None):
    return [{"id": n, "at": NOW, "orders": n if orders is None else orders, "x": n / 4} for n in range(count)]


def everybody(token, address, verb, request):
    """Let every call pass."""
    return nullcontext()


class Served:
    """HTTP and Flight over a store, in threads."""

    def __init__(self, store, limits, admit, models=()):
        self.shared = shared(store, limits, models)
        self.flight = FlightServer(store, limits=limits, admit=admit, with_http=self.shared)
        self._access = Access(store.keys)
        api = Api(store, limits=limits, access=self._access, flight_port=self.flight.port, with_flight=self.shared)
        app = api.application()
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off")
        self._taken = config.bind_socket()
        self.port = self._taken.getsockname()[1]
        self.url = f"asof://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._taken]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.001)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(20)
        self._taken.close()
        self.flight.stop(20)
        self._access.close()
        self.shared.close()


@pytest.fixture
def store(tmp_path):
    """Give the store behind the server."""
    with asof.open(tmp_path / "store", clock=lambda: NOW) as opened:
        opened.apply(spending, risk)
        opened.write("spending", rows())
        yield opened


@pytest.fixture
def serve(store):
    """Give what serves the store."""
    running = []

    def start(limits=None, admit=everybody):
        running.append(Served(store, limits or Limits(), admit))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def remote(server):
    with asof.open(server.url) as opened:
        yield opened
