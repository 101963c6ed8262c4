"""Rows that break a rule: the error says what, where and what to do, and nothing is written, by any way in."""

import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from asof import Entity, Feature, FeatureGroup
from asof.errors import DataError, NotFoundError, UsageError

pytestmark = pytest.mark.slow


@pytest.fixture
def ways(store):
    """Give each way in, as a function of a group and a list of rows."""

    def together(group, rows):
        with store.together() as tx:
            tx.write("gates", [{"number": 7, "wing": 7, "t": store._parts.clock(), "busy": True}])
            tx.write(group, rows)

    return [store.write, store.backfill, store.push, together]


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


CASES = {
    "missing column": (lambda row, at: without(row, "temp"), r"column 'temp' is missing \[group weather\]"),
    "missing key": (lambda row, at: without(row, "origin"), r"column 'origin' is missing \[group weather\]"),
    "missing event time": (lambda row, at: without(row, "time_hour"), r"column 'time_hour' is missing"),
    "misspelt column": (
        lambda row, at: {**without(row, "temp"), "tmep": 1.0},
        r"column 'temp' is missing \[group weather\] -> did you mean 'tmep'",
    ),
    "undeclared column": (
        lambda row, at: {**row, "wind": 1.0},
        r"column 'wind' is not declared \[group weather\] -> drop it, or add it",
    ),
    "text for a number": (
        lambda row, at: {**row, "temp": "warm"},
        r"row 1 holds 'warm' \(string\), which is no double \[group weather, column temp\] -> convert the column",
    ),
    "number for text": (lambda row, at: {**row, "code": 7}, r"row 1 holds 7 \(int64\), which is no string"),
    "number for bool": (lambda row, at: {**row, "open": 1}, r"row 1 holds 1 \(int64\), which is no bool"),
    "fraction for whole": (
        lambda row, at: {**row, "runways": 4.5},
        r"row 1 holds 4.5 \(double\), which is no int32 \[group weather, column runways\]",
    ),
    "NaN for whole": (lambda row, at: {**row, "runways": math.nan}, r"row 1 holds nan \(double\), which is no int32"),
    "too large a number": (
        lambda row, at: {**row, "runways": 2**31},
        r"row 1 holds 2147483648 \(int64\), which is no int32",
    ),
    "far too large a number": (lambda row, at: {**row, "runways": 2**64}, r"runways"),
    "decimal for float": (lambda row, at: {**row, "temp": Decimal("1.5")}, r"row 1 holds Decimal\('1.5'\)"),
    "scalar for list": (lambda row, at: {**row, "parts": "x"}, r"row 1 holds 'x' \(string\), which is no list"),
    "list of another type": (lambda row, at: {**row, "parts": [1]}, r"row 1 holds \[1\] \(list<item: int64>\)"),
    "struct with another field": (lambda row, at: {**row, "box": {"at": at(0), "text": "n"}}, r"row 1 holds .*struct"),
    "naive time inside a struct": (
        lambda row, at: {**row, "box": {"at": datetime(2024, 1, 1), "note": "n"}},  # noqa: DTZ001 - the case
        r"row 1 holds .* \(struct<at: timestamp\[us\], .*column box",
    ),
    "text for a time": (
        lambda row, at: {**row, "time_hour": "2024-01-01"},
        r"string is no time \(row 1 holds '2024-01-01'\) \[group weather, column time_hour\] -> convert it",
    ),
    "date for a time": (
        lambda row, at: {**row, "time_hour": date(2024, 1, 1)},
        r"date32\[day\] is no time \(row 1 holds",
    ),
    "naive time": (
        lambda row, at: {**row, "time_hour": datetime(2024, 1, 1, 5)},  # noqa: DTZ001 - the case
        r"naive times \(row 1 holds 2024-01-01 05:00:00\) \[group weather, column time_hour\] -> give them a zone",
    ),
    "null key": (
        lambda row, at: {**row, "origin": None},
        r"null key in row 1 \[group weather, column origin\] -> filter",
    ),
    "null event time": (
        lambda row, at: {**row, "time_hour": None},
        r"null event time in row 1 \[group weather, column time_hour\]",
    ),
    "null that is not allowed": (
        lambda row, at: {**row, "open": None},
        r"null value in row 1 \[group weather, column open\]",
    ),
    "event in the future": (
        lambda row, at: {**row, "time_hour": at(24) + timedelta(seconds=60, microseconds=1)},
        r"row 1 lies in the future: 2024-01-02T00:01:00.000001Z \[group weather\] -> .*end at 2024-01-02T00:01:00Z",
    ),
    "broken check": (
        lambda row, at: {**row, "temp": 500.0},
        r"1 row breaks 'temp between -60 and 140' \(row 1 holds 500.0\) \[group weather\] -> mend the rows",
    ),
    "NaN outside of a range": (lambda row, at: {**row, "temp": math.nan}, r"breaks 'temp between -60 and 140'"),
    "value that is not allowed": (lambda row, at: {**row, "code": "C"}, r"breaks \"?'code one of 'A', 'B''.*'C'"),
    "pattern that is not matched": (
        lambda row, at: {**row, "origin": "jfk"},
        r"breaks .*origin matches '\^\[A-Z\]\*\$'",
    ),
    "key over 16 kB": (
        lambda row, at: {**row, "origin": "A" * 16_001},
        r"the key in row 1 has 16,001 bytes, 16,000 are allowed \[group weather\] -> store large objects elsewhere",
    ),
    "text over 1 MB": (
        lambda row, at: {**row, "box": {"at": None, "note": "x" * 1_000_001}},
        r"the row in row 1 has 1,000,\d+ bytes",
    ),
    "list over 1 MB": (
        lambda row, at: {**row, "parts": ["x" * 1000] * 1001},
        r"the row in row 1 has 1,00\d,\d+ bytes, 1,000,000",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_row_is_refused_by_every_way_in(nothing_written, ways, good, at, case):
    change, message = CASES[case]
    bad = change(dict(good), at)
    # A column has one type: the first row has null where the second has another type, and is left out where it may not.
    changed = {name: None for name in bad if bad[name] is not good.get(name)}
    first = {**good, "origin": "LGA", "time_hour": at(3)} | (
        changed if "holds" in message and "breaks" not in message else {}
    )
    alone = bad.keys() != good.keys() or ({"time_hour", "open"} & changed.keys() and "holds" in message)
    rows = [bad] if alone else [first, bad]
    if alone:
        message = message.replace("row 1", "row 0")
    for put in ways:
        with nothing_written(), pytest.raises(DataError, match=f"(?s){message}"):
            put("weather", rows)


def test_rows_of_several_types_name_the_odd_one(nothing_written, store, good):
    rows = [good, {**good, "origin": "LGA", "temp": "warm"}]
    with nothing_written(), pytest.raises(DataError, match="column 'temp' mixes types: row 1 holds 'warm'"):
        store.backfill("weather", rows)
    frame = pd.DataFrame([good, good])
    frame["code"] = pd.Series(["A", 7], dtype=object)
    with nothing_written(), pytest.raises(DataError, match="column 'code' mixes types: row 1 holds 7"):
        store.backfill("weather", frame)


@pytest.mark.parametrize("order", [1, -1])
def test_naive_times_among_aware_ones_are_refused(nothing_written, store, good, at, order):
    aware = at(1).astimezone(timezone(timedelta(hours=5)))
    rows = [{**good, "time_hour": time} for time in (aware, datetime(2024, 1, 1))][::order]  # noqa: DTZ001 - the case
    naive = 1 if order == 1 else 0
    for frame in (rows, {name: [row[name] for row in rows] for name in good}):
        with (
            nothing_written(),
            pytest.raises(DataError, match=f"'time_hour' mixes naive and aware times: row {naive} has no"),
        ):
            store.backfill("weather", frame)
    frame = pd.DataFrame(rows)
    frame["time_hour"] = pd.Series([row["time_hour"] for row in rows], dtype=object)
    with nothing_written(), pytest.raises(DataError, match="mixes"):
        store.backfill("weather", frame)


def test_a_time_finer_than_a_microsecond_is_refused_or_cut(nothing_written, store, good):
    frame = pa.table({name: [value] for name, value in good.items() if name != "time_hour"})
    times = pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", tz="UTC"))
    frame = frame.append_column("time_hour", times)
    with (
        nothing_written(),
        pytest.raises(DataError, match=r"row 0 holds 1700000000000000001 ns, no whole microsecond.*truncate=True"),
    ):
        store.backfill("weather", frame)
    assert store.backfill("weather", frame, truncate=True).rows == 1


def test_text_that_is_not_utf_8_is_refused(nothing_written, store, good):
    columns = {name: pa.array([value, value]) for name, value in good.items()}
    columns["origin"] = pa.array(["LGA", "JFK"])
    broken = pa.array([b"A", b"\xff\xfe"])
    text = pa.StringArray.from_buffers(2, broken.buffers()[1], broken.buffers()[2])
    for column in (broken, text):
        with (
            nothing_written(),
            pytest.raises(DataError, match=r"row 1 holds b'\\xff\\xfe' .*string \[group weather, column code\]"),
        ):
            store.backfill("weather", pa.table({**columns, "code": column}))
    nested = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), text)
    with nothing_written(), pytest.raises(DataError, match=r"row 1 holds .*column parts"):
        store.backfill("weather", pa.table({**columns, "parts": nested}))
    with nothing_written(), pytest.raises(DataError, match=r"row 1 holds .*column origin"):
        store.backfill("weather", pa.table({**columns, "origin": text}))


