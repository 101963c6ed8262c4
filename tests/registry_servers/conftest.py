"""Registries on servers that are killed and cut off; each test runs on PostgreSQL and on MariaDB."""

from contextlib import contextmanager
from itertools import count

import psycopg
import pymysql
import pytest
from sqlalchemy.engine import make_url

from asof.registry.sql import open_sql
from asof.testing.wire import Proxy

NUMBERS = count(1)


class Backend:
    """A server, and what its administrator can do.

    Attributes:
        server: The server.
        scheme: "postgresql" or "mysql".
        name: Of the test's registry.
        url: Of the test's registry, empty at first.
    """

    def __init__(self, server, scheme, name):
        self.server = server
        self.scheme = scheme
        self.name = name
        self.url = server.registry_url(name)

    def another(self):
        """Return the address of another registry."""
        return self.server.registry_url(f"{self.name}_{next(NUMBERS)}")

    @contextmanager
    def admin(self):
        """Give a cursor of the driver, in the registry's tables."""
        if self.scheme == "postgresql":
            with psycopg.connect(self.server.url, autocommit=True) as connection:
                connection.execute(f'SET search_path TO "{self.name}"')
                yield connection.cursor()
        else:
            url = make_url(self.url)
            connection = pymysql.connect(
                host=url.host, port=url.port, user=url.username, database=url.database, autocommit=True
            )
            try:
                yield connection.cursor()
            finally:
                connection.close()

    def ask(self, words):
        """Run a statement as administrator; return its rows."""
        with self.admin() as cursor:
            cursor.execute(words)
            return cursor.fetchall() if cursor.description else None

    def disconnect_all(self):
        """Cut every connection but ours."""
        if self.scheme == "postgresql":
            self.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'asof'")
            return
        with self.admin() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE()")
            for (number,) in cursor.fetchall():
                if number != cursor.connection.thread_id():
                    cursor.execute(f"KILL {number}")


def backend_of(request, prefix):
    fixture = {"postgresql": "postgres", "mysql": "mariadb"}[request.param]
    return Backend(
        request.getfixturevalue(f"{prefix}{fixture}{'' if prefix else '_server'}"), request.param, f"t{next(NUMBERS)}"
    )


@pytest.fixture(params=["postgresql", "mysql"])
def backend(request):
    """Give a server that others use too, with an empty registry."""
    return backend_of(request, "")


@pytest.fixture(params=["postgresql", "mysql"])
def own_backend(request):
    """Give a server that may be killed, with an empty registry."""
    return backend_of(request, "own_")


@pytest.fixture
def opened():
    """Give a function that opens a registry by its URL."""
    every = []

    def opened(url):
        every.append(open_sql(url))
        return every[-1]

    yield opened
    for metadata in every:
        metadata.log.close()


@pytest.fixture
def proxy(backend):
    """Give a proxy before the server."""
    made = Proxy(backend.server.port)
    yield made
    made.close()
