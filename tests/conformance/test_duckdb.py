"""The DuckDB engine passes the suite that asof ships.

A plan is chosen where it looks up, and nowhere else; so the suite's look-ups run under each plan, and the rest once.
"""

import pytest

from asof.engine import planning, stored
from asof.testing.engine import EngineSuite, LookUpSuite, OpensEngine
from asof.testing.engine_windows import WindowsSuite


class TestDuckDB(EngineSuite):
    adapter = "duckdb"


class TestDuckDBAsOf(LookUpSuite):
    adapter = "duckdb"
    url = "duckdb:as-of"


class TestDuckDBWhole(LookUpSuite):
    adapter = "duckdb"
    url = "duckdb:whole"


class TestDuckDBHash(LookUpSuite):
    adapter = "duckdb"
    url = "duckdb:hash"


class TestDuckDBNumbered(LookUpSuite):
    adapter = "duckdb"
    url = "duckdb:numbered"


class TestDuckDBManyCommits(EngineSuite):
    """The other way in which the file of a row tells its commit."""

    adapter = "duckdb"

    @pytest.fixture(autouse=True)
    def no_stamps_are_few(self, monkeypatch):
        monkeypatch.setattr(stored, "FEW_STAMPS", 1)


class TestDuckDBDeep(OpensEngine, WindowsSuite):
    """Windows of few events by the plans for many."""

    adapter = "duckdb"

    @pytest.fixture(autouse=True)
    def few_events_are_many(self, monkeypatch):
        monkeypatch.setattr(planning, "DEEP_PAIRS", 0)
