"""Windows are the oracle's: which events they hold, and what functions make of them, however events are divided."""

import math
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asof.errors import DataError, UsageError
from asof.testing.algebra import decode, encode
from asof.testing.windows import Happening, Span, aggregate, in_window, ordered_key
from asof.windows import functions, sketches
from asof.windows.exact import rounded, units_of
from asof.windows.functions import Event
from asof.windows.kinds import Window
from asof.windows.users import users_function

HOUR = 3_600_000_000

FLOATS = st.one_of(
    st.floats(),
    st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 1e308, -1e308, 5e-324, 2.2e-308, math.inf, -math.inf, math.nan]),
).map(lambda value: math.nan if math.isnan(value) else value + 0.0)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
TEXTS = st.sampled_from(["", "a", "b", "é", "\U0001f600", "\ue000"])

# Function, the oracle's name for it, its values, how many it gives
CASES = {
    "count": (functions.count(), "count", TEXTS, 0),
    "count of values": (functions.count(events=False), "count_values", TEXTS, 0),
    "sum of integers": (functions.total(0), "sum", st.integers(-(2**50), 2**50), 0),
    "sum of decimals": (functions.total(2), "sum", st.decimals(-(10**9), 10**9, places=2), 0),
    "sum of floats": (functions.total(), "sum", FLOATS, 0),
    "mean of integers": (functions.mean(0), "mean", INTEGERS, 0),
    "mean of decimals": (functions.mean(2), "mean", st.decimals(-(10**9), 10**9, places=2), 0),
    "mean of floats": (functions.mean(), "mean", FLOATS, 0),
    "variance of integers": (functions.variance(0), "variance", INTEGERS, 0),
    "variance of decimals": (functions.variance(2), "variance", st.decimals(-(10**9), 10**9, places=2), 0),
    "variance of floats": (functions.variance(), "variance", FLOATS, 0),
    "stddev of floats": (functions.stddev(), "stddev", FLOATS, 0),
    "least float": (functions.least(), "min", FLOATS, 0),
    "greatest float": (functions.greatest(), "max", FLOATS, 0),
    "greatest text": (functions.greatest(), "max", TEXTS, 0),
    "first": (functions.first(), "first", TEXTS, 0),
    "last": (functions.last(), "last", TEXTS, 0),
    "first 2": (functions.first_k(2), "first_k", TEXTS, 2),
    "last 3": (functions.last_k(3), "last_k", FLOATS, 3),
    "different texts": (functions.count_distinct(), "count_distinct", TEXTS, 0),
    "different floats": (functions.count_distinct(), "count_distinct", FLOATS, 0),
    "different texts, at most 2 exactly": (sketches.count_distinct(2), "count_distinct", TEXTS, 0),
    "different floats, at most 256 exactly": (sketches.count_distinct(), "count_distinct", FLOATS, 0),
    "median of floats": (sketches.quantile(0.5), "quantile", FLOATS, 0),
    "tenth of decimals": (sketches.quantile(0.1), "quantile", st.decimals(-(10**9), 10**9, places=2), 0),
    "greatest quantile of integers": (sketches.quantile(1), "quantile", INTEGERS, 0),
    "by text": (functions.count_by(8), "count_by", TEXTS, 0),
    "by float": (functions.count_by(8), "count_by", FLOATS, 0),
    "about top 2": (sketches.top_k(2), "top_k", TEXTS, 2),
    "geometric mean": (
        users_function("asof.testing.algebra:geometric_mean"),
        "asof.testing.algebra:geometric_mean",
        FLOATS,
        0,
    ),
    "time span": (users_function("asof.testing.algebra:time_span"), "asof.testing.algebra:time_span", TEXTS, 0),
    "top 2": (functions.top_k(2), "top_k", TEXTS, 2),
    "any": (functions.any_true(), "any", st.booleans(), 0),
    "all": (functions.all_true(), "all", st.booleans(), 0),
    "since the last": (functions.since_last(), "since_last", TEXTS, 0),
}

QUANTILES = {"median of floats": 0.5, "tenth of decimals": 0.1, "greatest quantile of integers": 1}


@st.composite
def happenings(draw, values=TEXTS, *, min_size=0):
    """Make events of different identities, in their order."""
    moments = st.tuples(st.integers(-5, 20).map(lambda each: each * HOUR // 4), st.sampled_from(["a", "b", "ab"]))
    when = draw(st.lists(moments, unique=True, min_size=min_size, max_size=8))
    found = [Happening(time, (name,), draw(st.none() | values)) for time, name in when]
    return sorted(found, key=lambda each: (each.time, ordered_key(each.key)))


def event(happening):
    return Event(happening.time, happening.key[0].encode(), happening.value)


def same(one, other):
    """Compare to the bit, NaN equal to NaN; the oracle's sum of nothing is 0, of whatever type."""
    return repr(one) == repr(other) or (one == other and isinstance(other, int | Decimal))


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
def test_a_function_makes_of_events_what_the_oracle_does_in_any_order_and_however_they_are_divided(case, data):
    function, name, values, most = CASES[case]
    held = data.draw(happenings(values))
    wanted = aggregate(name, held, t := 6 * HOUR, most=most, q=QUANTILES.get(case, 0))
    assert same(function.finish(function.of(map(event, held)), t), wanted)
    shuffled = data.draw(st.permutations(held))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(held)), max_size=3)))
    tiles = [shuffled[start:end] for start, end in pairwise([0, *cuts, len(held)])]
    states = [function.of(map(event, tile)) for tile in data.draw(st.permutations(tiles))]
    kept = [encode(function, state) for state in states]
    read = [decode(function, data) for data in kept]
    assert all(one == other or same(one, other) for one, other in zip(read, states, strict=True))  # a state may be NaN
    assert function.merge(function.of(()), function.of(())) == function.empty
    merged = function.empty
    for state in states:
        merged = function.merge(merged, state)
    assert same(function.finish(merged, t), wanted)


