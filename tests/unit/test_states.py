"""States are bytes that say what they are, quickly and in little room; functions of users are named, never called."""

import math
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.errors import NotFoundError, PermanentError, UsageError
from asof.testing.algebra import check_laws, decode, encode
from asof.windows import functions
from asof.windows.aggregation import Aggregation
from asof.windows.functions import Event, Function
from asof.windows.kinds import Window
from asof.windows.users import source_hash, users_function
from asof.windows.values import packed, unpacked

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**200), 2**200), st.floats(allow_nan=False), st.text(), st.binary(),
        st.dates(), st.datetimes(timezones=st.just(UTC), allow_imaginary=False).map(lambda at: at.replace(fold=0)), st.decimals(allow_nan=False, allow_infinity=False),
    ),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(VALUES)
def test_a_value_read_back_is_the_one_written(value):
    assert repr(unpacked(packed(value))) == repr(value)


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (functions.last(), Decimal("1.50")),
        (functions.first_k(2), date(2024, 2, 29)),
        (functions.greatest(), datetime(2024, 1, 1, tzinfo=UTC)),
        (functions.last(), [1, None, "a"]),
        (functions.last(), {"a": 1, "b": [b"\xff"]}),
        (functions.count_by(3), True),
        (functions.top_k(3), b"\0"),
    ],
)
def test_states_hold_values_of_every_type(function, value):
    state = function.of([Event(-5, b"\0k", value), Event(2**62, b"", None)])
    assert decode(function, encode(function, state)) == state


@pytest.mark.parametrize(
    ("function", "value", "size"),
    [
        (functions.count(), 1.5, 12),
        (functions.total(), 1e16 / 3, 160),
        (functions.total(), 1.7976931348623157e308, 300),
        (functions.variance(), 1.7976931348623157e308, 850),
        (functions.total(0), 2**63 - 1, 30),
        (functions.last(), 1.5, 50),
        (functions.last_k(5), 1.5, 200),
    ],
)
def test_states_are_small_however_many_events_they_are_of(function, value, size):
    state = function.of(Event(1_700_000_000_000_000 + number, b"a key", value) for number in range(1000))
    assert len(encode(function, state)) <= size


@pytest.mark.parametrize("data", [b"\xc3", b"\x90", b"\x93\x01\x02\x03"])
def test_bytes_that_are_no_state_are_told(data):
    for function in (functions.total(), functions.last_k(2), functions.count_distinct()):
        if (function.name, data) in {("last_k", b"\x90"), ("last_k", b"\x93\x01\x02\x03")}:
            continue  # which are states of it
        with pytest.raises(PermanentError, match="rebuild the online store"):
            decode(function, data)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        ("asof.testing.algebra:geometric_mean", st.floats(allow_nan=False)),
        ("asof.testing.algebra:time_span", st.text()),
    ],
)
def test_functions_of_users_hold_the_laws(function, values):
    check_laws(users_function(function), values)


def test_a_function_that_depends_on_the_order_is_found_out():
    floats = Function("sum of floats", 0.0, lambda event: event.value, float.__add__, lambda state, _: state)
    with pytest.raises((AssertionError, ExceptionGroup)):
        check_laws(floats, st.sampled_from([1e16, 1.0, -1e16]))


def test_functions_of_users_are_found_by_module_and_name(tmp_path, monkeypatch):
    (tmp_path / "mine_of_test.py").write_text(
        "from asof.windows.functions import Function, count\n"
        "import dataclasses\n"
        "many = dataclasses.replace(count(), gives='int64')\n"
        "untold = count()\n"
        "def made():\n"
        "    raise AssertionError('nothing is called')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked = Aggregation("f", "mine_of_test:many", Window("lifetime"))
    assert asked.algebra().name == "mine_of_test:many"
    assert asked.algebra().finish(asked.algebra().of([Event(0, b"")]), 0) == 1
    assert len(source_hash("mine_of_test:many")) == 64
    for name, error, match in (
        ("mine_of_test:made", UsageError, "no asof.windows.functions.Function"),
        ("mine_of_test:untold", UsageError, "what it gives"),
        ("mine_of_test:none", NotFoundError, "has no none"),
        ("not_there_of_test:none", NotFoundError, "cannot import"),
        ("os:system", UsageError, "no asof.windows.functions.Function"),
    ):
        with pytest.raises(error, match=match):
            Aggregation("f", name, Window("lifetime")).algebra()
    for wrong in ("a b:c", "os:", ":x", "os:a.b", "os:system()", "..os:x"):
        with pytest.raises(NotFoundError, match="unknown function"):
            Aggregation("f", wrong, Window("lifetime"))
    del sys.modules["mine_of_test"]


def test_one_nan_comes_back():
    function = functions.last()
    assert decode(function, encode(function, function.of([Event(0, b"", math.nan)]))).value is functions.math.nan
