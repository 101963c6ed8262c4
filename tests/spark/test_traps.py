"""What Spark does otherwise than others, and no answer may show."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asof.arrow.layout import stored_rows
from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.duckdb import DuckDBEngine
from asof.engine.port import FOUND, STATUS_COLUMN, TIME_COLUMN, Rows
from asof.engine.spark import windows
from asof.engine.spark.engine import SparkEngine
from asof.errors import TransientError
from asof.records import COMMIT_COLUMN, DataFile, Stamp
from asof.testing.played import times
from asof.testing.spark import SPARK
from asof.testing.stored import AT_US, every_type, every_value, rows_of, stored_as
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark_session")]


@pytest.fixture
def engine(tmp_path):
    engine = SparkEngine(SPARK, root=str(tmp_path))
    yield engine
    engine.close()


def looked_up(engine, rows: Rows) -> pa.Table:
    names = [feature.name for feature in every_type().features]
    spine = pa.table({"k": ["full", "none", "zz"], TIME_COLUMN: times([AT_US + 20] * 3)})
    return engine.look_up(spine, rows, columns=names, known="event", ttl_us=None)


def test_files_are_those_of_the_list_whatever_their_folders_are_called(engine, tmp_path: Path) -> None:
    rows = stored_as(every_type(), every_value(), tmp_path, "file")
    (place, file, stamp) = rows.files[0]
    folder = tmp_path.joinpath("text=5", "number=x", "a b%20c", "a[b]{c}*?,d", "back\\slash", "é")
    folder.mkdir(parents=True)
    there = shutil.copy(place, folder)
    moved = replace(rows, files=((str(there), file, stamp),))
    assert looked_up(engine, moved).equals(looked_up(DuckDBEngine(), rows))


@pytest.mark.parametrize(
    ("zone", "kind", "where"),
    [("America/New_York", "TIMESTAMP_NTZ", "file"), ("Asia/Kathmandu", "TIMESTAMP_LTZ", "journal")],
)
def test_times_are_instants_in_a_session_of_any_zone(engine, spark_session, tmp_path: Path, zone, kind, where) -> None:
    rows = stored_as(every_type(), every_value(), tmp_path, where)
    wanted = looked_up(DuckDBEngine(), rows)
    changed = {"spark.sql.session.timeZone": zone, "spark.sql.timestampType": kind, "spark.sql.ansi.enabled": "false"}
    before = {name: spark_session.conf.get(name) for name in changed}
    try:
        for name, value in changed.items():
            spark_session.conf.set(name, value)
        assert looked_up(engine, rows).equals(wanted)
    finally:
        for name, value in before.items():
            spark_session.conf.set(name, value)


def test_a_session_that_ignores_missing_files_misses_none(engine, spark_session, tmp_path: Path) -> None:
    rows = stored_as(every_type(), every_value(), tmp_path, "file")
    spark_session.conf.set("spark.sql.files.ignoreMissingFiles", "true")
    try:
        Path(rows.files[0][0]).unlink()
        with pytest.raises(TransientError, match="a data file is gone"):
            looked_up(engine, rows)
    finally:
        spark_session.conf.unset("spark.sql.files.ignoreMissingFiles")


def test_no_view_is_left_behind(engine, spark_session, tmp_path: Path) -> None:
    looked_up(engine, stored_as(every_type(), every_value(), tmp_path, "both"))
    assert spark_session.catalog.listTables() == []


def test_files_of_many_commits_are_told_apart_by_their_names(engine, tmp_path: Path) -> None:
    group = FeatureGroup(
        "g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("n", "int64")], event_time="t", delay="1h"
    )
    files = []
    for commit in range(1, 71):  # more than are told apart by conditions elsewhere
        table = pa.table({"k": [0, commit], "t": times([AT_US, AT_US]), "n": [commit, commit]})
        place = str(tmp_path / f"{commit}.parquet")
        pq.write_table(stored_rows(group, table), place)
        how = ("commit", "delay")[commit % 2]
        files.append((place, DataFile(place, 2, 1, AT_US, AT_US), Stamp(commit, AT_US + commit, how)))
    rows = replace(rows_of(group), pin=70, files=tuple(files))
    spine = pa.table({"k": [*range(71), 0], TIME_COLUMN: times([AT_US + 70] * 71 + [AT_US + 35])})
    asked = {"columns": ["n"], "known": "served", "ttl_us": None}
    found = engine.look_up(spine, rows, **asked)
    assert found.equals(DuckDBEngine().look_up(spine, rows, **asked))
    assert found.column(COMMIT_COLUMN).to_pylist() == [70, *range(1, 71), 35]


def test_a_key_with_a_third_of_all_rows_is_answered(engine, tmp_path: Path) -> None:
    """A join by key alone would make 900 million pairs of it."""
    group = FeatureGroup("g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("n", "int64")], event_time="t")
    random = np.random.default_rng(5)

    def keys(count: int) -> np.ndarray:
        return np.where(random.random(count) < 0.3, 0, random.integers(1, 1000, count))

    at = np.sort(random.integers(0, 10**9, 100_000))
    table = pa.table({"k": keys(100_000), "t": times((AT_US + at).tolist()), "n": np.arange(100_000)})
    table = table.group_by(["k", "t"]).aggregate([("n", "max")]).rename_columns(["k", "t", "n"])
    rows = stored_as(group, table, tmp_path, "file", at_us=AT_US + 10**9)
    spine = pa.table({"k": keys(100_000), TIME_COLUMN: times((AT_US + random.integers(0, 10**9, 100_000)).tolist())})
    asked = {"columns": ["n"], "known": "event", "ttl_us": None}
    found = engine.look_up(spine, rows, **asked)
    assert found.equals(DuckDBEngine("duckdb:as-of").look_up(spine, rows, **asked))
    assert (found.column(STATUS_COLUMN).to_numpy() == FOUND).mean() > 0.9


def counts(engine, rows: Rows, on: str, keys, at_us, *, reach_us: int) -> pa.Table:
    asked = [Aggregation("many", "count", Window("exact", reach_us)), Aggregation("mean", "mean", SHORT, "x")]
    spine = pa.table({on: keys, TIME_COLUMN: times(at_us)})
    return engine.aggregate(spine, rows, on=[on], aggregations=asked, known="event")


SHORT = Window("hop", 1_000, 300)


def test_a_key_in_bands_of_time_has_the_events_of_its_windows(engine, tmp_path: Path, monkeypatch) -> None:
    """Windows reach into the band before; every part is seen to be one."""
    monkeypatch.setattr(windows, "PART_ROWS", 500)
    group = FeatureGroup(
        "g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("x", "float64")], event_time="t"
    )
    random = np.random.default_rng(3)
    at = AT_US + np.arange(5_000) * 7
    keys = np.where(random.random(5_000) < 0.3, 0, random.integers(1, 9, 5_000))
    table = pa.table({"k": keys, "t": times(at.tolist()), "x": random.random(5_000)})
    rows = stored_as(group, table, tmp_path, "file", at_us=AT_US + 100_000)
    asked = {"keys": keys[::20], "at_us": (at[::20] + random.integers(0, 2_000, 250)).tolist(), "reach_us": 2_500}
    cut = windows.Cut.of(rows, [Aggregation("many", "count", Window("exact", 2_500))], at_once=2)
    assert (cut.buckets, cut.band_us) == (10, 3_500)
    found = counts(engine, rows, "k", **asked)
    assert found.equals(counts(DuckDBEngine(), rows, "k", **asked))
    assert len(set(found.column("many").to_pylist())) > 20


def test_an_event_that_was_moved_to_another_entity_counts_there_alone(engine, tmp_path: Path, monkeypatch) -> None:
    """Its rows belong to other parts, each of which must see which of them is the newest."""
    monkeypatch.setattr(windows, "PART_ROWS", 1)
    group = FeatureGroup(
        "g",
        entity=Entity("e", keys={"k": "int64"}),
        features=[Feature("of", "int64"), Feature("x", "float64")],
        event_time="t",
    )
    files = []
    for commit, shift in ((1, 0), (2, 1)):
        table = pa.table(
            {"k": range(20), "t": times([AT_US] * 20), "of": [k + shift for k in range(20)], "x": [1.0] * 20}
        )
        place = str(tmp_path / f"{commit}.parquet")
        pq.write_table(stored_rows(group, table), place)
        files.append((place, DataFile(place, 20, 1, AT_US, AT_US), Stamp(commit, AT_US + commit, "commit")))
    rows = replace(rows_of(group), pin=2, files=tuple(files))
    found = counts(engine, rows, "of", [*range(22), None], [AT_US + 10] * 23, reach_us=100)
    assert found.column("many").to_pylist() == [0, *[1] * 20, 0, None]
