"""The DuckDB engine passes the suite that asof ships."""

from asof.testing.engine import EngineSuite


class TestDuckDB(EngineSuite):
    adapter = "duckdb"
