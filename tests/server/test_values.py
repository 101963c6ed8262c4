"""Values in JSON: what goes out comes back as it was."""

import json
import math
from datetime import UTC

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.arrow.json_values import RowWriter, read_row, reader, readers, writer
from asof.arrow.types import arrow_type
from asof.definitions.types import parse_type
from asof.errors import UsageError

MOMENTS = st.datetimes(timezones=st.just(UTC))
VALUES = {
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "bytes": st.binary(),
    "date": st.dates(),
    "timestamp": MOMENTS,
    "decimal(38, 2)": st.decimals(-(10**30), 10**30, places=2),
    "list<float64>": st.lists(st.none() | st.floats()),
    "vector<bytes, 2>": st.lists(st.binary(), min_size=2, max_size=2),
    "list<list<timestamp>>": st.lists(st.lists(st.none() | MOMENTS)),
    "struct<a: float64, b: struct<c: bytes>>": st.fixed_dictionaries(
        {"a": st.none() | st.floats(), "b": st.fixed_dictionaries({"c": st.binary()})}
    ),
}


def same(one, other):
    """Return whether values are the same; NaN is NaN, and -0.0 is not 0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("dtype", VALUES)
def test_a_value_of_any_type_survives_the_trip(dtype):
    write, read = writer(arrow_type(parse_type(dtype))), reader(parse_type(dtype))

    @given(VALUES[dtype])
    def check(value):
        sent = msgspec.json.encode(value if write is None else write(value))
        got = json.loads(sent)  # another program's parser
        assert same(value if read is None else read(got), value) if read else same(got, value)

    check()


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("float64", "nan"),
        ("bytes", "*"),
        ("bytes", 3),
        ("date", "2026-13-01"),
        ("date", 20260101),
        ("timestamp", "yesterday"),
        ("decimal(5, 2)", "a lot"),
        ("list<bytes>", ["*"]),
        ("list<float64>", "abc"),
        ("struct<a: bytes>", [1]),
    ],
)
def test_what_is_not_of_its_type_is_refused_with_its_name(dtype, given):
    with pytest.raises(UsageError, match="x="):
        read_row({"x": given}, readers({"x": parse_type(dtype)}), where="here")


def test_nulls_and_columns_nobody_declared_stay():
    assert read_row({"x": None, "y": 1}, readers({"x": parse_type("bytes")}), where="here") == {"x": None, "y": 1}


NAMES = ("class", "f_0", "a__b", "self", "__weakref__", "é", "value_1", "x")


@given(st.data(), st.lists(st.sampled_from(sorted(VALUES)), max_size=len(NAMES)))
def test_a_row_is_written_as_its_values_are_one_by_one(data, dtypes):
    schema = pa.schema([(name, arrow_type(parse_type(dtype))) for name, dtype in zip(NAMES, dtypes, strict=False)])
    values = [data.draw(st.none() | VALUES[dtype]) for dtype in dtypes]
    each = zip(map(writer, schema.types), values, strict=True)
    alone = [value if value is None or write is None else write(value) for write, value in each]
    before = list(values)
    assert msgspec.json.encode(RowWriter(schema).write(values)) == msgspec.json.encode(
        dict(zip(schema.names, alone, strict=True))
    )
    assert all(map(same, values, before))  # they are the caller's
