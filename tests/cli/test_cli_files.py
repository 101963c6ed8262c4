"""Data files in and out: what is read is what the group declares, and damage is named."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from asof.cli.files import read_table, write_batches, write_table
from asof.errors import DataError
from asof.ingest.csv_file import read_csv

MOMENT = pa.timestamp("us", tz="UTC")


@pytest.fixture
def text(tmp_path):
    def write(content):
        path = tmp_path / "x.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def column(path, name, arrow, **options):
    return read_csv(path, {name: arrow}, **options).column(name).to_pylist()


@pytest.mark.parametrize(
    ("arrow", "given", "value"),
    [
        (pa.int8(), "-7", -7),
        (pa.int64(), str(2**62 + 1), 2**62 + 1),
        (pa.float32(), "1.5", 1.5),
        (pa.bool_(), "true", True),
        (pa.string(), "007", "007"),
        (pa.string(), '"a,\nb"', "a,\nb"),
        (pa.string(), "NA", "NA"),
        (pa.binary(), "ab", b"ab"),
        (pa.date32(), "2025-01-06", datetime(2025, 1, 6).date()),  # noqa: DTZ001 - a day has no zone
        (MOMENT, "2025-01-06T01:00:00.000001+01:00", datetime(2025, 1, 6, 0, 0, 0, 1, UTC)),
        (MOMENT, "2025-01-06 00:00Z", datetime(2025, 1, 6, tzinfo=UTC)),
        (pa.decimal128(10, 2), "1.25", Decimal("1.25")),
        (pa.list_(pa.int64()), '"[1, null]"', [1, None]),
        (pa.list_(pa.float32(), 2), '"[1, 2]"', [1.0, 2.0]),
        (pa.struct([("a", pa.int64())]), '"{""a"": 1}"', {"a": 1}),
    ],
)
def test_a_value_has_the_declared_type(text, arrow, given, value):
    path = text(f"id,x\n1,{given}\n2,\n")
    assert column(path, "x", arrow) == [value, None]
    assert read_csv(path, {"x": arrow}).schema.field("x").type == arrow
    # The same by the slower way, taken when another column does not fit at once.
    slow = text(f"id,x,t\n1,{given},2025-01-06\n2,,\n")
    table = read_csv(slow, {"x": arrow, "t": MOMENT}, timezone="UTC")
    assert table.column("x").to_pylist() == [value, None]
    assert table.schema.field("t").type == pa.timestamp("us")


def test_an_empty_field_is_null_and_a_quoted_one_an_empty_text(text):
    assert column(text('id,x\n1,\n2,""\n'), "x", pa.string()) == [None, ""]


@pytest.mark.parametrize(
    ("arrow", "given", "message"),
    [
        (pa.int64(), "1.5", "row 1 holds '1.5', which is no int64"),
        (pa.int8(), "300", "row 1 holds '300', which is no int8"),
        (pa.float64(), "NA", "row 1 holds 'NA', which is no double"),
        (pa.bool_(), "maybe", "row 1 holds 'maybe', which is no bool"),
        (MOMENT, "yesterday", "row 1 holds 'yesterday', which is no time"),
        (pa.list_(pa.int64()), "1;2", "row 1 holds '1;2', which is no JSON"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(text, arrow, given, message):
    good = "2025-01-06T00:00:00Z" if arrow == MOMENT else "[1]" if pa.types.is_list(arrow) else "1"
    with pytest.raises(DataError) as caught:
        read_csv(text(f"id,x\n1,{good}\n2,{given}\n3,{good}\n"), {"x": arrow})
    assert message in str(caught.value)
    assert "column x" in str(caught.value)


def test_naive_times_are_refused_unless_a_zone_is_declared(text):
    path = text("id,t\n1,2025-01-06 10:00\n")
    with pytest.raises(DataError, match="naive times"):
        read_csv(path, {"t": MOMENT})
    assert read_csv(path, {"t": MOMENT}, timezone="Europe/Berlin").schema.field("t").type == pa.timestamp("us")


def test_naive_and_zoned_times_do_not_mix(text):
    path = text("id,t\n1,2025-01-06 10:00\n2,2025-01-06T10:00Z\n")
    with pytest.raises(DataError, match="row 0 holds '2025-01-06 10:00', which is no time"):
        read_csv(path, {"t": MOMENT}, timezone="UTC")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters_are_found(text, mark):
    assert read_csv(text(f"id{mark}x\n1{mark}2\n"), {}).to_pylist() == [{"id": 1, "x": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n", "Row #3: Expected 2 columns, got 1"),
        (b"", "Empty CSV file"),
        (b"a,b\n1,\xff\n", "invalid UTF8 data"),
    ],
)
def test_a_damaged_csv_is_named(text, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_csv(text(content), {"b": pa.string()})
    assert "x.csv" in str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
@pytest.mark.parametrize("damage", ["truncated", "other", "empty"])
def test_a_damaged_file_is_named(tmp_path, suffix, damage):
    path = tmp_path / f"x.{suffix}"
    write_table(pa.table({"a": list(range(1000))}), path)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "other": b"hello, world", "empty": b""}[damage])
    with pytest.raises(DataError, match="the file cannot be read as") as caught:
        read_table(path, {})
    assert str(path) in str(caught.value)


def test_an_arrow_stream_is_read_too(tmp_path):
    table = pa.table({"a": [1, 2]})
    with pa.ipc.new_stream(str(tmp_path / "x.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert read_table(tmp_path / "x.arrow", {}).equals(table)


def test_a_table_survives_its_way_through_a_csv(tmp_path):
    table = pa.table(
        {
            "s": pa.array(["a", "", None, 'q"\n,']),
            "t": pa.array([datetime(2025, 1, 6, 1, 2, 3, 4, UTC), None, None, None], MOMENT),
            "v": pa.array([[1.5, None], None, [], [2.0]], pa.list_(pa.float64())),
            "d": pa.array([Decimal("1.25"), None, None, None], pa.decimal128(10, 2)),
            "i": pa.array([2**62, None, -1, 0]),
        }
    )
    write_table(table, tmp_path / "x.csv")
    types = {field.name: field.type for field in table.schema}
    assert read_table(tmp_path / "x.csv", types).equals(table)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_a_file_is_there_only_when_it_is_whole(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_text("old")
    table = pa.table({"a": [1]})

    def batches():
        yield from table.to_batches()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_batches(table.schema, batches(), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "old")]


def test_an_unknown_suffix_is_a_wrong_call(error, loaded, tmp_path):
    assert "must end in .parquet" in error("backfill", loaded.store, "weather", loaded.path("README.md"), code=2)
    assert "must end in .parquet" in error("read", loaded.store, "weather", "--out", tmp_path / "x.xlsx", code=2)


def test_a_missing_file_is_a_wrong_call(error, loaded):
    assert "does not exist" in error("backfill", loaded.store, "weather", "none.csv", code=2)


def test_a_file_that_fails_leaves_no_commit(error, document, project, tmp_path):
    file = project.write("bad.csv", "origin,time_hour,temp,visib\nJFK,2025-02-01T00:00:00Z,warm,1\n")
    assert "row 0 holds 'warm', which is no double" in error("backfill", project.store, "weather", file)
    parquet.write_table(pa.table({"origin": ["JFK"]}), tmp_path / "x.parquet")
    assert "column 'time_hour' is missing" in error("backfill", project.store, "weather", tmp_path / "x.parquet")
    assert len(document("commits", project.store, "weather")["commits"]) == 1


def test_bytes_that_are_no_text_are_refused_as_csv_and_leave_no_file(tmp_path):
    table = pa.table({"x": pa.array([b"\xff\xfe"])})
    with pytest.raises(DataError, match=r"CSV is text.* -> write to a .parquet or .arrow file"):
        write_table(table, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())
