"""External groups as the source of a transformation: what is new, and since when a made row is known."""

import os

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.external.conftest import airport, hour, rows, spine, weather

import asof
from asof import SQL, Feature, FeatureGroup
from asof.errors import DataError, NotFoundError, TransientError, UsageError


def warm(source, **parts):
    text = SQL("SELECT origin, t, temp > 20 AS warm FROM weather")
    given = {"entity": airport, "source": source, "transform": text, "features": [Feature("warm", "bool")]}
    return FeatureGroup("warm", **(given | parts))


def stored(store, **options):
    found = store.read("warm", clocks=True, **options).to_arrow().to_pylist()
    return [(each["origin"], each["t"], each["warm"], each["__available_at"]) for each in found]


@pytest.fixture
def put(tmp_path):
    """Give what writes a file of the folder, a second after the one before."""
    (tmp_path / "files").mkdir()
    seconds = iter(range(1_700_000_000, 1_700_100_000))

    def write(name, table):
        file = tmp_path / "files" / name
        pq.write_table(table, file)
        os.utime(file, (next(seconds),) * 2)

    return write


def test_a_made_row_is_known_when_the_group_says_its_row_was(store, put):
    put("a.parquet", rows(("JFK", 1, 25.0), ("LGA", 2, 15.0)))
    source = weather("parquet:../files", delay="3h")
    store.apply(source, warm(source, online=True))
    (commit,) = store.materialize("warm")
    assert (commit.kind, commit.availability, commit.meta["source"]) == ("backfill", "column", "a.parquet")
    assert stored(store) == [("JFK", hour(1), True, hour(4)), ("LGA", hour(2), False, hour(5))]
    assert store.online("warm", {"origin": "JFK"}).values == {"warm": True}
    given = spine(("JFK", 3), ("JFK", 4))
    for known in ("served", "event"):
        of_source = store.historical("weather", given, time="at", known=known).to_arrow().column("temp").to_pylist()
        of_made = store.historical("warm", given, time="at", known=known).to_arrow().column("warm").to_pylist()
        assert of_made == [None if temp is None else temp > 20 for temp in of_source]


def test_a_recorded_arrival_is_carried_over(store, put):
    put("a.parquet", rows(("JFK", 1, 25.0, 30), ("LGA", 2, 15.0, 31)))
    source = weather("parquet:../files", available_at="known_at")
    store.apply(source, warm(source))
    store.materialize("warm")
    assert [known for *_, known in stored(store)] == [hour(30), hour(31)]
    with pytest.raises(UsageError, match="each row says itself"):
        store.materialize("warm", backfill=True)


def test_new_and_changed_files_are_what_is_new(store, put):
    put("a.parquet", rows(("JFK", 1, 25.0)))
    source = weather("parquet:../files")
    store.apply(source, warm(source))
    store.materialize("warm")
    assert store.materialize("warm") == []
    put("b.parquet", rows(("JFK", 2, 15.0)))
    put("a.parquet", rows(("JFK", 1, 10.0)))
    assert [commit.meta["source"] for commit in store.materialize("warm")] == ["b.parquet", "a.parquet"]
    assert [made for _, _, made, _ in stored(store)] == [True, False, False]
    assert [commit.rows for commit in store.materialize("warm", full=True)] == [1, 1, 0, 0, 0]
    assert store.materialize("warm") == []


def test_a_bad_file_is_named_and_the_others_are_taken(store, put, tmp_path):
    source = weather("parquet:../files")
    store.apply(source, warm(source))
    put("a.parquet", rows(("JFK", 1, 25.0)))
    (tmp_path / "files" / "b.parquet").write_bytes(b"PAR1 half")
    put("c.parquet", rows(("JFK", 2, 15.0)).drop_columns(["temp"]))
    put("d.parquet", rows(("JFK", 3, 15.0), ("JFK", 3, 25.0)))
    put("e.parquet", rows(("JFK", 4, 15.0)))
    with pytest.raises(DataError, match="3 files could not be taken") as caught:
        store.materialize("warm")
    assert set(caught.value.data["failed"]) == {"b.parquet", "c.parquet", "d.parquet"}
    assert [each for _, each, _, _ in stored(store)] == [hour(1), hour(4)]


