"""Every type survives write, files, journal, online store, compaction, restart and the way back, nulls included."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

import asof
from asof import Entity, Feature, FeatureGroup
from asof.arrow.types import arrow_type
from asof.definitions.types import parse_type

pytestmark = pytest.mark.slow

NAN = float("nan")
DAY = datetime(2024, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
TYPES = {
    "bool": [True, False],
    "int8": [-128, 127],
    "int16": [-(2**15), 2**15 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "float32": [1.5, NAN],
    "float64": [0.1, float("-inf")],
    "string": ["", "é\0 'quoted' \U0001f600"],
    "bytes": [b"", b"\xff\0\x80"],
    "date": [date(1, 1, 1), date(9999, 12, 31)],
    "timestamp": [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
    "decimal(10, 2)": [Decimal("-12345678.90"), Decimal("0.00")],
    "decimal(38, 10)": [Decimal("1E-10"), Decimal("9999999999999999999999999999.0123456789")],
    "list<int64>": [[2**60, None], []],
    "list<float64>": [[0.0, NAN, None], []],
    "list<string>": [["a", None, ""], []],
    "list<list<int8>>": [[[1], [], None], []],
    "vector<float32, 3>": [[1.0, 2.0, NAN], [0.0, None, 1.0]],
    "vector<int64, 2>": [[2**63 - 1, None], [2**53 + 1, -(2**63)]],
    "vector<timestamp, 2>": [[DAY, None], [DAY, DAY]],
    "list<vector<float64, 2>>": [[[1.0, 2.0], None], []],
    "struct<a: int64, b: string>": [{"a": 1, "b": "x"}, {"a": None, "b": None}],
    "struct<d: date, t: timestamp, v: vector<float64, 2>, y: bytes, f: float32>": [
        {"d": date(2020, 2, 29), "t": DAY, "v": [1.0, NAN], "y": b"\xff", "f": 0.5},
        {"d": None, "t": None, "v": None, "y": None, "f": None},
    ],
    "list<struct<a: timestamp, b: list<decimal(5, 2)>>>": [[{"a": DAY, "b": [Decimal("1.50"), None]}, None], []],
}


def plain(value):
    """Return a value with times as text, so that the class of a zone does not matter, and NaN equals NaN."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return repr(value)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_survives_every_way(folder, clock, at, dtype, behind):
    values = [*TYPES[dtype], None]
    keys = ["a", "b", "c"]
    arrow = arrow_type(parse_type(dtype))
    group = FeatureGroup(
        "things", entity=Entity("thing", {"k": "string"}), event_time="t", online=True, features=[Feature("x", dtype)]
    )
    expected = [plain(value) for value in values]

    def check(store, hour):
        spine = pa.table({"k": keys, "at": pa.array([at(hour)] * 3)})
        past = store.historical("things", spine, time="at", known="event").to_arrow().column("x")
        newest = store.read("things", latest=True).to_arrow().column("x")
        served = store.online("things", [{"k": key} for key in keys])
        again = [store.replay(vector.receipt) for vector in served]
        assert past.type == newest.type == served.to_arrow().column("x").type == arrow
        assert [plain(value) for value in past.to_pylist()] == expected
        assert [plain(value) for value in newest.to_pylist()] == expected
        assert [plain(vector.values["x"]) for vector in served] == expected
        assert [plain(replayed.values["x"]) for replayed in again] == expected
        assert [vector.statuses["x"] for vector in served] == ["PRESENT", "PRESENT", "NULL"]

    def table(hour):
        return pa.table({"k": keys, "t": pa.array([at(hour)] * 3), "x": pa.array(values, arrow)})

    with asof.open(folder, clock=clock) as opened:
        store = behind(opened)
        store.apply(group)
        store.backfill("things", table(1))
        check(store, 1)
        store.push("things", [{"k": k, "t": at(2), "x": value} for k, value in zip(keys, values, strict=True)])
        check(store, 2)
    with asof.open(folder, clock=clock) as opened:
        store = behind(opened)
        check(store, 2)
        sliced = pa.concat_tables([table(3).slice(2, 1), table(3).slice(0, 2)])
        store.write("things", sliced)
        check(store, 3)
        store.compact()
        check(store, 1)
        check(store, 3)
        assert store.quality.doctor().healthy
        assert store.verify("things").differences == ()


KEY_TYPES = {
    "bool": [True, False],
    "int8": [-128, 127],
    "int16": [-1, 1],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "string": ["", "a\0b"],
    "bytes": [b"", b"\0\xff"],
    "date": [date(1, 1, 1), date(9999, 12, 31)],
    "timestamp": [datetime(1, 1, 1, tzinfo=UTC), DAY],
}


@pytest.mark.parametrize("dtype", KEY_TYPES)
def test_every_type_of_key_is_found_again(store, at, dtype):
    one, other = KEY_TYPES[dtype]
    group = FeatureGroup(
        "things",
        entity=Entity("thing", {"k": dtype, "sub": "string"}),
        event_time="t",
        online=True,
        features=[Feature("x", "int64")],
    )
    store.apply(group)
    rows = [
        {"k": k, "sub": sub, "t": at(1), "x": n} for n, (k, sub) in enumerate([(one, "s"), (other, "s"), (one, "")])
    ]
    store.backfill("things", rows)
    store.push("things", {**rows[1], "t": at(2), "x": 10})
    keys = [{"k": row["k"], "sub": row["sub"]} for row in rows] + [{"k": other, "sub": ""}, {"k": None, "sub": "s"}]
    served = store.online("things", keys)
    assert [vector.values["x"] for vector in served] == [0, 10, 2, None, None]
    assert [vector.statuses["x"] for vector in served] == ["PRESENT"] * 3 + ["MISSING"] * 2
    assert [store.replay(vector.receipt).values["x"] for vector in served] == [0, 10, 2, None, None]
    past = store.historical("things", [{**key, "at": at(3)} for key in keys], time="at", known="event").to_arrow()
    assert past.column("x").to_pylist() == [0, 10, 2, None, None]
    store.retire("things", {"k": one, "sub": "s"}, event_time=at(3))
    assert store.online("things", keys[0]).statuses["x"] == "RETIRED"
    store.compact()
    assert store.quality.doctor().healthy


def test_long_keys_are_found_again(store, at):
    group = FeatureGroup(
        "things", entity=Entity("thing", {"k": "string"}), event_time="t", online=True, features=[Feature("x", "int64")]
    )
    store.apply(group)
    keys = ["a" * length for length in (509, 510, 511, 512, 600, 16_000)]
    store.backfill("things", [{"k": key, "t": at(1), "x": n} for n, key in enumerate(keys)])
    assert [v.values["x"] for v in store.online("things", [{"k": key} for key in keys])] == [0, 1, 2, 3, 4, 5]
    assert store.quality.doctor().healthy


def test_structs_given_in_another_order_of_fields_are_taken_by_name(store, at):
    group = FeatureGroup(
        "things",
        entity=Entity("thing", {"k": "string"}),
        event_time="t",
        features=[Feature("x", "struct<a: int64, b: string>")],
    )
    store.apply(group)
    store.push("things", {"k": "a", "t": at(1), "x": {"b": "y", "a": 1}})
    assert store.read("things").to_arrow().column("x").to_pylist() == [{"a": 1, "b": "y"}]