def test_rows_that_contradict_each_other_are_refused(nothing_written, ways, good, at):
    other = {**good, "origin": "LGA", "temp": 5.0}
    message = (
        r"rows 0 and 2 both describe \{'origin': 'JFK'\} at 2024-01-01T01:00:00Z, with different values "
        r"\[group weather\] -> drop one, or pass on_conflict=\"last\""
    )
    for put in ways:
        with nothing_written(), pytest.raises(DataError, match=message):
            put("weather", [good, other, {**good, "temp": 2.0}])


def test_whole_numbers_of_another_width_fit_if_they_fit(nothing_written, store, at):
    wide = pd.DataFrame(
        {"number": np.array([5], np.int64), "wing": np.array([6], np.uint8), "t": [at(2)], "busy": [True]}
    )
    assert store.backfill("gates", wide).rows == 1
    with (
        nothing_written(),
        pytest.raises(DataError, match=r"row 0 holds 40000 \(int64\), which is no int16 .*column number"),
    ):
        store.backfill("gates", wide.assign(number=40_000))
    with (
        nothing_written(),
        pytest.raises(DataError, match=r"row 0 holds 0.5 \(double\), which is no int64 .*column wing"),
    ):
        store.backfill("gates", wide.assign(wing=0.5))


def test_arrivals_that_make_no_sense_are_refused(nothing_written, store, good, at):
    for value, message in (
        (at(24.01), r"row 0 lies in the future: .*column arrived"),
        (None, r"null arrival in row 0 .*column arrived"),
        ("soon", r"string is no time"),
        (datetime(2024, 1, 1), r"naive times"),  # noqa: DTZ001 - the case
    ):
        with nothing_written(), pytest.raises(DataError, match=message):
            store.backfill("weather", [{**good, "arrived": value}], available_at="arrived")
    with nothing_written(), pytest.raises(DataError, match="column 'arrived' of arrivals is missing"):
        store.backfill("weather", [good], available_at="arrived")