@pytest.mark.parametrize("case", [name for name, (function, *_) in CASES.items() if function.remove])
@given(data=st.data())
def test_what_is_taken_out_of_a_state_was_never_in_it(case, data):
    function, _, values, _ = CASES[case]
    held = data.draw(happenings(values))
    at = data.draw(st.integers(0, len(held)))
    shuffled = data.draw(st.permutations(held))
    state = function.remove(function.of(map(event, shuffled)), function.of(map(event, shuffled[:at])))
    assert state == function.of(map(event, shuffled[at:]))


WINDOWS = st.one_of(
    st.builds(Span, st.just("exact"), st.integers(1, 3 * HOUR)),
    st.builds(Span, st.sampled_from(["hop", "sawtooth"]), st.integers(1, 3 * HOUR), st.integers(1, 2 * HOUR)),
    st.builds(Span, st.sampled_from(["hop", "sawtooth"]), st.just(2 * HOUR), st.sampled_from([HOUR, 3 * HOUR])),
    st.just(Span("lifetime")),
    st.builds(Span, st.just("session"), st.sampled_from([1, HOUR // 4, HOUR // 4 + 1, HOUR])),
)


@given(held=happenings(), span=WINDOWS, data=st.data())
@example(held=[Happening(-HOUR, ("a",), None)], span=Span("hop", 2 * HOUR, HOUR), data=None)
def test_a_window_holds_the_events_that_the_oracles_does(held, span, data):
    edges = [each.time + span.length_us for each in held] + [each.time for each in held] + [0]
    t = -1 if data is None else data.draw(st.sampled_from(edges)) + data.draw(st.sampled_from([-1, 0, 1]))
    visible = [each for each in held if each.time <= t]
    window = Window(span.kind, span.length_us, span.hop_us)
    after, until = window.bounds(t)
    inside = [each for each in visible if (after is None or after < each.time) and each.time <= until]
    assert inside[window.count_from([each.time for each in inside], t) :] == in_window(visible, span, t)


@given(st.lists(FLOATS, max_size=20))
def test_a_sum_of_floats_is_the_exact_one_rounded_once(values):
    total = functions.total()
    got = total.finish(total.of(Event(0, b"", value) for value in values), 0)
    if all(map(math.isfinite, values)):
        try:
            assert same(got, math.fsum(values) + 0.0) or not values
        except OverflowError:  # of a part of the sum, or of all of it
            assert same(got, aggregate("sum", [Happening(0, (), value) for value in values], 0))


def test_overflow_and_values_of_another_type_are_refused():
    total = functions.total(0)
    with pytest.raises(DataError, match="does not fit int64"):
        total.finish(total.of([Event(0, b"a", 2**63 - 1), Event(0, b"b", 1)]), 0)
    back = total.of([Event(0, b"a", 2**63 - 1), Event(0, b"b", 1), Event(0, b"c", -1)])
    assert total.finish(back, 0) == 2**63 - 1  # no sum on the way is too wide
    wide = functions.total(2)
    with pytest.raises(DataError, match="38 digits"):
        wide.finish(wide.of(Event(0, b"%d" % n, Decimal(10) ** 36 - 1) for n in range(2)), 0)
    for function, value in (
        (functions.total(), "a"),
        (functions.total(0), 1.5),
        (functions.mean(2), Decimal("1.234")),
        (functions.any_true(), 1),
    ):
        with pytest.raises(DataError):
            function.of([Event(0, b"", value)])
    for wrong in (functions.last_k, functions.first_k, functions.top_k):
        with pytest.raises(UsageError, match="0 values"):
            wrong(0)


@pytest.mark.parametrize(
    "parts",
    [
        ("exact",),
        ("exact", -1),
        ("exact", 1, 1),
        ("hop", 1),
        ("hop", 0, 1),
        ("lifetime", 1),
        ("session",),
        ("session", 1, 1),
    ],
)
def test_windows_that_are_none_are_refused(parts):
    with pytest.raises(UsageError, match="window of kind"):
        Window(*parts)


def test_a_quotient_is_rounded_once_also_where_floats_are_fewest():
    assert rounded(1, 3) == 1 / 3
    assert rounded(units_of(5e-324), 2 * 2**1074) == 0.0  # a tie, to even
    assert rounded(10**400, 1) == math.inf
    assert rounded(-(10**400), 1) == -math.inf