def test_the_made_group_keeps_the_contract_of_one_row_of_each(store, put):
    source = weather("parquet:../files")
    store.apply(source, warm(source, transform=SQL("SELECT origin, t, true AS warm FROM weather WHERE temp > 20")))
    put("a.parquet", rows(("JFK", 1, 25.0), ("LGA", 1, 15.0)))
    with pytest.raises(DataError, match="made 1 rows of 2"):
        store.materialize("warm")


def test_files_of_a_delta_table_are_taken_once(store, tmp_path):
    place = str(tmp_path / "table")
    write_deltalake(place, rows(("JFK", 1, 25.0), ("LGA", 1, 15.0)), partition_by=["origin"])
    source = weather("delta:../table")
    store.apply(source, warm(source))
    assert [commit.rows for commit in store.materialize("warm")] == [1, 1]
    assert store.materialize("warm") == []
    write_deltalake(place, rows(("JFK", 2, 30.0)), mode="append")
    assert [commit.rows for commit in store.materialize("warm")] == [1]
    DeltaTable(place).optimize.compact()
    assert [commit.rows for commit in store.materialize("warm")] == [2], "compacted: the same rows, as corrections"
    DeltaTable(place).delete("origin = 'LGA'")
    assert store.materialize("warm") == []
    assert len(store.read("warm", latest=True).to_arrow()) == 2, "deleted rows stay, until all is made anew"
    store.materialize("warm", full=True)
    assert stored(store) == [("JFK", hour(1), True, hour(1)), ("JFK", hour(2), True, hour(2))]


def test_a_place_that_is_not_there_is_an_error(store):
    for place in ("parquet:../none", "delta:../none"):
        source = weather(place)
        store.apply(source, warm(source))
        with pytest.raises(NotFoundError):
            store.materialize("warm")
        store.catalog.remove("warm")
        store.catalog.remove("weather")


def test_rows_of_a_server_are_asked_for_by_event_time(tmp_path, table):
    now = [hour(10)]
    with asof.open(tmp_path / "features", clock=lambda: now[0]) as store:
        table.put(rows(("JFK", 1, 25.0), ("LGA", 2, 15.0)), "origin text, t timestamptz, temp float8")
        source = weather(table.external(), delay="1h")
        store.apply(source, warm(source))
        (commit,) = store.materialize("warm")
        assert (commit.rows, commit.meta["source"]) == (2, "(the beginning, 2024-01-01T09:00:00Z]")
        assert [known for *_, known in stored(store)] == [hour(2), hour(3)]
        now[0] = hour(20)
        table.run(f"INSERT INTO {table.schema}.weather VALUES ('JFK', '2024-01-01T12:00Z', 30), "
                  "('JFK', '2024-01-01T03:00Z', 30), ('JFK', '2024-01-01T19:30Z', 30)")  # fmt: skip
        assert [each.rows for each in store.materialize("warm")] == [1], "not what came late, nor what may still come"
        assert [each.rows for each in store.materialize("warm", hour(2), hour(5))] == [1], "which is asked for again"
        table.run(f"DELETE FROM {table.schema}.weather WHERE origin = 'LGA'")
        kinds = [each.kind for each in store.materialize("warm", full=True)]
        assert kinds == ["backfill", "retract", "retract", "retract"]
        assert [(origin, t) for origin, t, _, _ in stored(store)] == [("JFK", hour(1)), ("JFK", hour(3)), ("JFK", hour(12))]  # fmt: skip
        assert store.materialize("warm") == []


def test_a_server_that_is_away_is_told_and_nothing_stored(store):
    source = weather("postgresql://nobody@127.0.0.1:1/none?table=weather")
    store.apply(source, warm(source))
    with pytest.raises(TransientError, match="does not answer"):
        store.materialize("warm")
    assert store.catalog.commits("warm") == []


def test_the_catalog_shows_what_it_is_made_of(store, put):
    put("a.parquet", rows(("JFK", 1, 25.0)))
    source = weather("parquet:../files")
    store.apply(source, warm(source))
    store.materialize("warm")
    facts = dict(store.catalog.describe("warm").facts)
    assert facts["source"] == "weather@1: one row of each of its rows"
    assert facts["materialized"] == "1 files"
    assert store.catalog.lineage("warm").reads == ("weather@1",)
    assert store.catalog.lineage("weather").read_by == ("warm@1",)
    with pytest.raises(UsageError, match="made from those of weather@1"):
        store.write("warm", [{"origin": "JFK", "t": hour(1), "warm": True}])