def test_retirements_that_make_no_sense_are_refused(nothing_written, store, at):
    for keys, message in (
        ({"origin": None}, "null key in row 0"),
        ({"orign": "JFK"}, r"column 'origin' is missing.*did you mean 'orign'"),
        ({"origin": "JFK", "temp": 1.0}, "column 'temp' is not declared"),
        ({"origin": 7}, r"row 0 holds 7 \(int64\), which is no string"),
    ):
        with nothing_written(), pytest.raises(DataError, match=message):
            store.retire("weather", keys, event_time=at(3))
    with nothing_written(), pytest.raises(DataError, match="lies in the future"):
        store.retire("weather", {"origin": "JFK"}, event_time=at(25))
    with nothing_written(), pytest.raises(UsageError, match=r"event_time .* has no time zone"):
        store.retire("weather", {"origin": "JFK"}, event_time=datetime(2024, 1, 1))  # noqa: DTZ001 - the case


def test_what_is_no_frame_says_what_to_pass(nothing_written, store, good):
    for frame, message in (
        (7, r"int is no frame -> pass a pandas, polars or DuckDB frame"),
        ("weather.csv", "'weather.csv' is no frame"),
        (None, "NoneType is no frame"),
        ([1, 2], "list is no frame"),
        (good, r"column 'origin' is str, no list of values -> pass one record as a list"),
        ({"origin": "JFK"}, "column 'origin' is str, no list of values"),
    ):
        with nothing_written(), pytest.raises(UsageError, match=message):
            store.backfill("weather", frame)
    twice = pd.DataFrame([good, good]).iloc[:, [0, 0, 1]]
    with nothing_written(), pytest.raises(DataError, match="the frame has two columns 'origin'"):
        store.backfill("weather", twice)
    with nothing_written(), pytest.raises(DataError, match="the frame has two columns 'a'"):
        store.backfill("weather", pa.table([[1], [2]], names=["a", "a"]))
    with nothing_written(), pytest.raises(DataError):
        store.backfill("weather", {"origin": ["JFK", "LGA"], "temp": [1.0]})


