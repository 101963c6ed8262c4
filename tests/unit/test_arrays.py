"""Columns as arrays: one form for one row and for a million."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from asof.arrow.arrays import EXACT, from_array, kind_of, one_maker, one_taker, to_array
from asof.arrow.types import arrow_type
from asof.definitions.types import parse_type
from asof.errors import DataError

VALUES = {
    "bool": [True, None, False],
    "int8": [1, None, -128],
    "int32": [1, None, -(2**31)],
    "int64": [0, None, EXACT],
    "float32": [0.5, None, 1e30],
    "float64": [0.1, None, -1e300],
    "string": ["a", None, ""],
    "bytes": [b"a", None, b""],
    "date": [date(2026, 3, 1), None, date(1969, 12, 31)],
    "timestamp": [datetime(2026, 3, 1, 12, 0, 0, 1, UTC), None, datetime(1960, 1, 1, tzinfo=UTC)],
    "decimal(9, 2)": [Decimal("1.50"), None, Decimal("-0.01")],
    "vector<float32, 2>": [[0.5, 1.5], None, [2.0, -3.0]],
    "vector<int64, 1>": [[5], None, [-5]],
    "list<int64>": [[1, 2], None, []],
    "struct<a: int64>": [{"a": 1}, None, {"a": None}],
}


@pytest.fixture(params=VALUES)
def case(request):
    dtype = parse_type(request.param)
    return dtype, VALUES[request.param]


def test_a_column_comes_back_as_it_was(case):
    dtype, values = case
    array = to_array(pa.chunked_array([pa.array(values, arrow_type(dtype))]), dtype, where="x")
    assert array.dtype == kind_of(dtype)
    assert from_array(array, dtype, 3, where="x").to_pylist() == pa.array(values, arrow_type(dtype)).to_pylist()


def test_one_value_is_given_as_a_column_of_one(case):
    dtype, values = case
    make = one_maker(dtype, where="x")
    for value in values:
        one, column = make(value), to_array(pa.array([value], arrow_type(dtype)), dtype, where="x")
        assert one.dtype == column.dtype
        assert one.shape == column.shape
        np.testing.assert_array_equal(one, column)
        assert one_taker(dtype, where="x")(one) == from_array(column, dtype, 1, where="x")[0].as_py()


def test_no_row_is_an_array_of_the_same_type(case):
    dtype, _ = case
    array = to_array(pa.chunked_array([], arrow_type(dtype)), dtype, where="x")
    assert (array.dtype, len(array)) == (kind_of(dtype), 0)
    assert from_array(array, dtype, 0, where="x").type == arrow_type(dtype)


@pytest.mark.parametrize("given", [lambda: one_maker(parse_type("int64"), where="feature id"), None])
def test_an_integer_that_float64_would_round_is_refused(given):
    with pytest.raises(
        DataError, match=r"9007199254740993 does not fit float64 exactly[\s\S]*feature id[\s\S]*mode=\"row\""
    ):
        if given is None:
            to_array(pa.array([1, EXACT + 1]), parse_type("int64"), where="feature id")
        else:
            given()(EXACT + 1)


@pytest.mark.parametrize(
    ("given", "dtype", "said"),
    [
        (np.zeros(3), "float64", "3 values for 2 rows"),
        (1.5, "float64", "one float for 2 rows"),
        (np.array([1.5, 2.0]), "int64", "1.5 is no int64"),
        (np.array([1e300, 2.0]), "int64", "is no int64"),
        (np.array([2.0, 0.0]), "bool", "0 and 1"),
        (np.array(["a", "b"]), "float64", "float64|double"),
        (np.array([1.0, 2.0]), "string", "string"),
        ([[1.0], [2.0, 3.0]], "vector<float64, 2>", "no vector"),
        (np.array([1, 300]), "int8", "300"),
    ],
)
def test_what_does_not_fit_is_refused(given, dtype, said):
    with pytest.raises(DataError, match=said):
        from_array(given, parse_type(dtype), 2, where="feature f")


@pytest.mark.parametrize(
    ("given", "dtype", "values"),
    [
        (np.array([np.nan, -0.0]), "float64", [None, 0.0]),
        (np.array([np.nan, 2.0]), "int32", [None, 2]),
        (np.array([True, False]), "bool", [True, False]),
        (np.array([1.0, np.nan]), "bool", [True, None]),
        (np.ma.array([1, 2], mask=[False, True]), "int64", [1, None]),
        (np.array(["NaT", "2026-03-01"], "datetime64[s]"), "date", [None, date(2026, 3, 1)]),
        (np.array(["a", None], object), "string", ["a", None]),
        (np.array(["a", "bc"]), "string", ["a", "bc"]),
        ([1.5, None], "float64", [1.5, None]),
        (pa.array([1.5, None]), "float64", [1.5, None]),
        (np.array([[1.0, 2.0], [np.nan, np.nan]]), "vector<float32, 2>", [[1.0, 2.0], None]),
    ],
)
def test_what_functions_give_is_taken(given, dtype, values):
    assert from_array(given, parse_type(dtype), 2, where="x").to_pylist() == values
