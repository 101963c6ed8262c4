"""Frames of every kind come in, and the caller's kind goes out with its own columns untouched."""

import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from asof import Entity, Feature, FeatureGroup
from asof.errors import DataError

ROWS = {"origin": ["JFK", "LGA"], "temp": [1.5, None], "visib": [10.0, 2.0]}


def relation(table):
    return duckdb.connect().from_arrow(table)


KINDS = {
    "pandas": lambda table: table.to_pandas(),
    "pandas with Arrow types": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
    "polars lazy": lambda table: pl.from_arrow(table).lazy(),
    "pyarrow": lambda table: table,
    "pyarrow batch": lambda table: pa.RecordBatch.from_pylist(table.to_pylist(), schema=table.schema),
    "pyarrow reader": lambda table: table.to_reader(),
    "duckdb": relation,
    "dicts": lambda table: table.to_pylist(),
    "columns": lambda table: table.to_pydict(),
    "columns of numpy": lambda table: {
        n: table.column(n).to_numpy() if n == "visib" else table.column(n) for n in table.column_names
    },
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def rows(at):
    return pa.table({**ROWS, "time_hour": pa.array([at(1), at(2)])}).select(["origin", "time_hour", "temp", "visib"])


def test_every_kind_of_frame_is_written_alike(store, weather, rows, kind):
    store.apply(weather())
    assert store.backfill("weather", KINDS[kind](rows)).rows == 2
    assert store.read("weather").to_arrow().to_pylist() == rows.to_pylist()


def test_every_kind_of_spine_is_answered_in_its_own_kind(store, weather, rows, kind, at):
    store.apply(weather(ttl=None))
    store.backfill("weather", rows)
    spine = pa.table({"origin": ["LGA", "SFO", "JFK"], "at": pa.array([at(2), at(2), at(2)])})
    frame = store.historical(
        "weather", KINDS[kind](spine.append_column("visits", pa.array([1.0, 2.0, 3.0]))), time="at"
    )
    native = frame.to_native()
    expected = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(kind.split()[0], pa.Table)
    assert isinstance(native, expected)
    assert frame.column_names == ["origin", "at", "visits", "temp", "visib"]
    assert frame.to_arrow().column("visib").to_pylist() == [2.0, None, 10.0]
    assert len(frame) == 3
    assert pa.table(frame).num_rows == 3  # anything that reads Arrow streams
    assert frame.to_polars()["visib"].to_list() == [2.0, None, 10.0]
    assert [batch.num_rows for batch in frame.batches(2)] == [2, 1]


def test_the_index_and_the_columns_of_a_pandas_spine_are_kept(store, weather, rows, at):
    store.apply(weather(ttl=None))
    store.backfill("weather", rows)
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["x", "y"])
    spine = pd.DataFrame(
        {
            "at": pd.to_datetime([at(2)] * 3),
            "origin": pd.Categorical(["LGA", None, "JFK"]),
            "naive": pd.to_datetime(["2020-01-01"] * 3),
            "month": pd.PeriodIndex(["2020-01"] * 3, freq="M"),
            "small": pd.array([1, None, 3], dtype="Int8"),
            "missing": [1.0, np.nan, 3.0],
            "object": [b"x", None, b"y"],
            7: [1, 2, 3],
        },
        index=index,
    )
    before = spine.copy()
    frame = store.historical("weather", spine, time="at")
    spine["later"] = 1
    answer = frame.to_pandas()
    assert answer.index.equals(index)
    assert answer.index.names == ["x", "y"]
    pd.testing.assert_frame_equal(answer[list(before.columns)], before)
    assert answer["visib"].tolist()[0::2] == [2.0, 10.0]
    assert list(answer.columns) == [*before.columns, "temp", "visib"]
    pd.testing.assert_frame_equal(frame.to_native(), answer)


def test_the_columns_of_a_polars_spine_are_kept(store, weather, rows, at):
    store.apply(weather(ttl=None))
    store.backfill("weather", rows)
    spine = pl.DataFrame(
        {
            "origin": pl.Series(["LGA", "JFK"], dtype=pl.Categorical),
            "at": [at(2)] * 2,
            "day": pl.Series([1, 2], dtype=pl.UInt8),
        }
    )
    answer = store.historical("weather", spine.lazy(), time="at").to_native()
    assert answer.select(spine.columns).equals(spine)
    assert answer.schema == {**spine.schema, "temp": pl.Float64, "visib": pl.Float64}
    assert answer["visib"].to_list() == [2.0, 10.0]


def test_a_column_of_a_spine_that_arrow_cannot_hold_is_named(store, weather, at):
    store.apply(weather())
    spine = pd.DataFrame({"origin": ["JFK"], "at": [at(1)], "thing": [object()]})
    with pytest.raises(DataError, match="'thing'"):
        store.historical("weather", spine, time="at")