SPINES = {
    "no key": (
        {"dest": ["JFK"], "at": "t"},
        "at",
        NotFoundError,
        r"unknown spine column 'origin' \[key origin of group weather\]",
    ),
    "no time": ({"origin": ["JFK"]}, "at", NotFoundError, r"unknown spine column 'at' \[time=\]"),
    "misspelt key": ({"orign": ["JFK"], "at": "t"}, "at", NotFoundError, r"'origin' .*did you mean 'orign'"),
    "null time": (
        {"origin": ["JFK"], "at": pa.nulls(1, pa.timestamp("us", "UTC"))},
        "at",
        DataError,
        r"null time in row 0 \[spine column at\]",
    ),
    "text time": ({"origin": ["JFK"], "at": ["noon"]}, "at", DataError, r"string is no time \(row 0 holds 'noon'\)"),
    "number for a key": (
        {"origin": [7], "at": "t"},
        "at",
        DataError,
        r"row 0 holds 7 \(int64\), which is no string \[spine column origin",
    ),
    "naive time": ({"origin": ["JFK"], "at": pa.array([datetime(2024, 1, 1)])}, "at", DataError, r"naive times"),  # noqa: DTZ001 - so
    "a feature's name": ({"origin": ["JFK"], "at": "t", "temp": [1]}, "at", UsageError, r"already has a column 'temp'"),
}


@pytest.mark.parametrize("case", SPINES)
def test_a_bad_spine_says_what_is_wrong(nothing_written, store, at, case):
    columns, time, error, message = SPINES[case]
    spine = pa.table({name: pa.array([at(3)]) if values == "t" else values for name, values in columns.items()})
    with nothing_written(), pytest.raises(error, match=message):
        store.historical("weather", spine, time=time)


