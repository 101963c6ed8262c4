"""What every way in refuses: what, where and what to do are said, and nothing is written.

`test_rows.py` holds the rules of single rows; here stand the frames and values that Arrow, pandas or Python would take
for something else, and the same demands on every message.
"""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from asof import Check, Entity, Feature, FeatureGroup
from asof.errors import ConflictError, DataError, NotFoundError, UsageError

WAYS = ("write", "backfill", "push")
NAIVE = datetime(2024, 1, 1, 5)  # noqa: DTZ001 - the case
SURROGATE = "\ud800"


@pytest.fixture
def planes():
    return FeatureGroup(
        "planes",
        entity=Entity("plane", keys={"tail": "string"}),
        online=True,
        features=[
            Feature("seats", "int64"),
            Feature("maker", "string"),
            Feature("built", "date"),
            Feature("cost", "decimal(6, 2)"),
        ],
        checks=[
            Check.not_null("seats"),
            Check.between("seats", 1, None),
            Check.matches("tail", "^N"),
            Check.one_of("maker", "A", "B"),
        ],
    )


@pytest.fixture
def plane():
    return {"tail": "N1", "seats": 5, "maker": "A", "built": date(2000, 1, 1), "cost": Decimal("1.50")}


@pytest.fixture
def refused(store, planes, plane, nothing_written):
    """Give a check of calls that must be refused: the error's class and parts, and nothing written or served anew."""
    store.apply(planes)
    store.backfill("planes", [plane])

    def served():
        return [
            (vector.values, vector.statuses, vector.event_times)
            for vector in (store.online("planes", {"tail": "N1"}), store.online("weather", {"origin": "JFK"}))
        ]

    def check(error, *uses, what, where=""):
        before = served()
        with nothing_written():
            for use in uses:
                with pytest.raises(error) as caught:
                    use()
                assert what in caught.value.what
                assert where in caught.value.where
                assert caught.value.todo
                assert str(caught.value).endswith(f"-> {caught.value.todo}")
        assert served() == before
        return caught.value

    return check


def every_way(store, group, rows, **options):
    return [lambda way=way: getattr(store, way)(group, rows, **options) for way in WAYS]


def both_ways(store, group, frame):
    return [lambda way=way: getattr(store, way)(group, frame) for way in ("write", "backfill")]


