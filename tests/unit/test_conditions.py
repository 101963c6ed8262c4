"""Conditions are values that JSON carries, and mistakes in writing them say what to write."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.errors import UsageError
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import Condition, col, condition_from
from asof.windows.kinds import Window

VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
        min_value=datetime(2, 1, 1),  # noqa: DTZ001 - Hypothesis wants it so
    ),
    st.decimals(allow_nan=False, allow_infinity=False),
)
NAMES = st.sampled_from(["a", "b", "c d"])
LEAVES = st.one_of(
    st.builds(lambda name, value: col(name) == value, NAMES, VALUES),
    st.builds(lambda name, value: col(name) <= value, NAMES, VALUES),
    st.builds(lambda name, values: col(name).is_in(values), NAMES, st.lists(VALUES, min_size=1, max_size=3)),
    st.builds(lambda name: col(name).is_null(), NAMES),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda part: st.one_of(
        part.map(Condition.__invert__),
        st.tuples(part, part).map(lambda pair: pair[0] & pair[1]),
        st.tuples(part, part).map(lambda pair: pair[0] | pair[1]),
    ),
)


@given(CONDITIONS)
def test_a_condition_read_back_from_json_is_the_one_written(condition):
    back = condition_from(json.loads(json.dumps(condition.document(), allow_nan=False)))
    assert (back, repr(back), hash(back)) == (condition, repr(condition), hash(condition))
    assert set(condition.columns) <= {"a", "b", "c d"}


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        (lambda: 1 < col("x") < 5, "for and"),
        (lambda: col("x") > 1 and col("y") < 2, "for and"),
        (lambda: (col("x") > 1) or (col("y") < 2), "for or"),
        (lambda: not (col("x") > 1), "for not"),
        (lambda: not col("x"), "== True"),
        (lambda: ~col("x"), "== True"),
        (lambda: col("x") > 1 & col("y") < 2, "in parentheses"),
        (lambda: col("x") == 1 | col("y") == 2, "in parentheses"),
        (lambda: (col("x") > 1) & col("y"), "for and"),
        (lambda: (col("x") > 1) & True, "for and"),
        (lambda: col("x") in [1, 2], "for and"),
        (lambda: col("x") == None, "is_null()"),  # noqa: E711 - the mistake
        (lambda: col("x") > col("y"), "with values"),
        (lambda: col("x").is_in("abc"), "a list of values"),
        (lambda: col("x").is_in([]), "at least one"),
        (lambda: col("x").is_in([1, None]), "is_null()"),
        (lambda: col("x").is_in(range(1001)), "at most 1000"),
        (lambda: col("x") == [1], "pass a value"),
        (lambda: col("x") == Decimal("NaN"), "pass a value"),
        (lambda: col("x") > datetime(2024, 1, 1), "aware"),  # noqa: DTZ001 - the mistake
        (lambda: col("x") == "\ud800", "surrogates"),
        (lambda: col(""), "col('name')"),
    ],
)
def test_mistakes_in_writing_conditions_say_what_to_write(wrong, advice):
    with pytest.raises(UsageError, match=advice.replace("(", r"\(").replace(")", r"\)")):
        wrong()


@pytest.mark.parametrize(
    "document",
    [
        None, "and", [], ["and"], ["and", [">", "x", 1]], ["not", ["null", "x"], ["null", "x"]], ["xor", "x", 1],
        [">", "x"], [">", "x", 1, 2], [">", 1, 1], ["in", "x"], ["null", "x", 1], [">", "x", None], [">", "x", [1]],
        [">", "x", {"float": "one"}], [">", "x", {"float": 1.5}], [">", "x", {"timestamp": 10**30}],
        [">", "x", {"timestamp": "now"}], [">", "x", {"bytes": "xyz"}], [">", "x", {"eval": "1"}], [">", "x", 1.5],
        [">", "x", {"decimal": "sNaN"}], [">", "x", {"decimal": "1", "float": "1"}],
    ],
)  # fmt: skip
def test_documents_that_are_no_condition_are_refused(document):
    with pytest.raises(UsageError):
        condition_from(document)


def test_a_document_that_is_too_deep_is_refused():
    document = ["null", "x"]
    for _ in range(100_000):
        document = ["not", document]
    with pytest.raises(UsageError):
        condition_from(document)
    condition = col("x").is_null()
    with pytest.raises(UsageError, match="50 levels"):
        for _ in range(100):
            condition = ~condition


def test_conditions_joined_alike_stay_flat():
    condition = col("x") > 0
    for number in range(200):
        condition = condition & (col("x") != number)
    assert (len(condition.parts), condition.depth) == (201, 2)


def test_values_are_those_that_columns_hold():
    assert (col("x") == np.int64(3)).values == (3,)
    assert repr((col("x") > -0.0).values) == "(0.0,)"
    assert math.isnan((col("x") > -float("nan")).values[0])
    assert (col("x") > 1) == (1 < col("x"))  # noqa: SIM300 - both ways
    assert (col("d") == date(2024, 1, 1)).predicate()({"d": date(2024, 1, 1)})
    assert not (col("gone") != 1).predicate()({})


def test_an_aggregation_uses_the_columns_of_its_condition_too():
    asked = Aggregation("f", "sum", Window("lifetime"), "n", where=(col("n") > 1) & (col("s") == "a"))
    assert asked.columns == ("n", "s")
    assert hash(asked) == hash(Aggregation("f", "sum", Window("lifetime"), "n", where=asked.where))
