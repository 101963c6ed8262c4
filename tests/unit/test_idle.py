"""A database that an engine gives up is the next engine's, with nothing left in it of the one before."""

import multiprocessing
import os

import duckdb
import pyarrow as pa
import pytest

from asof.engine.duckdb import DuckDBEngine
from asof.engine.idle import Idle, idle
from asof.engine.port import Rows
from asof.errors import PermanentError

HELD = Rows(pa.schema([("k", pa.string())]), ("k",), "at", 0, 1, journal=pa.table({"k": ["a"]}))


@pytest.fixture(autouse=True)
def none_waits():
    database = idle.take()
    yield
    for each in (database, idle.take()):
        if each is not None:
            each.close()


def same(one, other):
    """Return whether two connections lead to one database."""
    one.execute("CREATE SCHEMA mark")
    try:
        return bool(other.execute("SELECT 1 FROM duckdb_schemas() WHERE schema_name = 'mark'").fetchall())
    finally:
        one.execute("DROP SCHEMA mark")


def setting(database, name):
    return database.execute(f"SELECT current_setting('{name}')").fetchone()[0]


def test_the_next_engine_goes_on_with_the_database_under_its_own_settings(tmp_path):
    roots = [tmp_path / name for name in ("first", "second")]
    for root in roots:
        root.mkdir()
    first, second = (DuckDBEngine(root=str(root)) for root in roots)
    database = first._opened()
    first.close()
    assert setting(database, "temp_directory") == ""
    assert second._opened() is database
    assert setting(database, "temp_directory").startswith(str(roots[1]))
    assert setting(database, "TimeZone") == "UTC"
    assert not setting(database, "preserve_insertion_order")
    second.close()


def test_two_engines_at_a_time_have_a_database_each_and_one_is_kept():
    first, second = DuckDBEngine(), DuckDBEngine()
    databases = first._opened(), second._opened()
    assert not same(*databases)
    first.close()
    second.close()
    assert idle.take() is databases[1]
    assert idle.take() is None
    with pytest.raises(duckdb.ConnectionException):
        databases[0].cursor()
    databases[1].close()


def test_what_one_engine_registered_the_next_does_not_see():
    first, second = DuckDBEngine(), DuckDBEngine()
    with first._session(HELD) as (cursor, names):
        assert cursor.execute(f"SELECT k FROM {names['__asof_journal']}").fetchall() == [("a",)]
    del cursor
    database = first._opened()
    first.close()
    assert second._opened() is database
    with pytest.raises(duckdb.CatalogException):
        database.cursor().execute(f"SELECT k FROM {names['__asof_journal']}")
    second.close()


def test_a_database_that_somebody_still_reads_is_not_given_to_others():
    first, second = DuckDBEngine(), DuckDBEngine()
    with first._session(HELD) as (cursor, names):
        rows = cursor.sql(f"SELECT k FROM {names['__asof_journal']}").to_arrow_reader(1)
    first.close()
    assert idle.take() is None
    second._opened()
    assert rows.read_all().to_pylist() == [{"k": "a"}]
    second.close()


def test_a_database_with_limits_is_not_given_to_others():
    DuckDBEngine("duckdb:?threads=1").close()
    assert idle.take() is None
    engine, limited = DuckDBEngine(), None
    database = engine._opened()
    engine.close()
    limited = DuckDBEngine("duckdb:?threads=1")
    assert not same(database, limited._opened())
    limited.close()


def test_a_closed_engine_stays_closed():
    engine, other = DuckDBEngine(), DuckDBEngine()
    engine._opened()
    for _ in range(2):
        engine.close()
    other._opened()
    with pytest.raises(PermanentError, match="closed"), engine._session(HELD):
        pass
    engine.close()
    assert idle.take() is None  # it is the other engine's
    other.close()


def of_child(answers):
    answers.put(idle.take() is None)
    answers.close()
    answers.join_thread()
    os._exit(0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_none():
    engine = DuckDBEngine()
    engine._opened()
    engine.close()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=of_child, args=(answers,))
    child.start()
    assert answers.get(timeout=60)
    child.join(60)


def test_when_the_program_ends_none_is_kept():
    ending, database = Idle(), duckdb.connect(":memory:")
    ending.keep(database)
    ending.close()
    late = duckdb.connect(":memory:")
    ending.keep(late)
    assert ending.take() is None
    for each in (database, late):
        with pytest.raises(duckdb.ConnectionException):
            each.cursor()
