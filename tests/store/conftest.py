"""A store in a temporary folder under a clock that tests set; and the same store behind a server on loopback.

Every test that asks for `store` runs with both, but for those that are marked `embedded`, with the reason.
"""

import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
import uvicorn

import asof
from asof import Check, Entity, Feature, FeatureGroup
from asof.client import RemoteStore
from asof.client.address import address_of
from asof.server.access import Access
from asof.server.app import Api
from asof.server.flight import FlightServer
from asof.server.limits import Limits

MIDNIGHT = datetime(2024, 1, 2, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = MIDNIGHT

    def __call__(self):
        return self.now

    def move(self, **step):
        self.now += timedelta(**step)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


def pytest_generate_tests(metafunc):
    if "place" in metafunc.fixturenames and metafunc.definition.get_closest_marker("embedded") is None:
        remote = pytest.param("remote", marks=pytest.mark.slow)  # 500 of them: `make test-fast` takes the others
        metafunc.parametrize("place", ["embedded", remote])


@pytest.fixture
def place():
    """Give where the store is: in this process, or behind a server."""
    return "embedded"


@pytest.fixture
def behind(place, request):
    """Give what puts an open store behind a server, where the test is to run so."""
    if place == "embedded":
        yield lambda opened: opened
        return
    made = []

    def serve(opened):
        made.append(Behind(opened, request.getfixturevalue("http")))
        return made[-1]

    yield serve
    for each in made:
        each.leave()


@pytest.fixture
def store(folder, clock, behind):
    with asof.open(folder, clock=clock) as opened:
        yield behind(opened)


class Http:
    """One HTTP server for all tests, each of which puts its own application behind it."""

    def __init__(self):
        self.app = None
        config = uvicorn.Config(
            self._answer, interface="asgi3", host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False
        )
        self._taken = config.bind_socket()
        self.port = self._taken.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._taken]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.001)

    async def _answer(self, scope, receive, send):
        await self.app(scope, receive, send)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(20)
        self._taken.close()


@pytest.fixture(scope="session")
def http():
    server = Http()
    yield server
    server.stop()


class Behind(RemoteStore):
    """A remote store whose server is in this process: what a test looks at inside is the server's."""

    def __init__(self, opened, http):
        limits = Limits()
        self._opened = opened
        self._flight = FlightServer(opened, limits=limits, admit=lambda *_: nullcontext())
        self._access = Access(opened.keys)
        http.app = Api(opened, limits=limits, access=self._access, flight_port=self._flight.port).application()
        super().__init__(address_of(f"asof://127.0.0.1:{http.port}"))

    def __getattr__(self, name):
        if name in INSIDE:
            return getattr(self._opened, name)
        return super().__getattr__(name)

    def leave(self):
        super().close()
        self._flight.stop(20)
        self._access.close()

    def close(self):
        super().close()
        self._opened.close()


INSIDE = {"keys", "_root", "_parts", "_writer", "_eraser", "_history", "_log", "_online"}


@pytest.fixture
def at():
    """Give the moment some hours after 2024-01-01T00:00Z; the clock begins at 24."""
    return lambda hours=0.0: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


@pytest.fixture
def airport():
    return Entity("airport", keys={"origin": "string"}, description="where flights begin")


@pytest.fixture
def weather(airport):
    """Give a maker of the weather group; keywords change its parts."""

    def make(**parts):
        given = {
            "entity": airport,
            "event_time": "time_hour",
            "features": [
                Feature("temp", "float64", description="air temperature", unit="°F"),
                Feature("visib", "float64", unit="mi"),
            ],
            "ttl": "6h",
            "online": True,
            "owner": "ops",
            "tags": {"domain": "flights"},
            "checks": [Check.between("temp", -60, 140)],
        }
        return FeatureGroup("weather", **(given | parts))

    return make


@pytest.fixture
def hourly(at):
    """Give rows of two airports for the first `hours`: temp is the hour, visib ten times the hour."""

    def make(hours=24, airports=("JFK", "LGA")):
        return [
            {"origin": origin, "time_hour": at(hour), "temp": float(hour), "visib": hour * 10.0}
            for origin in airports
            for hour in range(hours)
        ]

    return make