ROWS = {
    "a missing column": ({"seats": ...}, "column 'seats' is missing", ""),
    "a missing key": ({"tail": ...}, "column 'tail' is missing", ""),
    "an undeclared column": ({"wings": 2}, "column 'wings' is not declared", ""),
    "a name that is no text": ({7: 2}, "column '7' is not declared", ""),
    "text": ({"seats": "many"}, "row 0 holds 'many' (string), which is no int64", "column seats"),
    "a number for text": ({"maker": 7}, "row 0 holds 7 (int64), which is no string", "column maker"),
    "a bool for a number": ({"seats": True}, "row 0 holds True (bool), which is no int64", "column seats"),
    "a fraction": ({"seats": 5.5}, "row 0 holds 5.5 (double), which is no int64", "column seats"),
    "an infinite number": ({"seats": math.inf}, "row 0 holds inf (double), which is no int64", "column seats"),
    "a huge float": ({"seats": 1e300}, "row 0 holds 1e+300 (double), which is no int64", "column seats"),
    "2 ** 63": ({"seats": 2**63}, "row 0 of column 'seats' holds 9223372036854775808", "column seats"),
    "a huge number": ({"seats": -(2**70)}, "row 0 of column 'seats' holds -1180591620717411303424", "column seats"),
    "a complex number": ({"seats": 1j}, "row 0 of column 'seats' holds 1j", "column seats"),
    "an object": ({"maker": object()}, "row 0 of column 'maker' holds <object", "column maker"),
    "a lone surrogate": ({"maker": SURROGATE}, r"row 0 of column 'maker' holds '\ud800'", "column maker"),
    "a lone surrogate as key": ({"tail": SURROGATE}, r"row 0 of column 'tail' holds '\ud800'", "column tail"),
    "bytes that are no text": ({"maker": b"\xff"}, r"row 0 holds b'\xff' (binary), which is no string", "column maker"),
    "a finer decimal": ({"cost": Decimal("1.555")}, "row 0 holds Decimal('1.555')", "column cost"),
    "a larger decimal": ({"cost": Decimal("12345.00")}, "row 0 holds Decimal('12345.00')", "column cost"),
    "a float for a decimal": ({"cost": 1.5}, "row 0 holds 1.5 (double), which is no decimal128(6, 2)", "column cost"),
    "a time for a date": ({"built": datetime(2024, 1, 1, 5, tzinfo=UTC)}, "which is no date32[day]", "column built"),
    "a null key": ({"tail": None}, "null key in row 0", "column tail"),
    "pandas' null as key": ({"tail": pd.NA}, "null key in row 0", "column tail"),
    "a long key": ({"tail": "N" * 16_001}, "the key in row 0 has 16,001 bytes, 16,000 are allowed", ""),
    "a long row": ({"maker": "A" * 1_000_001}, "the row in row 0 has 1,000,", ""),
    "check not_null": ({"seats": None}, "1 row breaks 'seats not null' (row 0 holds None)", ""),
    "check between": ({"seats": 0}, "1 row breaks 'seats between 1 and None' (row 0 holds 0)", ""),
    "check one_of": ({"maker": "C"}, "1 row breaks 'maker one of 'A', 'B'' (row 0 holds 'C')", ""),
    "check matches": ({"tail": "D1"}, "1 row breaks 'tail matches '^N'' (row 0 holds 'D1')", ""),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_of_a_static_group_is_refused(store, plane, refused, case):
    change, what, column = ROWS[case]
    bad = {name: value for name, value in {**plane, **change}.items() if value is not ...}
    found = refused(DataError, *every_way(store, "planes", [bad]), what=what, where="group planes")
    assert column in found.where


TIMES = {
    "a naive time": (NAIVE, "naive times (row 0 holds 2024-01-01 05:00:00)", "column time_hour"),
    "a null": (None, "null event time in row 0", "column time_hour"),
    "pandas' null": (pd.NaT, "null event time in row 0", "column time_hour"),
    "a date": (date(2024, 1, 1), "date32[day] is no time", "column time_hour"),
    "text": ("2024-01-01T05:00Z", "row 0 holds '2024-01-01T05:00Z'", "column time_hour"),
    "a number": (1_704_067_200, "row 0 holds 1704067200", "column time_hour"),
    "beyond the skew": (
        datetime(2024, 1, 2, 0, 1, 0, 1, tzinfo=UTC),
        "row 0 lies in the future: 2024-01-02T00:01:00.000001Z",
        "",
    ),
    "the far future": (datetime(9999, 12, 31, tzinfo=UTC), "row 0 lies in the future: 9999-12-31T00:00:00Z", ""),
    "finer than a microsecond": (
        pd.Timestamp("2024-01-01T05:00:00.000000001Z"),
        "row 0 holds 1704085200000000001 ns",
        "column time_hour",
    ),
    "a NumPy day": (
        np.datetime64("2024-01-01"),
        "row 0 of column 'time_hour' holds np.datetime64('2024-01-01')",
        "column time_hour",
    ),
}


@pytest.mark.parametrize("case", TIMES)
def test_a_bad_event_time_is_refused(store, good, refused, case):
    value, what, column = TIMES[case]
    rows = [{**good, "time_hour": value}]
    found = refused(DataError, *every_way(store, "weather", rows), what=what, where="group weather")
    assert column in found.where


def test_an_event_at_the_end_of_the_skew_is_accepted(store, good, at):
    assert store.push("weather", {**good, "time_hour": at(24) + timedelta(minutes=1)}).rows == 1


MIXED = {
    "text among numbers": ("temp", [1.0, "warm"], 1, "'warm'"),
    "a number among texts": ("code", ["A", 7], 1, "7"),
    "a bool among numbers": ("runways", [1, True], 1, "True"),
    "a huge number among numbers": ("runways", [1, 2**70], 1, "1180591620717411303424"),
    "a number among times": ("time_hour", [datetime(2024, 1, 1, tzinfo=UTC), 5], 1, "5"),
    "text among times": ("time_hour", [datetime(2024, 1, 1, tzinfo=UTC), "noon"], 1, "'noon'"),
    "a date among times": (
        "time_hour",
        [datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1)],
        1,
        "datetime.date(2024, 1, 1)",
    ),
    "a naive time among times": ("time_hour", [datetime(2024, 1, 1, tzinfo=UTC), NAIVE], 1, "no time zone"),
    "text among lists": ("parts", [["x"], "x"], 1, "'x'"),
    "numbers among texts of a list": ("parts", [["x"], ["x", 1]], 1, "['x', 1]"),
    "the first of all": ("code", [object(), "A"], 0, "<object"),
}


