"""The DuckDB engine passes the suite that asof ships."""

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
