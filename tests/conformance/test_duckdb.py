"""The DuckDB engine passes the suite that asof ships."""

import pytest

from asof.engine import ranges, stored
from asof.testing.engine import EngineSuite


class TestDuckDB(EngineSuite):
    adapter = "duckdb"


class TestDuckDBAsOf(EngineSuite):
    adapter = "duckdb"
    url = "duckdb:as-of"


class TestDuckDBWhole(EngineSuite):
    adapter = "duckdb"
    url = "duckdb:whole"


class TestDuckDBHash(EngineSuite):
    adapter = "duckdb"
    url = "duckdb:hash"


class TestDuckDBNumbered(EngineSuite):
    adapter = "duckdb"
    url = "duckdb:numbered"


class TestDuckDBManyCommits(EngineSuite):
    """The other way in which the file of a row tells its commit."""

    adapter = "duckdb"

    @pytest.fixture(autouse=True)
    def no_stamps_are_few(self, monkeypatch):
        monkeypatch.setattr(stored, "FEW_STAMPS", 1)


class TestDuckDBDeep(EngineSuite):
    """Windows of few events by the plans for many."""

    adapter = "duckdb"
    url = "duckdb:deep"


class TestDuckDBDeepInParts(EngineSuite):
    """The same, where few events are held at once."""

    adapter = "duckdb"
    url = "duckdb:deep"

    @pytest.fixture(autouse=True)
    def no_events_are_few(self, monkeypatch):
        monkeypatch.setattr(ranges, "PART_ROWS", 2)
