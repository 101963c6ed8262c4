"""The part of the engine suite that runs users' SQL: it computes, and reaches nothing but what it is given."""

from pathlib import Path

import pyarrow as pa
import pytest

from asof.engine.port import Engine
from asof.errors import UsageError

FLIGHTS = pa.table(
    {
        "flight": pa.array([1, 2, None], pa.int64()),
        "sched": pa.array([0, 3_600_000_000, 7_200_000_000], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "parts": pa.array([{"a": 1}, None, {"a": 3}], pa.struct([("a", pa.int64())])),
    }
)
FLIGHTS_OF_PYTHON = FLIGHTS
"""A variable that a statement must not find."""

OUTSIDE = (
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM FLIGHTS_OF_PYTHON",
    "SELECT getenv('HOME')",
    "COPY (SELECT 1) TO '{folder}/made.csv'",
    "ATTACH '{folder}/made.db' AS made",
    "EXPORT DATABASE '{folder}/made'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "CREATE TABLE made AS SELECT 1",
    "PRAGMA database_list",
    "SELECT 1; SELECT 2",
    "",
)


class SqlSuite:
    """What every engine must do with a user's statement; see `asof.engine.port.Engine.transform`."""

    def test_a_statement_computes_over_the_tables_that_it_is_given(self, engine: Engine) -> None:
        statement = 'SELECT flight + 1 AS "next", hour(sched) AS h, parts.a AS a FROM flights ORDER BY sched'
        for table in (FLIGHTS, FLIGHTS.slice(1)):
            found = engine.transform(statement, {"flights": table}).to_pylist()
            every = [{"next": 2, "h": 0, "a": 1}, {"next": 3, "h": 1, "a": None}, {"next": None, "h": 2, "a": 3}]
            assert found == every[-table.num_rows :]
        assert engine.transform(statement, {"flights": FLIGHTS.slice(3)}).num_rows == 0

    @pytest.mark.parametrize("statement", OUTSIDE)
    def test_a_statement_reaches_nothing_else(self, engine: Engine, tmp_path: Path, statement: str) -> None:
        file = tmp_path / "secret.csv"
        file.write_text("a,b\n1,2\n")
        with pytest.raises(UsageError, match="SQL"):
            engine.transform(statement.format(file=file, folder=tmp_path), {"flights": FLIGHTS}, where="group made")
        assert [each.name for each in tmp_path.glob("*.*")] == ["secret.csv"]

    def test_the_tables_of_one_statement_are_not_there_for_the_next(self, engine: Engine) -> None:
        engine.transform("SELECT * FROM flights", {"flights": FLIGHTS})
        with pytest.raises(UsageError, match="flights"):
            engine.transform("SELECT * FROM flights", {"planes": FLIGHTS})