def test_whole_numbers_with_missing_values_stay_whole_in_pandas(store, at):
    kinds = ("int8", "int16", "int32", "int64", "bool")
    group = FeatureGroup(
        "numbers",
        entity=Entity("thing", {"k": "string"}),
        event_time="t",
        features=[Feature(f"{d}_x", d) for d in kinds],
    )
    store.apply(group)
    big = 2**53 + 1
    full = {"k": "a", "t": at(1), "int8_x": 1, "int16_x": 2, "int32_x": 3, "int64_x": big, "bool_x": True}
    store.backfill("numbers", [full, {**dict.fromkeys(full), "k": "b", "t": at(1)}])
    spine = pd.DataFrame({"k": ["a", "b", "c"], "at": [at(2)] * 3})
    answer = store.historical("numbers", spine, time="at").to_pandas()
    assert [str(answer[f"{d}_x"].dtype) for d in kinds] == ["Int8", "Int16", "Int32", "Int64", "boolean"]
    assert answer["int64_x"][0] == big
    assert answer["int64_x"].isna().tolist() == [False, True, True]
    whole = store.historical("numbers", spine[:1], time="at").to_pandas()
    assert str(whole["int64_x"].dtype) == "int64"


def test_pandas_floats_that_are_whole_or_missing_fit_a_whole_number(store, at):
    group = FeatureGroup(
        "numbers", entity=Entity("thing", {"k": "int64"}), event_time="t", features=[Feature("n", "int64")], online=True
    )
    store.apply(group)
    store.backfill("numbers", pd.DataFrame({"k": [1, 2], "t": [at(1)] * 2, "n": [5.0, np.nan]}))
    assert store.read("numbers").to_arrow().column("n").to_pylist() == [5, None]
    with pytest.raises(DataError, match=r"row 1 holds 5.5 \(double\), which is no int64.*column n"):
        store.backfill("numbers", pd.DataFrame({"k": [1, 2], "t": [at(2)] * 2, "n": [5.0, 5.5]}))
    with pytest.raises(DataError, match=r"row 1 holds nan"):  # in Arrow NaN is a value
        store.backfill("numbers", pa.table({"k": [1, 2], "t": pa.array([at(2)] * 2), "n": [5.0, math.nan]}))


def test_nan_means_missing_from_pandas_and_itself_from_elsewhere(store, weather, at):
    store.apply(weather(checks=[]))
    columns = {"origin": ["JFK"], "time_hour": [at(1)], "temp": [math.nan], "visib": [-0.0]}
    statuses = {}
    for airport, frame in {"PD": pd.DataFrame(columns), "PL": pl.DataFrame(columns), "PA": pa.table(columns)}.items():
        table = (
            frame.assign(origin=airport) if airport == "PD" else pa.table(frame).set_column(0, "origin", [[airport]])
        )
        store.backfill("weather", table)
        spine = pa.table({"origin": [airport], "at": [at(2)]})
        row = store.historical("weather", spine, time="at", statuses=True).to_arrow().to_pylist()[0]
        statuses[airport] = row["temp__status"]
        assert math.copysign(1.0, row["visib"]) == 1.0
        assert row["temp"] is None if airport == "PD" else math.isnan(row["temp"])
    assert statuses == {"PD": "NULL", "PL": "PRESENT", "PA": "PRESENT"}


def test_nan_equals_nan_when_rows_are_compared(store, weather, at):
    store.apply(weather(checks=[]))
    other_nan = np.frombuffer(b"\x01\0\0\0\0\0\xf8\xff", dtype="<f8")[0]
    columns = {
        "origin": ["JFK", "JFK"],
        "time_hour": [at(1)] * 2,
        "temp": pa.array([math.nan, other_nan], from_pandas=False),
        "visib": [0.0, -0.0],
    }
    assert store.backfill("weather", pa.table(columns)).rows == 1


def test_vectors_come_out_as_frames_and_matrices(store, weather, rows):
    store.apply(weather(ttl=None))
    store.backfill("weather", rows)
    vectors = store.online("weather", [{"origin": "JFK"}, {"origin": "LGA"}, {"origin": None}])
    assert vectors.to_arrow().to_pylist() == [
        {"temp": 1.5, "visib": 10.0},
        {"temp": None, "visib": 2.0},
        {"temp": None, "visib": None},
    ]
    assert vectors.to_pandas()["visib"].tolist()[:2] == [10.0, 2.0]
    assert vectors.to_polars()["temp"].to_list() == [1.5, None, None]
    matrix = vectors.to_numpy()
    assert matrix.shape == (3, 2)
    assert matrix[0].tolist() == [1.5, 10.0]
    assert np.isnan(matrix[1, 0])
    assert [v.values["visib"] for v in vectors[:2]] == [10.0, 2.0]
    assert vectors[-1].statuses == {"temp": "MISSING", "visib": "MISSING"}
    assert store.online("weather", []).to_arrow().num_rows == 0
    assert store.online("weather", []).to_numpy().shape == (0, 2)
