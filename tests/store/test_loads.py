"""Loads in parts: what does not fit memory becomes one commit, as if it had."""

from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof import Entity, Feature, FeatureGroup
from asof.arrow.hashes import row_hashes
from asof.errors import ConflictError, DataError, NotFoundError, PermanentError, UsageError
from asof.ingest import load, write
from asof.ingest.prepare import digest_of, digest_of_parts
from asof.parts import pinned_rows

ROWS = 40


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Let a part have five rows, and compare few hashes at once."""
    monkeypatch.setattr(write, "PART_ROWS", 5)
    monkeypatch.setattr(load, "PART_ROWS", 4)
    monkeypatch.setattr(load, "SLICE_HASHES", 8)


@pytest.fixture
def loaded(store, weather):
    store.apply(weather())
    return store


def frame(at, order=None):
    """Give rows of two airports, in some order."""
    rows = [
        {"origin": airport, "time_hour": at(hour), "temp": float(hour), "visib": None if hour % 3 else 1.0}
        for hour in range(ROWS // 2)
        for airport in ("JFK", "LGA")
    ]
    table = pa.Table.from_pylist([rows[n] for n in (order or range(ROWS))])
    return table.set_column(1, "time_hour", table["time_hour"].cast(pa.timestamp("us", "UTC")))


def reader(table, rows=2):
    return table.to_reader(max_chunksize=rows)


def stored(store, name="weather"):
    return store.read(name, clocks=True).to_arrow()


def files(store):
    return [file for file, _ in store._parts.log.snapshot(store._parts.registry.group("weather")).files]


def left_behind(store):
    """Give what lies in the folder and belongs to no commit."""
    live = set(store._parts.log.files())
    history = store._root / "history"
    return {f"{p.parent.name}/{p.name}" for p in history.glob("*/*.parquet*")} - live


def test_a_parquet_file_is_loaded_in_parts_as_one_commit_and_is_read_as_the_same_rows(loaded, at, tmp_path, clock):
    place = tmp_path / "rows.parquet"
    pq.write_table(frame(at), place)
    commit = loaded.backfill("weather", str(place))
    assert (commit.rows, commit.number) == (ROWS, 1)
    assert commit.max_event_us == int(at(ROWS // 2 - 1).timestamp() * 1e6)
    assert len(files(loaded)) == ROWS // 5
    in_parts = stored(loaded)
    assert in_parts.num_rows == ROWS
    loaded.retract(commit, reason="again")
    clock.move(seconds=1)
    loaded.backfill("weather", frame(at))
    assert stored(loaded).drop_columns(["__commit"]).equals(in_parts.drop_columns(["__commit"]))
    vector = loaded.online("weather", {"origin": "JFK"})
    assert vector.values["temp"] == ROWS / 2 - 1


@pytest.mark.parametrize("kind", ["path", "dataset", "scanner", "parquet file", "reader", "duckdb"])
def test_every_kind_of_frame_that_is_not_in_memory_is_read_in_parts(loaded, at, tmp_path, kind):
    place = tmp_path / "rows.parquet"
    table = frame(at)
    pq.write_table(table, place)
    given_frame = {
        "path": lambda: place,
        "dataset": lambda: ds.dataset(place),
        "scanner": lambda: ds.dataset(place).scanner(batch_size=3),
        "parquet file": lambda: pq.ParquetFile(place),
        "reader": lambda: reader(table),
        "duckdb": lambda: duckdb.from_arrow(table),
    }[kind]()
    assert loaded.backfill("weather", given_frame).rows == ROWS
    assert stored(loaded).num_rows == ROWS


def test_an_empty_file_is_a_commit_of_no_rows(loaded, at, tmp_path):
    pq.write_table(frame(at).slice(0, 0), tmp_path / "none.parquet")
    assert loaded.backfill("weather", tmp_path / "none.parquet").rows == 0


def test_equal_rows_of_different_parts_collapse_and_different_ones_are_refused(loaded, at):
    twice = [*range(20), *range(10), *range(20, ROWS)]
    assert loaded.backfill("weather", reader(frame(at, twice))).rows == ROWS
    other = frame(at, twice).to_pylist()
    other[25]["temp"] = 99.0
    changed = pa.Table.from_pylist(other, schema=frame(at).schema)
    with pytest.raises(DataError, match=r"two rows describe \{'origin': 'LGA'\} at 2024-01-01T02:00:00Z, with diff"):
        loaded.backfill("weather", reader(changed))
    assert not left_behind(loaded)
    commit = loaded.backfill("weather", reader(changed), on_conflict="last")
    rows = [row for row in stored(loaded).to_pylist() if row["__commit"] == commit.number]
    assert len(rows) == ROWS
    assert [r["temp"] for r in rows if r["origin"] == "LGA" and r["time_hour"] == at(2)] == [99.0]


def test_a_bad_row_of_a_late_part_refuses_the_whole_load_and_leaves_nothing(loaded, at):
    rows = frame(at).to_pylist()
    rows[33]["temp"] = 999.0
    bad = pa.Table.from_pylist(rows, schema=frame(at).schema)
    with pytest.raises(DataError, match=r"row 33 holds 999.0\) \[group weather\]"):
        loaded.backfill("weather", reader(bad))
    assert loaded.catalog.commits("weather") == []
    assert not left_behind(loaded)


def test_a_disk_that_refuses_a_part_leaves_nothing(loaded, at, monkeypatch):
    history = loaded._parts.history
    stage, count = history.stage, [0]

    def refuse(table, rows):
        count[0] += 1
        if count[0] == 4:
            raise PermanentError("no space for the history")
        return stage(table, rows)

    monkeypatch.setattr(history, "stage", refuse)
    with pytest.raises(PermanentError, match="no space"):
        loaded.backfill("weather", reader(frame(at)))
    assert not left_behind(loaded)
    assert loaded.quality.doctor().healthy


def test_a_load_is_stored_once_under_its_key_however_it_comes(loaded, at):
    table = frame(at)
    first = loaded.backfill("weather", reader(table), idempotency_key="once")
    shuffled = table.take(np.random.default_rng(1).permutation(ROWS))
    assert loaded.backfill("weather", reader(shuffled, 3), idempotency_key="once") == first
    again = loaded.backfill("weather", table, idempotency_key="once")
    assert again.repeated
    assert again == first
    assert not left_behind(loaded)
    with pytest.raises(ConflictError, match="other content"):
        loaded.backfill("weather", reader(table.slice(1)), idempotency_key="once")
    assert not left_behind(loaded)


def test_what_is_no_file_of_rows_is_refused(loaded, tmp_path):
    with pytest.raises(NotFoundError, match="there is no file"):
        loaded.backfill("weather", tmp_path / "none.parquet")
    with pytest.raises(UsageError, match="pass a frame, or the path of a Parquet file"):
        loaded.backfill("weather", "weather.csv")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="the file cannot be read"):
        loaded.backfill("weather", tmp_path / "torn.parquet")


def test_a_group_is_inferred_from_a_reader_that_is_read_once(store, at):
    with pytest.warns(match="inferred"):
        commit = store.write("new", reader(frame(at)), keys=["origin"], event_time="time_hour")
    assert commit.rows == ROWS


TIMES = st.integers(0, 3)
ITEMS = st.tuples(st.sampled_from([("a", 1), ("a", 2), ("b", 1)]), TIMES, st.sampled_from([None, 1.0, 2.0]), TIMES)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(ITEMS, min_size=6, max_size=25),
    recorded=st.booleans(),
    static=st.booleans(),
    on_conflict=st.sampled_from(["error", "last"]),
    rows=st.integers(1, 4),
)
def test_a_load_in_parts_stores_what_the_same_rows_in_memory_do(store, at, items, recorded, static, on_conflict, rows):
    recorded = recorded and not static
    entity = Entity("thing", {"k": "string", "n": "int64"})
    time = None if static else "t"
    groups = [
        FeatureGroup(name, entity=entity, event_time=time, features=[Feature("x", "float64")])
        for name in ("whole", "parts")
    ]
    store.apply(*groups)
    columns = {"k": [i[0][0] for i in items], "n": [i[0][1] for i in items], "x": pa.array([i[2] for i in items])}
    if not static:
        columns["t"] = pa.array([at(i[1]) for i in items]).cast(pa.timestamp("us", "UTC"))
    if recorded:
        columns["arrived"] = pa.array([at(5) + timedelta(hours=i[3]) for i in items]).cast(pa.timestamp("us", "UTC"))
    table = pa.table(columns)
    options = {"on_conflict": on_conflict, "idempotency_key": "once"}
    if recorded:
        options["available_at"] = "arrived"
    found = []
    for name, given_frame in (("whole", table), ("parts", table.to_reader(max_chunksize=rows))):
        try:
            commit = store.backfill(name, given_frame, **options)
            found.append((commit.rows, commit.min_event_us, commit.max_event_us, stored(store, name)))
        except DataError as error:
            found.append(error.what[-22:])
    if isinstance(found[0], tuple):
        assert store.backfill("parts", table, **options).repeated, "the digest is the same"
    for group in groups:
        store.catalog.remove(group.name)
    assert found[0] == found[1]


def test_a_digest_does_not_depend_on_the_batches(loaded, at):
    loaded.backfill("weather", frame(at))
    rows, _ = pinned_rows(loaded._parts, loaded._parts.registry.group("weather"))
    table = loaded._parts.engine.stamped(rows).read_all()
    for size in (1, 7, 100):
        assert digest_of_parts(lambda size=size: table.to_batches(max_chunksize=size)) == digest_of(table)


def test_hashes_of_different_rows_differ():
    rng = np.random.default_rng(0)
    numbers, times = np.meshgrid(np.arange(300), np.arange(300) * 1_000_000)
    table = pa.table({"k": numbers.ravel(), "s": [str(n) for n in numbers.ravel()], "t": times.ravel()})
    for columns in (["k", "t"], ["s", "t"], ["k", "s", "t"]):
        hashes = row_hashes(table, columns)
        assert len(np.unique(hashes)) == table.num_rows
        order = rng.permutation(table.num_rows)
        assert (row_hashes(table.take(order), columns) == hashes[order]).all()