@pytest.mark.parametrize("case", MIXED)
def test_a_column_of_several_types_names_the_odd_row(store, good, refused, case):
    name, values, row, shown = MIXED[case]
    rows = [{**good, "origin": "JFK", name: values[0]}, {**good, "origin": "LGA", name: values[1]}]
    columns = {n: [r[n] for r in rows] for n in good}
    array = np.empty(2, dtype=object)
    array[:] = values
    uses = every_way(store, "weather", rows)
    for frame in (
        columns,
        {**columns, name: array},
        {**columns, name: pd.Series(array)},
        pd.DataFrame({**columns, name: pd.Series(array)}),
    ):
        uses += both_ways(store, "weather", frame)
    found = refused(DataError, *uses, what=f"row {row}", where=f"group weather, column {name}")
    assert shown in found.what
    assert f"column {name!r}" in found.what
    assert found.data["row"] == row


def test_the_odd_row_is_found_among_many(store, plane, refused):
    rows = [{**plane, "tail": f"N{number}"} for number in range(5000)]
    rows[4321]["seats"] = "many"
    refused(
        DataError,
        lambda: store.backfill("planes", rows),
        what="mixes types: row 4321 holds 'many'",
        where="planes, column seats",
    )


def test_a_time_among_dates_is_not_cut_to_its_day(store, plane, refused):
    rows = [plane, {**plane, "tail": "N2", "built": datetime(2024, 1, 1, 5, tzinfo=UTC)}]
    refused(
        DataError, *every_way(store, "planes", rows), what="row 1 holds datetime.datetime(2024", where="column built"
    )


@pytest.mark.parametrize("pandas", [True, False])
def test_nanoseconds_of_objects_are_refused_or_cut_on_request(store, good, refused, pandas):
    times = [pd.Timestamp("2024-01-01T05:00Z"), pd.Timestamp("2024-01-01T05:00:00.000000999Z")]
    rows = [{**good, "origin": "LGA", "time_hour": times[0]}, {**good, "time_hour": times[1]}]
    frame = pd.DataFrame(rows).assign(time_hour=pd.Series(times, dtype=object)) if pandas else rows
    refused(
        DataError,
        lambda: store.backfill("weather", frame),
        what="row 1 holds 1704085200000000999 ns",
        where="column time_hour",
    )
    assert store.backfill("weather", frame, truncate=True).rows == 2


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("time_hour", pa.array([2**62], pa.timestamp("us", "UTC")), "4611686018427387904"),
        ("time_hour", pa.array([-(2**62)], pa.timestamp("us", "UTC")), "-4611686018427387904"),
        ("time_hour", pa.array([2**62], pa.timestamp("s", "UTC")), "4611686018427387904 s"),
        ("time_hour", pa.array([-(2**62)], pa.timestamp("us")), "-4611686018427387904 us"),
        ("seen", pa.array([2**62], pa.timestamp("us", "UTC")), "4611686018427387904"),
        ("day", pa.array([2**30], pa.date32()), "1073741824"),
        ("day", pa.array([-(2**30)], pa.date32()), "-1073741824"),
    ],
)
def test_times_and_dates_outside_of_the_calendar_are_refused(store, refused, at, name, values, unit):
    group = FeatureGroup(
        "visits",
        entity=Entity("visitor", keys={"k": "string"}),
        event_time="time_hour",
        features=[Feature("seen", "timestamp"), Feature("day", "date")],
    )
    store.apply(group)
    columns = {"k": ["a"], "time_hour": pa.array([at(1)]), "seen": pa.array([at(1)]), "day": [date(2024, 1, 1)]}
    frame = pa.table({**columns, name: values})
    refused(
        DataError, *both_ways(store, "visits", frame), what=f"row 0 holds {unit}", where=f"group visits, column {name}"
    )


