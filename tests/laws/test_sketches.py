"""Sketches are exact where they say so, stay within their bounds beyond, and stay small however tiles are joined."""

import math
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from asof.errors import DataError, UsageError
from asof.testing.algebra import decode, encode
from asof.windows import sketches
from asof.windows.aggregation import Aggregation
from asof.windows.functions import Event, count_by
from asof.windows.kinds import Window
from asof.windows.sketches import FEW_ITEMS, FEW_VALUES, count_distinct, quantile, top_k

EVER = Window("lifetime")


def state_of(function, values, tiles=1):
    """Join the states of values, dealt to tiles of very different sizes, kept as bytes."""
    cuts = sorted({0, len(values), *(len(values) >> step for step in range(1, tiles))})
    parts = [values[start:end] for start, end in pairwise(cuts)]
    state = function.empty
    for part in parts:
        tile = function.of(Event(number, b"", value) for number, value in enumerate(part))
        state = function.merge(state, decode(function, encode(function, tile)))
    return state


@pytest.mark.parametrize("many", [256, 257, 1000, 50_000])
def test_a_distinct_count_is_within_its_bound_and_its_state_is_the_same_in_any_order_and_tiling(many):
    values = [f"value {number}" for number in range(many)]
    function = count_distinct(256)
    one = state_of(function, values + values[: many // 2])
    other = state_of(function, [values[place] for place in np.random.default_rng(1).permutation(many)], tiles=9)
    assert one == other
    assert len(encode(function, one)) < 4300
    assert abs(function.finish(one, 0) - many) <= (0 if many <= 256 else 0.048 * many)


@pytest.mark.parametrize("limit", [1, 2, 100, 5000])
def test_a_distinct_count_is_exact_up_to_the_stated_size_and_switches_by_content(limit):
    function = count_distinct(limit)
    rng = np.random.default_rng(limit)
    for many in (limit, limit + 1):
        values = [int(value) for value in rng.permutation(many)] * 2
        states = [state_of(function, values, tiles=tiles) for tiles in (1, 3, 6)]
        one_by_one = function.empty
        for value in values[: 2 * many if many < 1000 else 0]:
            one_by_one = function.merge(one_by_one, function.of([Event(0, b"", value)]))
        assert all(state == states[0] for state in states)
        assert one_by_one in (states[0], function.empty)
        assert isinstance(states[0], frozenset if many == limit else bytes)
        assert len(encode(function, states[0])) <= max(16 * limit + 10, 4300)
        if many == limit:
            assert function.finish(states[0], 0) == limit


def test_quantiles_are_exact_of_few_values_and_within_their_bound_of_many_however_joined():
    rng = np.random.default_rng(0)
    errors = []
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        function = quantile(q)
        few = rng.normal(size=FEW_VALUES)
        assert function.finish(state_of(function, few.tolist(), 5), 0) == np.quantile(few, q, method="inverted_cdf")
        for tiles in (1, 2, 5, 9):
            for _ in range(5):
                values = rng.lognormal(size=20_000)
                state = state_of(function, values.tolist(), tiles)
                assert len(encode(function, state)) < 20_000
                found = function.finish(state, 0)
                errors.append(abs((values <= found).mean() - q))
    within = 0.0054 + 1 / 20_000
    assert max(errors) < 2 * within
    assert np.mean(np.array(errors) <= within) > 0.9


def test_nan_is_above_all_values_of_a_quantile_however_many_there_are():
    for many in (8, 10_000):
        values = [math.nan] * (many // 4) + list(map(float, range(many * 3 // 4)))
        for q, wanted in ((0.5, many / 2 - 1), (0.76, math.nan), (1, math.nan), (0, 0)):
            found = quantile(q).finish(state_of(quantile(q), values, 4), 0)
            assert abs(found - wanted) <= many * 0.012 or (math.isnan(found) and math.isnan(wanted))
    infinite = [-math.inf] * 2000 + [math.inf] * 2000
    assert quantile(0.2).finish(state_of(quantile(0.2), infinite, 3), 0) == -math.inf
    assert quantile(0.8).finish(state_of(quantile(0.8), infinite, 3), 0) == math.inf


@pytest.mark.parametrize("tiles", [1, 2, 6, 12])
def test_frequent_values_have_counts_within_the_bound_and_none_is_missed(tiles):
    for seed in range(3):
        values = [f"é{value}" for value in np.random.default_rng(seed).zipf(1.3, 30_000)]
        true = Counter(values)
        assert len(true) > FEW_ITEMS
        function = top_k(10)
        state = state_of(function, values, tiles)
        assert len(encode(function, state)) < 60_000
        found = function.finish(state, 0)
        bound = 0.0018 * len(values)
        assert len(found) == 10
        assert all(true[each["value"]] <= each["count"] <= true[each["value"]] + bound for each in found)
        least = max(found[-1]["count"], bound)
        assert {value for value, many in true.items() if many > least} <= {each["value"] for each in found}


@pytest.mark.parametrize(
    "values", [[1, 2, 2], [1.5, math.nan, math.nan], ["a\0", "\U0001f600", "\U0001f600"], [b"\xff", b"", b""]]
)
def test_a_sketch_of_frequent_values_gives_them_back_as_they_were(values, monkeypatch):
    monkeypatch.setattr(sketches, "FEW_ITEMS", 1)
    function = top_k(2)
    found = function.finish(state_of(function, values, 3), 0)
    assert isinstance(state_of(function, values), bytes)
    assert repr(found) == repr([{"value": values[1], "count": 2}, {"value": values[0], "count": 1}])


def test_what_is_approximate_says_so_with_its_bound():
    for asked, text in (
        (Aggregation("f", "count_distinct", EVER, "x"), ""),
        (Aggregation("f", "count_distinct", EVER, "x", most=1000), "4.8 %.*exact up to 1000"),
        (Aggregation("f", "count_distinct_approx", EVER, "x"), "4.8 %.*exact up to 256"),
        (Aggregation("f", "quantile", EVER, "x", q=0.5), "0.54 %"),
        (Aggregation("f", "top_k_approx", EVER, "x", most=3), "0.18 %"),
        (Aggregation("f", "top_k", EVER, "x", most=3), ""),
        (Aggregation("f", "sum", EVER, "x"), ""),
    ):
        assert (asked.approximate == "") is (text == "")
        assert re.search(text, asked.approximate)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        ("quantile", {}),
        ("quantile", {"q": 1.1}),
        ("quantile", {"q": math.nan}),
        ("sum", {"q": 0.5}),
        ("top_k_approx", {}),
        ("count_by", {}),
        ("count_distinct", {"most": -1}),
        ("count_distinct_approx", {"most": 5}),
    ],
)
def test_numbers_that_a_function_needs_or_has_no_use_for_are_told(function, options):
    with pytest.raises(UsageError):
        Aggregation("f", function, EVER, "x", **options)


def test_too_much_is_refused():
    for wrong in (lambda: top_k(101), lambda: count_distinct(0), lambda: count_distinct(100_001)):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(DataError, match="quantile of numbers met str"):
        quantile(0.5).of([Event(0, b"", "a")])
    by = count_by(2)
    state = by.of(Event(0, b"", value) for value in "abc")
    with pytest.raises(DataError, match="count_by of 2 values met 3"):
        by.finish(state, 0)
    assert by.finish(by.remove(state, by.of([Event(0, b"", "b")])), 0) == [
        {"value": "a", "count": 1},
        {"value": "c", "count": 1},
    ]


def test_nobody_waits_for_the_library_who_asks_for_no_sketch():
    code = "import sys, asof.windows.aggregation; assert not {'datasketches', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
