"""Stores on servers that are killed, emptied and cut off; each test runs on Redis and on PostgreSQL."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis

import asof
from asof import Entity, Feature, FeatureGroup
from asof.parts import open_online
from asof.testing.wire import Proxy

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


class Backend:
    """A server, and what its administrator can do."""

    def __init__(self, server, scheme):
        self.server = server
        self.scheme = scheme
        self.url = server.url

    def command(self, redis_words, sql):
        """Run a command as administrator."""
        if self.scheme == "redis":
            with redis.Redis.from_url(self.url) as client:
                return client.execute_command(*redis_words)
        with psycopg.connect(self.url, autocommit=True) as client:
            cursor = client.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def empty(self):
        """Lose all data."""
        if self.scheme == "redis":
            self.command(["FLUSHALL"], "")
            return
        for (name,) in self.command([], "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'asof%'"):
            self.command([], f'DROP SCHEMA "{name}" CASCADE')

    def disconnect_all(self):
        """Cut every connection."""
        self.command(
            ["CLIENT", "KILL", "TYPE", "normal"],
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'asof'",
        )

    def save(self):
        """Keep a copy of what the server has on disk."""
        self.server.stop()
        shutil.copytree(
            self.server.folder, self.server.folder.with_name("saved"), ignore=shutil.ignore_patterns("socket")
        )
        self.server.start()

    def go_back(self):
        """Lose what was written since `save`, as a failover to a replica that lags does."""
        self.server.kill()
        for entry in self.server.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        saved = self.server.folder.with_name("saved")
        shutil.copytree(saved, self.server.folder, dirs_exist_ok=True)
        if self.scheme == "postgresql":
            for path in (self.server.folder, *self.server.folder.rglob("*")):
                with suppress(LookupError, PermissionError):
                    shutil.chown(path, "postgres", "postgres")
        self.server.start()


@pytest.fixture(params=["redis", "postgresql"])
def backend(request):
    """Give a server that may be killed."""
    server = request.getfixturevalue("own_redis" if request.param == "redis" else "own_postgres")
    return Backend(server, request.param)


@pytest.fixture
def online(backend, tmp_path):
    """Give the online store on the server."""
    store = open_online(backend.url, root=str(tmp_path))
    yield store
    store.close()


class Clock:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


WEATHER = FeatureGroup(
    "weather",
    entity=Entity("airport", keys={"origin": "string"}),
    event_time="at",
    features=[Feature("temp", "float64")],
    online=True,
)


def row(origin, temp, minute=0):
    return {"origin": origin, "at": NOON - timedelta(days=1) + timedelta(minutes=minute), "temp": temp}


@pytest.fixture
def features(backend, tmp_path):
    """Give the folder of a feature store that serves from the server."""
    folder = tmp_path / "features"
    folder.mkdir()
    (folder / "asof.toml").write_text(f'format = 1\nonline = "{backend.url}"\n')
    return folder


@pytest.fixture
def store(features):
    """Give a feature store with two airports."""
    with asof.open(features, clock=Clock()) as opened:
        opened.apply(WEATHER)
        opened.backfill("weather", [row("JFK", 1.0), row("LGA", 2.0)])
        yield opened


@pytest.fixture
def proxy(backend):
    """Give a proxy before the server."""
    made = Proxy(backend.server.port)
    yield made
    made.close()


@pytest.fixture
def through_proxy(backend, proxy, tmp_path):
    """Give the online store, through the proxy."""
    url = backend.url.replace(str(backend.server.port), str(proxy.port))
    store = open_online(url, root=str(tmp_path))
    yield store
    store.close()