def test_missing_values_of_pandas_in_records_are_nulls(store, good, plane, refused):
    assert (
        store.push(
            "weather", [{**good, "runways": pd.NA, "origin": "LGA"}, {**good, "runways": 3, "origin": "SFO"}]
        ).rows
        == 2
    )
    assert store.backfill("planes", [plane, {**plane, "tail": "N2", "built": pd.NaT, "cost": pd.NA}]).rows == 2
    assert store.online("weather", {"origin": "LGA"}).statuses["runways"] == "NULL"
    assert store.online("planes", {"tail": "N2"}).statuses["built"] == "NULL"


def test_floats_out_of_pandas_fit_a_whole_number_if_nothing_is_lost(store, plane, planes, refused):
    store.apply(
        FeatureGroup("sizes", entity=Entity("size", keys={"k": "int32"}), online=True, features=[Feature("n", "int64")])
    )
    frame = pd.DataFrame({"k": [1.0, 2.0], "n": [5.0, np.nan]})
    for way in ("write", "backfill"):
        assert getattr(store, way)("sizes", frame).rows == 2
    assert [store.online("sizes", {"k": k}).values["n"] for k in (1, 2)] == [5, None]
    for name, values, what in (
        ("n", [1.0, 5.5], "row 1 holds 5.5"),
        ("n", [1.0, 2.0**63], "row 1 holds 9.22"),
        ("k", [1.0, 2.5], "row 1 holds 2.5"),
        ("k", [1.0, np.nan], "null key in row 1"),
    ):
        bad = frame.assign(**{name: values})
        refused(DataError, *both_ways(store, "sizes", bad), what=what, where=f"group sizes, column {name}")


@pytest.mark.parametrize(
    "values", [pa.array([2**31]), pa.array([2**64 - 1], pa.uint64()), pa.array([-(2**31) - 1]), pa.array([1.5])]
)
def test_a_key_that_does_not_fit_its_width_is_refused(store, refused, values):
    store.apply(FeatureGroup("sizes", entity=Entity("size", keys={"k": "int32"}), features=[Feature("n", "int64")]))
    assert store.backfill("sizes", pa.table({"k": pa.array([1], pa.uint64()), "n": pa.array([1], pa.int8())})).rows == 1
    frame = pa.table({"k": values, "n": [1]})
    uses = both_ways(store, "sizes", frame) + both_ways(store, "sizes", pl.from_arrow(frame))
    refused(DataError, *uses, what=f"row 0 holds {values[0]}", where="group sizes, column k")


def test_two_columns_of_one_name_are_refused_in_every_frame(store, plane, refused):
    table = pa.Table.from_pylist([plane])
    twice = table.append_column("seats", table.column("seats"))
    numbered = pd.DataFrame([plane]).assign(**{"7": 1})
    numbered[7] = 1
    for frame, name in (
        (twice, "seats"),
        (twice.to_batches()[0], "seats"),
        (pa.RecordBatchReader.from_batches(twice.schema, twice.to_batches()), "seats"),
        (pd.concat([pd.DataFrame([plane]), pd.DataFrame({"seats": [1]})], axis=1), "seats"),
        (numbered, "7"),
        ([{**plane, "7": 1, 7: 1}], "7"),
        ({"7": [1], 7: [1]}, "7"),
    ):
        refused(
            DataError,
            lambda frame=frame: store.backfill("planes", frame),
            what=f"the frame has two columns {name!r}",
            where="group planes",
        )


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary_view(), "dictionary"]
)
@pytest.mark.parametrize("name", ["maker", "tail"])
def test_text_that_is_not_utf_8_is_refused_in_every_arrow_type(store, plane, refused, kind, name):
    if kind == "dictionary":
        raw = pa.array([b"\xff\xfe"])
        broken = pa.DictionaryArray.from_arrays([0], pa.StringArray.from_buffers(1, *raw.buffers()[1:]))
    elif kind in (pa.string(), pa.large_string()):
        raw = pa.array([b"\xff\xfe"], pa.binary() if kind == pa.string() else pa.large_binary())
        broken = pa.Array.from_buffers(kind, 1, raw.buffers())
    else:
        broken = pa.array([b"\xff\xfe"], kind)
    table = pa.Table.from_pylist([plane])
    table = table.set_column(table.column_names.index(name), name, broken)
    refused(
        DataError,
        *both_ways(store, "planes", table),
        what=r"row 0 holds b'\xff\xfe'",
        where=f"group planes, column {name}",
    )