def test_a_spine_key_of_another_width_fits_if_it_fits(store, at):
    frame = pl.DataFrame(
        {"number": [1, 2], "wing": [1, 1], "at": [at(3)] * 2}, schema_overrides={"number": pl.Int64, "wing": pl.UInt8}
    )
    answer = store.historical("gates", frame, time="at", known="event").to_native()
    assert answer["busy"].to_list() == [True, None]
    assert answer.schema["number"] == pl.Int64
    floats = pd.DataFrame({"number": [1.0, None], "wing": [1, 1], "at": [at(3)] * 2})
    assert store.historical("gates", floats, time="at", known="event").to_arrow().column("busy").to_pylist() == [
        True,
        None,
    ]
    with pytest.raises(
        DataError,
        match=r"row 1 holds 70000 \(int64\), which is no int16 \[spine column number, key number of group gates\]",
    ):
        store.historical("gates", frame.with_columns(number=pl.Series([1, 70_000])), time="at")
    with pytest.raises(DataError, match=r"row 0 holds 1.5"):
        store.historical("gates", floats.assign(number=1.5), time="at")


def test_unknown_names_come_with_what_was_meant(nothing_written, store, good, at):
    spine = [{"origin": "JFK", "at": at(3)}]
    for use, message in (
        (lambda: store.write("wether", [good]), "unknown group 'wether' -> did you mean 'weather'"),
        (lambda: store.backfill("wether", [good]), "did you mean 'weather'"),
        (lambda: store.push("wether", good), "did you mean 'weather'"),
        (lambda: store.read("wether"), "did you mean 'weather'"),
        (lambda: store.retire("wether", {"origin": "JFK"}, event_time=at(1)), "did you mean 'weather'"),
        (lambda: store.compact("wether"), "did you mean 'weather'"),
        (lambda: store.catalog.commits("wether"), "did you mean 'weather'"),
        (lambda: store.historical("departur", spine, time="at"), "did you mean 'departure'"),
        (lambda: store.online("departur", {"origin": "JFK"}), "did you mean 'departure'"),
        (lambda: store.verify("departur"), "did you mean 'departure'"),
        (lambda: store.read("weather@7"), "did you mean 'weather@1'"),
        (
            lambda: store.catalog.groups()[1].definition["tmp"],
            r"unknown feature 'tmp' \[group weather\] -> did you mean 'temp'",
        ),
        (lambda: store.read("weather", columns=["tmp"]), "did you mean 'temp'"),
        (lambda: store.read("zzz"), "known groups: gates, weather"),
    ):
        with nothing_written(), pytest.raises(NotFoundError, match=message):
            use()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Entity("Airport", {"k": "string"}), r"'Airport' is no name for a entity -> .*such as 'airport'"),
        (lambda: Entity("airport", {}), "has no keys"),
        (
            lambda: Entity("airport", {"k": "float64"}),
            r"key 'k' of entity 'airport' has type float64 -> a key is one of",
        ),
        (lambda: Entity("airport", {"k": "strng"}), r"'strng' is no type -> use one of"),
        (lambda: Feature("a__b", "int64"), "is no name for a feature"),
        (lambda: Feature("x", "vector<float32>"), "is no type"),
        (lambda: FeatureGroup("g", entity=Entity("e", {"k": "string"}), features=[]), "needs at least one feature"),
        (
            lambda: FeatureGroup("g", entity=Entity("e", {"k": "string"}), features=[Feature("x", "int64")], ttl="6h"),
            "a static group .* takes no ttl",
        ),
        (
            lambda: FeatureGroup(
                "g",
                entity=Entity("e", {"k": "string"}),
                event_time="t",
                ttl="6 hours",
                features=[Feature("x", "int64")],
            ),
            r"ttl '6 hours' is no length of time -> write \"6h\"",
        ),
        (
            lambda: FeatureGroup("g", entity=Entity("e", {"k": "string"}), features=[Feature("k", "int64")]),
            "'k'",
        ),
    ],
)
def test_a_bad_definition_is_refused_where_it_is_written(make, message):
    with pytest.raises(UsageError, match=message):
        make()
