"""Statistics of parts merge to those of the whole, and are what NumPy says of the same values."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof import statistics
from asof.arrow.types import arrow_type
from asof.definitions.types import parse_type
from asof.errors import NotFoundError, PermanentError, UsageError
from asof.statistics import distinct
from asof.statistics.distribution import FEW, KLL_K, SAMPLE_ROWS, TOP
from asof.statistics.hashes import text_numbers
from asof.statistics.moments import Moments
from asof.statistics.packing import pack, unpack

TEXT = st.text(max_size=5)
VALUES = {
    "bool": st.booleans(),
    "int8": st.integers(-128, 127),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "string": st.text(max_size=300),
    "bytes": st.binary(max_size=5),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
    "decimal(38, 2)": st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**30), max_value=10**30),
    "list<string>": st.lists(st.none() | TEXT, max_size=3),
    "list<float64>": st.lists(st.none() | st.floats(), max_size=3),
    "vector<float32, 2>": st.lists(st.none() | st.floats(width=32), min_size=2, max_size=2),
    "vector<string, 1>": st.lists(TEXT, min_size=1, max_size=1),
    "struct<a: int64, b: list<string>>": st.fixed_dictionaries({"a": st.none() | st.integers(-3, 3), "b": st.lists(TEXT, max_size=2)}),
}  # fmt: skip
EXACT = ("kind", "count", "nulls", "nans", "infinite", "distinct", "min", "max", "histogram", "top", "quantiles", "exact", "sampled")  # fmt: skip


def column(values, dtype="float64"):
    table = pa.table({"x": pa.array(values, arrow_type(parse_type(dtype)))})
    return statistics.of(table).columns["x"]


def same(one, other):
    """Return whether all that is exact is the same, and mean and standard deviation but for rounding."""
    mine, others = one.to_dict(), other.to_dict()
    assert {name: mine[name] for name in EXACT} == {name: others[name] for name in EXACT}
    assert one.moments.many == other.moments.many
    scale = max(abs(one.moments.mean), one.moments.stddev, other.moments.stddev, 1e-300)
    assert one.moments.mean == pytest.approx(other.moments.mean, rel=1e-12, abs=scale * 1e-12)
    assert one.moments.stddev == pytest.approx(other.moments.stddev, rel=1e-9, abs=scale * 1e-7)


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_parts_of_any_type_merge_to_the_whole_in_any_order(data, dtype):
    parts = data.draw(st.lists(st.lists(st.none() | VALUES[dtype], max_size=8), min_size=1, max_size=4))
    whole = column([value for part in parts for value in part], dtype)
    found = [column(part, dtype) for part in parts]
    same(reduce(statistics.ColumnStatistics.merge, found), whole)
    same(reduce(statistics.ColumnStatistics.merge, data.draw(st.permutations(found))), whole)


@given(st.data(), st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=6), st.integers(1, 8))
def test_columns_of_a_table_have_the_bits_that_each_has_alone(data, dtypes, rows):
    values = {
        str(at): data.draw(st.lists(st.none() | VALUES[dtype], min_size=rows, max_size=rows))
        for at, dtype in enumerate(dtypes)
    }
    arrays = {name: pa.array(of, arrow_type(parse_type(dtypes[int(name)]))) for name, of in values.items()}
    together = statistics.of(pa.table(arrays))
    for name, array in arrays.items():
        found = statistics.of(pa.table({name: array}))
        assert pack(found) == pack(replace(together, columns={name: together.columns[name]}))


def test_moments_of_many_columns_have_the_bits_of_each():
    rng = np.random.default_rng(1)
    ordered = np.sort(rng.normal(size=(40, FEW)) * 10.0 ** np.linspace(-200, 200, 40)[:, None], axis=1)
    found = Moments.of_rows(ordered)
    assert 0 < sum(each is None for each in found) < len(found)
    for numbers, each in zip(ordered, found, strict=True):
        assert each in {None, Moments.of(numbers, np.abs(numbers).max())}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_what_is_kept_comes_back_as_it_was(data, dtype):
    values = data.draw(st.lists(st.none() | VALUES[dtype], max_size=8))
    found = statistics.of(pa.table({"x": pa.array(values, arrow_type(parse_type(dtype)))}), keys=[])
    assert unpack(pack(found)).to_dict() == found.to_dict()
    assert pack(unpack(pack(found))) == pack(found)
    str(found), found._repr_html_()


@given(st.lists(st.none() | st.floats(), max_size=30))
def test_numbers_are_what_numpy_says(values):
    found = column(values)
    array = np.array([value for value in values if value is not None], np.float64)
    real = array[~np.isnan(array)]
    finite = real[np.isfinite(real)]
    assert (found.rows, found.nulls, found.count) == (len(values), values.count(None), len(array))
    assert (found.nans, found.infinite) == (len(array) - len(real), len(real) - len(finite))
    assert (found.min, found.max) == ((real.min(), real.max()) if len(real) else (None, None))
    assert found.distinct == len(np.unique(array))
    assert sum(each.count for each in found.histogram(5)) == len(finite)
    for q in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        assert found.quantile(q) == (np.quantile(real, q, method="inverted_cdf") if len(real) else None)
    moderate = finite[(abs(finite) < 1e100) & ((abs(finite) > 1e-100) | (finite == 0))]  # squares that NumPy can hold
    if len(moderate) == len(finite) and len(finite):
        scale = abs(finite).max()
        assert found.mean == pytest.approx(finite.mean(), abs=scale * 1e-12)
        assert found.stddev == pytest.approx(finite.std(), abs=scale * 1e-7)


def test_great_and_tiny_numbers_have_finite_moments():
    assert column([1e308, -1e308]).stddev == pytest.approx(1e308)
    assert column([1e308, 1e308]).merge(column([1e308])).mean == pytest.approx(1e308)
    assert column([1e-300, 3e-300]).stddev == pytest.approx(1e-300)
    merged = column([1e308]).merge(column([-1e308]))
    assert (merged.mean, merged.stddev) == (pytest.approx(0.0, abs=1e295), pytest.approx(1e308))


@pytest.mark.parametrize("many", [FEW, FEW + 1, 5_000, SAMPLE_ROWS, SAMPLE_ROWS + 1, 300_000])
def test_many_different_numbers_are_within_the_bounds(many):
    values = np.random.default_rng(many).permutation(many) * 0.5
    found = column(values)
    assert found.exact == (many <= FEW)
    assert found.sampled == (many > SAMPLE_ROWS)
    assert (found.count, found.min, found.max) == (many, 0.0, (many - 1) * 0.5)
    assert found.mean == pytest.approx(values.mean())
    assert found.stddev == pytest.approx(values.std())
    assert found.distinct == pytest.approx(many, rel=0.094)
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert found.quantile(q) / 0.5 == pytest.approx(q * many, abs=0.026 * many + 1)
    assert sum(each.count for each in found.histogram()) == pytest.approx(many, rel=0.001)


@pytest.mark.parametrize("sizes", [(1, 200_000), (200_000, 3_000, 70_000), (600, 600), (100_000, 1, 1, 1), (1_024, 5)])
def test_parts_of_very_different_sizes_weigh_as_many_rows_as_they_have(sizes):
    """A sample of a great part must not count as little as the small part beside it."""
    parts = [np.arange(size) + 1000.0 * size for size in sizes]
    whole = np.sort(np.concatenate(parts))
    for order in (parts, parts[::-1]):
        found = reduce(statistics.ColumnStatistics.merge, [column(part) for part in order])
        assert found.count == len(whole)
        for q in (0.05, 0.25, 0.5, 0.75, 0.95):
            rank = np.searchsorted(whole, found.quantile(q), "right") / len(whole)
            assert rank == pytest.approx(q, abs=0.026 + 2 / len(whole))
        assert found.distinct == pytest.approx(len(np.unique(whole)), rel=0.094)


def test_frequent_values_among_many_are_low_by_their_bound_at_most():
    rng = np.random.default_rng(5)
    parts = [
        np.concatenate([np.full(size // 5, 7), rng.integers(1000, 10**9, size - size // 5)])
        for size in (5_000, 9_000, 40_000)
    ]
    found = reduce(statistics.ColumnStatistics.merge, [column(part, "int64") for part in parts])
    (first, *_) = found.top()
    assert first.value == 7
    assert 10_800 - found.count / (TOP + 1) <= first.count <= 10_800


def test_frequent_texts_among_many_are_found():
    values = [f"text {n}" for n in range(4_000)] + ["often"] * 3_000 + [None] * 10
    found = column(values, "string").merge(column([f"more {n}" for n in range(3_000)], "string"))
    assert found.distinct == pytest.approx(7_001, rel=0.094)
    assert found.top()[0].value == "often"
    assert (found.min, found.max, found.measure) == (5, 9, "length")


def test_few_values_of_many_rows_are_exact():
    values = np.random.default_rng(1).integers(0, 12, 200_000)
    found = column(values, "int64")
    assert found.exact
    assert {each.value: each.count for each in found.top(20)} == {n: int((values == n).sum()) for n in range(12)}
    texts = column([f"v{n}" for n in values], "string")
    assert texts.exact
    assert texts.top(1)[0].count == max(np.bincount(values))


@pytest.mark.parametrize("many", [1, distinct.K - 1, distinct.K, 60_000, 1_000_000])
def test_distinct_counts_join_to_the_byte_and_are_within_their_bound(many):
    numbers = np.random.default_rng(many).permutation(many).astype(np.uint64)
    whole = distinct.sketch_of(numbers, np.copy)
    parts = [distinct.sketch_of(part, np.copy) for part in (numbers[: many // 3], numbers[many // 4 :])]
    assert distinct.joined(parts) == distinct.joined(parts[::-1]) == whole
    assert distinct.count_of(whole) == (many if many < distinct.K else pytest.approx(many, rel=0.094))
    assert len(whole) <= 8 * distinct.K


@pytest.mark.parametrize("many", [10, distinct.K + 1, 30_000, 400_000])
@pytest.mark.parametrize("least", [0, 1_000, 1_400, 30_000, 10**9])
def test_a_first_bound_changes_no_distinct_count(many, least):
    """Not even one that is wrong: as many different values as were said are then not there."""
    numbers = np.random.default_rng(many).integers(0, many, 100_000).astype(np.uint64)
    assert distinct.sketch_of(numbers, np.copy, least=least) == distinct.sketch_of(numbers, np.copy)


@pytest.mark.parametrize("different", [3, FEW - 1, 5_000, 30_000, 10**9])
def test_texts_of_many_rows_are_counted_in_full_but_for_the_top_ones(different):
    """However often they come again, which decides how they are looked at."""
    rng = np.random.default_rng(different)
    texts = [f"text {n}" for n in rng.integers(0, different, 60_000).tolist()] + ["é" * 7]
    found = column([*texts, None], "string")
    apart = len(set(texts))
    assert found.exact == (apart <= FEW)
    assert found.sampled == (apart > FEW)
    assert found.distinct == (apart if apart <= FEW else pytest.approx(apart, rel=0.094))
    lengths = np.array([len(text) for text in texts])
    assert (found.count, found.min, found.max) == (len(texts), lengths.min(), lengths.max())
    assert (found.mean, found.stddev) == (pytest.approx(lengths.mean()), pytest.approx(lengths.std()))
    assert found.quantile(0.5) == np.quantile(lengths, 0.5, method="inverted_cdf")
    parts = column(texts[:100], "string").merge(column(texts[100:40_000], "string")).merge(column(texts[30_000:], "string"))  # fmt: skip
    assert parts.distinct == found.distinct


def test_distinct_counts_are_as_far_off_as_is_said():
    """Of 400 counts, each of other values, those that are off by more than three standard errors are one or two."""
    off = [
        abs(
            distinct.count_of(distinct.sketch_of(np.arange(20_000, dtype=np.uint64) + np.uint64(seed << 32), np.copy))
            / 20_000
            - 1
        )
        for seed in range(400)
    ]
    assert np.mean(np.array(off) > 0.094) <= 0.01
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(1 / np.sqrt(distinct.K - 2), rel=0.15)


def test_each_type_has_its_own():
    moments = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)]
    found = column(moments, "timestamp")
    assert (found.min, found.max, found.mean) == (moments[0], moments[1], datetime(2026, 1, 2, tzinfo=UTC))
    assert found.stddev == 86_400
    found = column([date(2026, 1, 1), date(2026, 1, 3)], "date")
    assert (found.min, found.mean, found.stddev) == (date(2026, 1, 1), date(2026, 1, 2), 1.0)
    found = column([True, False, True, True], "bool")
    assert (found.min, found.max, found.mean, found.distinct) == (False, True, 0.75, 2)
    assert [(each.value, each.count) for each in found.top()] == [(True, 3), (False, 1)]
    found = column([Decimal("1.10"), Decimal("99999999999999999999999999999999999.99")], "decimal(38, 2)")
    assert found.max == Decimal("99999999999999999999999999999999999.99")
    assert found.top(1)[0].value == Decimal("1.10")
    found = column([[3.0, 4.0], [0.0, 0.0]], "vector<float32, 2>")
    assert (found.measure, found.min, found.max, found.distinct, found.top()) == ("norm", 0.0, 5.0, None, [])
    found = column([[2**63 - 1, 0], [2**53 + 1, 0], [None, 1]], "vector<int64, 2>")
    assert (found.min, found.max, found.rows) == (2.0**53, 2.0**63, 3)
    found = column([["a"], ["a", "b"], []], "list<string>")
    assert (found.measure, found.min, found.max, found.distinct) == ("length", 0, 2, None)
    found = column(
        [{"a": 1, "b": ["x"]}, {"a": 1, "b": ["x"]}, {"a": None, "b": []}], "struct<a: int64, b: list<string>>"
    )
    assert (found.measure, found.min, found.distinct, found.top()) == ("", None, 2, [])
    found = column([b"a", b"b", None], "bytes")
    assert (found.nulls, found.distinct, found.top()) == (1, 2, [])


def test_huge_integers_have_exact_extremes():
    found = column([2**63 - 1, -(2**63), 2**53 + 1], "int64")
    assert (found.min, found.max) == (-(2**63), 2**63 - 1)
    assert found.merge(column([5], "int64")).distinct == 4


def test_long_texts_are_kept_short():
    values = ["a" * 100_000 + str(n) for n in range(3)]
    found = statistics.of({"x": values + values[:1]})
    assert found.columns["x"].distinct == 3
    assert found.columns["x"].max == 100_001
    assert len(pack(found)) < 2_000


def test_long_texts_count_once_whichever_way_they_come():
    values = ["a" * 300 + str(n) for n in range(2_000)]
    found = column(values, "string").merge(column(values * 2, "string")).merge(column(values[:5], "string"))
    assert found.distinct == pytest.approx(2_000, rel=0.094)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([2**64 - 1, 1], pa.uint64()),
        pa.array([1.5, float("nan")], pa.float16()) if hasattr(pa, "float16") else pa.nulls(2),
        pa.nulls(3),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([1, 2], pa.timestamp("ns")),
        pa.array([timedelta(1)], pa.duration("us")),
        pa.array([], pa.list_(pa.float64(), 3)),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array(["x"], pa.large_string()),
        pa.array([None, None], pa.string()),
        pa.array([None, [1, 2]], pa.list_(pa.int64(), 2)),
    ],
    ids=lambda array: str(array.type),
)
def test_no_table_is_refused_for_its_types(array):
    found = statistics.of(pa.table({"x": array}))
    assert found.columns["x"].rows == len(array)
    assert found.merge(found).columns["x"].rows == 2 * len(array)
    assert unpack(pack(found)).to_dict() == found.to_dict()
    assert str(found)


def test_a_column_that_one_part_lacks_is_null_there():
    both = statistics.of({"x": [1, 2]}).merge(statistics.of({"y": [1.0]}))
    assert (both.columns["x"].nulls, both.columns["y"].nulls, both.rows) == (1, 2, 3)
    none = statistics.of(pa.table({"x": pa.nulls(2)})).merge(statistics.of({"x": [1]}))
    assert (none.columns["x"].kind, none.columns["x"].nulls) == ("number", 2)


def test_keys_are_counted_together_and_event_times_bounded():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = statistics.of({"a": ["x", "x", "y"], "b": [1, 1, 1], "t": [at, at, at + timedelta(hours=1)], "v": [1, 2, 3]}, keys=["a", "b"], event_time="t")  # fmt: skip
    assert (found.distinct_keys, list(found.columns)) == (2, ["v"])
    assert (found.first_event, found.last_event) == (at, at + timedelta(hours=1))


def test_what_cannot_be_is_said():
    with pytest.raises(NotFoundError, match="'z'"):
        statistics.of({"x": [1]}, columns=["z"])
    with pytest.raises(UsageError, match="no column of times"):
        statistics.of({"x": [1]}, event_time="x")
    with pytest.raises(UsageError, match="column x"):
        statistics.of({"x": [1]}).merge(statistics.of({"x": ["a"]}))
    with pytest.raises(UsageError, match="quantile"):
        column([1.0]).quantile(1.5)
    for damaged in (b"", b"abc", pack(statistics.of({"x": [1]}))[:-3], b"\xff\xff\xff\xff" + b"x"):
        with pytest.raises(PermanentError, match="cannot be read"):
            unpack(damaged)


def test_numbers_of_values_are_the_same_in_every_process():
    """They are kept: a change of them must be a new format."""
    from asof.statistics.hashes import value_numbers

    found = [value_numbers(pa.array(values)).tolist() for values in (["a", "", "ab"], [1, 2], [0.0, -0.0, math.nan])]
    assert found[2][0] == found[2][1]
    assert found == EXPECTED


@pytest.mark.parametrize("sizes", [(600, 3), (600, 700), (2_000, 40), (40_000, 12), (20, 3_000_000)])
def test_a_text_has_the_same_number_alone_and_among_many(sizes):
    """Among many the bytes are looked at place by place; of texts that are longer than most, the rest at once."""
    many, longest = sizes
    rng = np.random.default_rng(many)
    texts = ["ab" * int(n) + "é" * (int(n) % 3) for n in rng.exponential(3, many)] + ["x" * longest, "", "a"]
    among = text_numbers(pa.array(texts))
    chosen = [0, 1, many // 2, many - 1, many, many + 1, many + 2]
    assert among[chosen].tolist() == [text_numbers(pa.array([texts[at]]))[0] for at in chosen]
    assert text_numbers(pa.array(["aside", *texts, "aside"], pa.large_string())[1:-1]).tolist() == among.tolist()


EXPECTED = [
    [8188714915129656101, 0, 12916593724861411145],
    [1, 2],
    [0, 0, 9221120237041090560],
]


def test_ranks_are_bounded_as_is_said():
    assert "1.4 %" in statistics.BOUNDS["quantiles"]
    assert KLL_K == 200