def test_columns_of_different_lengths_are_refused(store, plane, refused):
    columns = {name: [value] for name, value in plane.items()}
    for longer in ([1, 2], np.array([1, 2]), np.zeros((1, 2))):
        refused(
            DataError,
            lambda longer=longer: store.backfill("planes", {**columns, "seats": longer}),
            what="cannot be read",
            where="planes",
        )


def test_rows_of_one_key_and_time_that_differ_are_refused(store, good, plane, refused):
    found = refused(
        DataError,
        *every_way(store, "weather", [good, {**good, "origin": "LGA"}, {**good, "temp": 2.0}]),
        what="rows 0 and 2 both describe {'origin': 'JFK'} at 2024-01-01T01:00:00Z",
        where="group weather",
    )
    assert found.data["rows"] == (0, 2)
    rows = [plane, {**plane, "seats": 6}]
    refused(DataError, *every_way(store, "planes", rows), what="rows 0 and 1 both describe", where="group planes")


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_frame_is_accepted_but_its_columns_are_looked_at(store, good, refused, way):
    put = getattr(store, way)
    commit = put("weather", [])
    assert (commit.kind, commit.rows) == (way, 0)
    if way == "push":
        return
    empty = pd.DataFrame([good]).iloc[:0]
    assert put("weather", empty).rows == 0
    assert put("weather", pa.Table.from_pylist([good]).slice(0, 0)).rows == 0
    assert put("weather", {name: [] for name in good}).rows == 0
    assert len(store.read("weather")) == 2
    refused(
        DataError,
        lambda: put("weather", empty.assign(wind=[])),
        what="column 'wind' is not declared",
        where="group weather",
    )
    refused(
        DataError,
        lambda: put("weather", empty.drop(columns="temp")),
        what="column 'temp' is missing",
        where="group weather",
    )


@pytest.mark.parametrize("first", WAYS)
def test_an_idempotency_key_stands_for_one_content(store, good, refused, at, first):
    row = {**good, "time_hour": at(20)}
    done = getattr(store, first)("weather", [row], idempotency_key="k")
    refused(
        ConflictError,
        *every_way(store, "weather", [{**row, "temp": 2.0}], idempotency_key="k"),
        what="idempotency_key 'k' was used with other content",
        where=done.id,
    )
    assert getattr(store, first)("weather", [row], idempotency_key="k").repeated


def test_options_of_a_wrong_type_are_refused_before_anything_is_staged(store, good, refused):
    for options, what in (
        ({"meta": {"by": object()}}, "is no dict of text"),
        ({"meta": {1: "x"}}, "meta={1: 'x'} is no dict of text"),
        ({"meta": "me"}, "meta='me' is no dict of text"),
        ({"idempotency_key": 5}, "idempotency_key=5 is no text"),
        ({"on_conflict": "first"}, "on_conflict='first' is not known"),
    ):
        refused(UsageError, *every_way(store, "weather", [good], **options), what=what, where="group weather")


def test_what_holds_no_rows_is_refused(store, good, refused):
    for rows, what in (
        (5, "int is no"),
        ("weather.csv", " is no"),
        (None, "NoneType is no"),
        ([good, 5], "list is no"),
        ([[1]], "list is no"),
    ):
        refused(UsageError, *every_way(store, "weather", rows), what=what)
    refused(
        UsageError,
        lambda: store.push("weather", pd.DataFrame([good])),
        what="DataFrame is no sequence",
        where="weather",
    )


def test_a_group_that_nobody_registered_is_refused(store, good, weather, refused):
    for name, todo in (
        ("wether", "did you mean 'weather'?"),
        ("weather@7", "did you mean 'weather@1'?"),
        ("", "known groups"),
    ):
        found = refused(NotFoundError, *every_way(store, name, [good]), what=f"unknown group {name!r}")
        assert todo in found.todo
    for name in (None, 5, weather):
        refused(UsageError, *every_way(store, name, [good]), what=f"{type(name).__name__} is no name of a group")


def test_an_inferred_group_is_refused_with_its_rows(store, refused, at):
    def infer(frame, **columns):
        return lambda: store.write("notes", frame, **({"keys": ["k"], "event_time": "t"} | columns))

    row = {"k": "a", "t": at(1), "x": 1}
    refused(NotFoundError, infer([row], keys=["kk"]), what="unknown column 'kk'", where="group notes")
    refused(NotFoundError, infer([row], event_time="tt"), what="unknown column 'tt'", where="group notes")
    refused(DataError, infer([{**row, "t": "noon"}]), what="column 't' is string, no time", where="group notes")
    refused(DataError, infer([{**row, "t": NAIVE}]), what="naive times", where="group notes, column t")
    refused(
        DataError,
        infer([row, {**row, "x": "y"}]),
        what="column 'x' mixes types: row 1 holds 'y'",
        where="group notes, column x",
    )
    refused(DataError, infer([{**row, "k": None}, row]), what="null key in row 0", where="group notes, column k")
    refused(UsageError, infer([{**row, "Big Name": 1}]), what="'Big Name' is no name for a feature")
    assert "notes" not in [group.definition.name for group in store.catalog.groups()]


def test_retirements_that_break_a_rule_are_refused(store, refused, at):
    def retire(keys, group="planes", **time):
        return lambda: store.retire(group, keys, **time)

    refused(
        UsageError,
        retire({"tail": "N1"}, event_time=at(3)),
        what="a static group has no event time",
        where="group planes",
    )
    refused(UsageError, retire({"origin": "JFK"}, "weather"), what="when did it end?", where="group weather")
    for time, what in (
        (NAIVE, "has no time zone"),
        ("noon", "event_time 'noon' is no datetime"),
        (date(2024, 1, 1), "is no datetime"),
    ):
        refused(UsageError, retire({"origin": "JFK"}, "weather", event_time=time), what=what)
    refused(
        DataError,
        retire({"origin": "JFK"}, "weather", event_time=at(25)),
        what="row 0 lies in the future",
        where="group weather",
    )
    refused(DataError, retire({"tail": None}), what="null key in row 0", where="group planes, column tail")
    refused(
        DataError,
        retire({"tail": 7}),
        what="row 0 holds 7 (int64), which is no string",
        where="group planes, column tail",
    )
    refused(DataError, retire({"tail": SURROGATE}), what="cannot be stored", where="group planes, column tail")
    refused(DataError, retire([{"tail": "N1"}, {"tail": 7}]), what="row 1 holds 7", where="group planes, column tail")
    refused(DataError, retire({"seats": 5}), what="column 'tail' is missing", where="group planes")
    refused(DataError, retire({"tail": "N1", "seats": 5}), what="column 'seats' is not declared", where="group planes")
    refused(NotFoundError, retire({"tail": "N1"}, "plane"), what="unknown group 'plane'")


def test_arrivals_that_break_a_rule_are_refused(store, good, plane, refused, at):
    def load(value, name="arrived"):
        return lambda: store.backfill("weather", [{**good, "arrived": value}], available_at=name)

    refused(DataError, load(at(2), "arived"), what="column 'arived' of arrivals is missing", where="group weather")
    refused(DataError, load(None), what="null arrival in row 0", where="group weather, column arrived")
    refused(DataError, load(NAIVE), what="naive times", where="group weather, column arrived")
    refused(DataError, load(at(24.1)), what="row 0 lies in the future", where="group weather, column arrived")


def test_names_of_commits_that_name_none_are_refused(store, refused):
    names = ("planes:99999999999999999999999", "planes:²", "planes:-1", "planes:", ":1", "planes", None, 5)
    refused(UsageError, *(lambda name=name: store.retract(name, reason="x") for name in names), what="names no commit")
    refused(NotFoundError, lambda: store.retract("planes:9", reason="x"), what="there is no commit planes@1:9")
    refused(NotFoundError, lambda: store.retract("plans:1", reason="x"), what="unknown group 'plans'")
