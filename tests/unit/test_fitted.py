"""Transforms of ours, fitted and applied: the results of scikit-learn, and the same for one row and for a table."""

import hashlib
import json
import math
import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from asof.arrow.arrays import one_maker
from asof.arrow.types import arrow_type
from asof.definitions.chain import chains_of
from asof.definitions.types import parse_type
from asof.errors import DataError, NotFoundError, PermanentError, UsageError
from asof.fitted import Fitted, fit, fitting
from asof.transforms import Bucket, Clip, Hashing, Impute, Log, MinMax, OneHot, Ordinal, Robust, Standard

ROWS = 3_000
NUMBERS = [
    Standard(), MinMax(), MinMax(-1, 1, clip=True), Robust(), Clip(0.05, 0.9), Clip(None, 0.5), Log(), Log(plus=2.5),
    Bucket([-1, 0, 1]), Bucket(count=7), Impute(), Impute("median"), [Impute(), Clip(), Standard()],
    [Bucket(count=4), OneHot()], [Log(), Impute("median"), MinMax()],
]  # fmt: skip
LABELS = [OneHot(3), OneHot(), Ordinal(), Ordinal(None), Hashing(), Hashing(5), Impute("most_frequent")]


def types_of(**types):
    return {name: parse_type(dtype) for name, dtype in types.items()}


def fitted(transforms, table, types, **named):
    return fit(chains_of(transforms, types, where="view v"), table, types, where="view v", **named)


def one(step, values, dtype="float64"):
    """Return a step that is fitted on a column x."""
    types = types_of(x=dtype)
    return fitted({"x": step}, pa.table({"x": pa.array(values, arrow_type(types["x"]))}), types)


def made(found, values):
    """Return the columns that are made of a column x."""
    table = pa.table({"x": pa.array(values, arrow_type(found.types["x"]))})
    return found.table(table).to_pydict()


@pytest.fixture(scope="module")
def values():
    found = np.random.default_rng(3).normal(3.0, 20.0, ROWS)
    found[::17] = np.nan
    return found


def column(values):
    return pa.array(values, mask=np.isnan(values))


def ours(step, values):
    found = one(step, column(values))
    columns = found.table(pa.table({"x": column(values)})).columns
    return np.column_stack([each.to_numpy() for each in columns])


# ---- scikit-learn says the same


@pytest.mark.parametrize(
    ("step", "theirs"),
    [
        (Standard(), StandardScaler()),
        (MinMax(), MinMaxScaler()),
        (MinMax(-1, 3), MinMaxScaler((-1, 3))),
        (Robust(), RobustScaler()),
        (Robust(0.1, 0.8), RobustScaler(quantile_range=(10, 80))),
        (Impute("mean"), SimpleImputer()),
        (Impute("median"), SimpleImputer(strategy="median")),
        (Impute(-1.0), SimpleImputer(strategy="constant", fill_value=-1.0)),
    ],
    ids=str,
)
def test_numbers_become_what_scikit_learn_makes_of_them(step, theirs, values):
    np.testing.assert_allclose(ours(step, values), theirs.fit_transform(values.reshape(-1, 1)), rtol=1e-12, atol=1e-12)


def test_buckets_are_those_of_scikit_learn(values):
    present = values[~np.isnan(values)]
    theirs = KBinsDiscretizer(9, encode="ordinal", strategy="quantile", quantile_method="linear").fit(
        present.reshape(-1, 1)
    )
    np.testing.assert_array_equal(ours(Bucket(count=9), present), theirs.transform(present.reshape(-1, 1)))


@pytest.mark.parametrize("kind", ["text", "whole"])
def test_categories_are_those_of_scikit_learn(kind):
    generator = np.random.default_rng(4)
    drawn = generator.integers(0, 9, 500)
    seen = [f"c{each}" for each in drawn] if kind == "text" else drawn.tolist()
    new = [*seen[:50], "c99" if kind == "text" else 99]
    dtype = "string" if kind == "text" else "int32"
    matrix = np.array(seen).reshape(-1, 1), np.array(new).reshape(-1, 1)
    onehot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(matrix[0])
    mine = made(one(OneHot(), seen, dtype), new)
    assert list(mine) == [f"x={each}" for each in onehot.categories_[0].tolist()]
    np.testing.assert_array_equal(np.column_stack(list(mine.values())), onehot.transform(matrix[1]))
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(matrix[0])
    assert made(one(Ordinal(), seen, dtype), new)["x"] == ordinal.transform(matrix[1]).ravel().tolist()


def test_the_most_frequent_value_is_that_of_scikit_learn():
    for seen in (["b", "a", None, "b", "a", "c"], ["z", "y", "z"]):
        theirs = SimpleImputer(strategy="most_frequent", missing_values=None).fit(np.array(seen, object).reshape(-1, 1))
        assert made(one(Impute("most_frequent"), seen, "string"), [None])["x"] == theirs.statistics_.tolist()


def test_log_is_that_of_numpy(values):
    present = np.abs(values[~np.isnan(values)])
    np.testing.assert_array_equal(ours(Log(), present).ravel(), np.log1p(present))
    np.testing.assert_array_equal(ours(Log(plus=0.25), present).ravel(), np.log(present + 0.25))


def test_clip_cuts_at_the_quantiles_of_numpy(values):
    low, high = np.nanquantile(values, [0.05, 0.9])
    np.testing.assert_array_equal(ours(Clip(0.05, 0.9), values).ravel(), np.clip(values, low, high))


def test_a_mapped_matrix_is_that_of_scikit_learn_for_several_columns(values):
    types = types_of(a="float64", b="float32", c="int64")
    present = np.nan_to_num(values)
    table = pa.table({"a": present, "b": present.astype(np.float32), "c": present.astype(np.int64)})
    found = fitted({("a", "b", "c"): Standard()}, table, types).table(table)
    theirs = StandardScaler().fit_transform(np.column_stack([each.to_numpy().astype(float) for each in table.columns]))
    np.testing.assert_allclose(
        np.column_stack([each.to_numpy() for each in found.columns]), theirs, rtol=1e-9, atol=1e-9
    )


# ---- one row is as good as a table


def column_of(dtype):
    whole = {
        "bool": st.booleans(),
        "string": st.text("abc", max_size=2),
        "bytes": st.binary(max_size=2),
        "date": st.dates(date(2020, 1, 1), date(2020, 2, 1)),
    }
    if dtype.startswith("int"):
        whole[dtype] = st.integers(-100, 100)
    if dtype.startswith("float"):
        whole[dtype] = st.floats(-1e6, 1e6, width=32 if dtype == "float32" else 64)
    if dtype.startswith("decimal"):
        whole[dtype] = st.decimals(-1000, 1000, places=2)
    return st.lists(st.none() | whole[dtype], min_size=1, max_size=60)


CASES = [
    *((step, dtype) for step in NUMBERS for dtype in ("float64", "float32", "int64", "decimal(9, 2)")),
    *((step, dtype) for step in LABELS for dtype in ("string", "int8", "bool", "date")),
    *((step, "bytes") for step in LABELS if not isinstance(step, OneHot)),
    (Impute(0.5), "float64"), (Impute(0.1), "float32"), (Impute(7), "int16"), (Impute(True), "bool"), (Impute(value="?"), "string"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "dtype"), CASES, ids=lambda case: str(case))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_each_row_is_transformed_as_in_the_table_bit_for_bit(step, dtype, data):
    seen, asked = data.draw(column_of(dtype)), data.draw(column_of(dtype))
    try:
        found = one(step, seen, dtype)
    except DataError as error:
        assert "no value" in str(error)  # noqa: PT017 - the only way it may fail
        return
    kind = found.types["x"]
    table = found.table(pa.table({"x": pa.array(asked, arrow_type(kind))}))
    assert table.schema == pa.schema([(name, arrow_type(each)) for name, each in found.outputs.items()])
    rows = [found.values({"x": value}) for value in asked]
    assert json.dumps(rows, default=str) == json.dumps(table.to_pylist(), default=str)
    make = one_maker(kind, where="x")
    whole = found.apply({"x": np.concatenate([make(value) for value in asked])})
    for name, array in whole.items():
        each = np.concatenate([found.apply({"x": make(value)})[name] for value in asked])
        assert each.dtype == array.dtype
        assert array.dtype == object or each.tobytes() == array.tobytes()
        assert array.dtype != object or each.tolist() == array.tolist()
    again = Fitted.from_document(json.loads(json.dumps(found.document())))
    assert again.digest == found.digest
    assert again.table(pa.table({"x": pa.array(asked, arrow_type(kind))})).equals(table)


@pytest.mark.parametrize("step", NUMBERS, ids=str)
def test_a_row_is_the_same_in_a_long_batch(step, values):
    found = one(step, column(values))
    whole = found.apply({"x": values})
    for at in (0, 1, 2, 3, 7, 8, 1023, ROWS - 1):
        for name, array in found.apply({"x": values[at : at + 1]}).items():
            assert array.tobytes() == whole[name][at : at + 1].tobytes()


@pytest.mark.parametrize("step", [*NUMBERS, *LABELS], ids=str)
def test_neither_order_nor_batches_change_what_is_learned(step, values):
    numbers = step in NUMBERS
    seen = values if numbers else np.where(np.isnan(values), np.nan, np.round(values / 10))
    types = types_of(x="float64" if numbers else "int64")
    table = pa.table({"x": column(seen).cast(arrow_type(types["x"]))})
    mixed = table.take(np.random.default_rng(5).permutation(ROWS))
    parts = [mixed.slice(start, 37) for start in range(0, ROWS, 37)]
    assert fitted({"x": step}, lambda: parts, types).digest == fitted({"x": step}, table, types).digest


# ---- nulls, unknown values, infinite ones


@pytest.mark.parametrize(
    ("step", "seen", "dtype", "asked", "wanted"),
    [
        (Standard(), [1.0, 3.0], "float64", [None, 1.0, math.inf], [None, -1.0, math.inf]),
        (Standard(), [2.0, 2.0], "float64", [2.0, 5.0, None], [0.0, 3.0, None]),
        (Standard(), [0.1] * 3, "float64", [0.1], [0.0]),
        (MinMax(), [2.0, 2.0], "float64", [2.0, 5.0], [0.0, 3.0]),
        (MinMax(), [0.0, 10.0], "float64", [-5.0, 20.0, 10.0], [-0.5, 2.0, 1.0]),
        (MinMax(clip=True), [0.0, 10.0], "float64", [-5.0, 20.0, None], [0.0, 1.0, None]),
        (Robust(), [4.0], "float64", [4.0, 6.0], [0.0, 2.0]),
        (Clip(0.0, 1.0), [1.0, 2.0], "float64", [-math.inf, math.inf, None, 1.5], [1.0, 2.0, None, 1.5]),
        (Clip(None, 1.0), [1.0, 2.0], "float64", [-math.inf, 3.0], [-math.inf, 2.0]),
        (Clip(0.25, 0.75), [-math.inf, 1.0, 2.0, 3.0, math.inf], "float64", [math.inf], [3.0]),
        (Log(), [], "float64", [0.0, -1.0, -2.0, None, math.inf], [0.0, None, None, None, math.inf]),
        (Log(plus=0.0), [], "float64", [1.0, 0.0], [0.0, None]),
        (Bucket([0, 10]), [], "float64", [-1.0, 0.0, 9.9, 10.0, None], [0, 1, 1, 2, None]),
        (Bucket(count=4), [5.0] * 9, "float64", [4.0, 5.0], [0, 1]),
        (Ordinal(), ["b", "a", None], "string", ["a", "b", "z", None, ""], [0, 1, -1, None, -1]),
        (Ordinal(None), ["b", "a"], "string", ["z", None], [None, None]),
        (Ordinal(categories=["low", "high"]), [], "string", ["high", "low"], [1, 0]),
        (Ordinal(), [True, False], "bool", [True, None], [1, None]),
        (Hashing(10), [], "string", [None], [None]),
        (Impute("mean"), [1, 2, 6, None], "int64", [None, 5], [3.0, 5.0]),
        (Impute("mean"), [Decimal("1.50"), Decimal("2.50")], "decimal(9, 2)", [None, Decimal("0.10")], [2.0, 0.1]),
        (Impute("most_frequent"), [date(2020, 1, 2), date(2020, 1, 1)], "date", [None], [date(2020, 1, 1)]),
        (Impute("most_frequent"), [b"x", b"x", b"a"], "bytes", [None, b"q"], [b"x", b"q"]),
        (Impute(0.1), [], "float32", [None, 0.5], [float(np.float32(0.1)), 0.5]),
    ],
)  # fmt: skip
def test_what_becomes_of_the_odd_value(step, seen, dtype, asked, wanted):
    assert made(one(step, seen, dtype), asked) == {"x": wanted}


def test_a_category_that_training_has_not_seen_is_all_zeros_and_so_is_a_null():
    found = one(OneHot(2), ["UA", "AA", "AA", "UA", "DL", None], "string")
    assert list(found.outputs) == ["x=AA", "x=UA"]
    assert made(found, ["AA", "DL", "ZZ", None]) == {"x=AA": [1, 0, 0, 0], "x=UA": [0, 0, 0, 0]}


def test_of_equally_frequent_categories_the_least_get_a_column():
    assert list(one(OneHot(2), ["c", "b", "a"], "string").outputs) == ["x=a", "x=b"]


def test_names_of_columns_say_the_category():
    assert list(one(OneHot(), [True, False], "bool").outputs) == ["x=false", "x=true"]
    assert list(one(OneHot(), [10, 9], "int8").outputs) == ["x=9", "x=10"]
    assert list(one(OneHot(), [date(2020, 1, 2)], "date").outputs) == ["x=2020-01-02"]
    assert list(one(OneHot(categories=["b", "a"]), [], "string").outputs) == ["x=b", "x=a"]


def test_hashes_are_the_same_everywhere():
    assert made(one(Hashing(1000), [], "string"), ["", "JFK", "Zürich"])["x"] == [756, 468, 368]
    assert int.from_bytes(hashlib.blake2b(b"JFK", digest_size=8).digest(), "little") % 1000 == 468
    assert (
        made(one(Hashing(1000), [], "int64"), [7, -7])["x"] == made(one(Hashing(1000), [], "string"), ["7", "-7"])["x"]
    )
    assert (
        made(one(Hashing(1000), [], "date"), [date(2020, 1, 2)])["x"]
        == made(one(Hashing(1000), [], "bytes"), [b"2020-01-02"])["x"]
    )


@pytest.mark.parametrize(
    ("step", "seen", "dtype", "said"),
    [
        *((step, [], "float64", "the training split has no rows") for step in (Standard(), MinMax(), Robust(), Clip(), Bucket(count=2), Impute())),
        *((step, [None, None], "float64", "no value in its 2 rows") for step in (Standard(), MinMax(), Robust(), Clip(), Bucket(count=2), Impute(), Impute("most_frequent"))),
        *((step, [], "string", "no rows") for step in (OneHot(), Ordinal(), Impute("most_frequent"))),
        *((step, [1.0, math.inf, -math.inf], "float64", "2 values are infinite") for step in (Standard(), MinMax(), Impute(), Impute("most_frequent"))),
        (Clip(0.0, 0.5), [-math.inf, 1.0, 2.0], "float64", "the quantile 0 of the training split is -inf"),
        (Robust(), [1.0, math.inf], "float64", "quantile 0.25 of the training split is inf"),
        (MinMax(), [-1.7e308, 1.7e308], "float64", "further apart than a float64"),
        (Standard(), [2**53 + 1], "int64", "does not fit float64 exactly"),
        (OneHot(), list(range(1001)), "int64", "1,001 categories would make as many columns"),
    ],
)  # fmt: skip
def test_rows_that_teach_nothing_are_refused_with_the_feature_and_the_transform(step, seen, dtype, said):
    with pytest.raises(DataError, match=said) as raised:
        one(step, seen, dtype)
    assert "view v" in str(raised.value)
    assert "x" in raised.value.where
    assert type(step).__name__ in raised.value.where or dtype == "int64"


def test_counting_is_bounded(monkeypatch):
    monkeypatch.setattr(fitting, "MOST_COUNTED", 10)
    with pytest.raises(DataError, match=r"more than 10 different values.*take Hashing\(\)"):
        one(Ordinal(), list(range(11)), "int64")


def test_a_missing_column_is_named():
    types = types_of(temp="float64")
    with pytest.raises(NotFoundError, match="did you mean 'tmp'"):
        fitted({"temp": Standard()}, pa.table({"tmp": [1.0]}), types)
    found = fitted({"temp": Standard()}, pa.table({"temp": [1.0]}), types)
    with pytest.raises(NotFoundError, match="did you mean 'tmp'"):
        found.table(pa.table({"tmp": [1.0]}))


# ---- the transformed view


TYPES = types_of(a="float64", b="string", c="int64", d="float64")
TABLE = pa.table(
    {"key": ["x", "y"], "a": [1.0, None], "b": ["p", "q"], "c": [2**60, 1], "d": [0.0, 4.0], "late": [1, 2]}
)


def test_what_is_made_stands_where_the_feature_stood():
    found = fitted({"b": OneHot(), ("d", "a"): [Impute(), Standard()]}, TABLE, TYPES)
    assert list(found.outputs) == ["d", "a", "b=p", "b=q", "c"]
    assert found.inputs == ("d", "a", "b")
    assert found.sources == {"d": ("d", "a"), "a": ("d", "a"), "b=p": ("b",), "b=q": ("b",)}
    table = found.table(TABLE)
    assert table.column_names == ["key", "d", "a", "b=p", "b=q", "c", "late"]
    assert table.column("c").to_pylist() == [2**60, 1]  # what has no transform goes through no float
    row = {"a": None, "b": "q", "c": 2**60, "d": 4.0}
    assert found.values(row) == {"d": 1.0, "a": 0.0, "b=p": 0, "b=q": 1, "c": 2**60}


def test_raw_values_are_kept_on_request():
    found = fitted({"b": OneHot(), "a": Standard()}, TABLE, TYPES)
    table = found.table(TABLE, raw=True)
    assert table.column_names[-2:] == ["a__raw", "b__raw"]
    assert table.column("a__raw").to_pylist() == [1.0, None]
    row = {"a": 5.0, "b": "z", "c": 1, "d": 0.0}
    assert found.values(row, raw=True) == {**found.values(row), "a__raw": 5.0, "b__raw": "z"}


def test_a_column_of_the_spine_that_has_the_name_of_one_that_is_made_is_refused():
    found = fitted({"b": OneHot()}, TABLE, TYPES)
    with pytest.raises(DataError, match="two columns are named 'b=p'"):
        found.table(TABLE.append_column("b=p", pa.array([1, 2])))


def test_a_view_without_transforms_stays_as_it_is():
    found = fitted({}, TABLE, TYPES)
    assert found.table(TABLE).equals(TABLE)
    assert found.outputs == TYPES
    assert Fitted.from_document(found.document()).digest == found.digest


def test_rows_are_not_looked_at_when_nothing_is_learned():
    def refused():
        raise AssertionError

    found = fitted({"a": Log(), "b": [Impute(value="?"), Hashing()]}, refused, TYPES)
    assert found.values({"a": 0.0, "b": None, "c": 1, "d": 1.0})["a"] == 0.0


def test_a_chain_takes_a_pass_for_each_step_that_learns():
    passes = []

    def rows():
        passes.append(1)
        return TABLE.to_batches(max_chunksize=1)

    fitted({"a": [Impute(), Log(), Standard()], "d": Standard()}, rows, TYPES)
    assert len(passes) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.update(format=2),
        lambda document: document.update(digest="0" * 64),
        lambda document: document["chains"][0]["stages"][0]["states"][0].update(scale=2.0),
        lambda document: document.pop("digest"),
        lambda document: document.pop("types"),
    ],
)
def test_a_damaged_document_is_refused(spoil):
    document = json.loads(json.dumps(fitted({"a": Standard()}, TABLE, TYPES).document()))
    spoil(document)
    with pytest.raises(PermanentError, match="fit them anew"):
        Fitted.from_document(document)


def test_a_number_that_is_none_in_a_document_is_refused():
    with pytest.raises((PermanentError, UsageError)):
        Fitted.from_document({"format": 1, "types": [["a", "flaot"]], "chains": [], "digest": ""})


def test_serving_ours_imports_no_scikit_learn():
    document = json.dumps(fitted({"a": [Impute(), Standard()], "b": OneHot()}, TABLE, TYPES).document())
    code = (
        "import json, sys; from asof.fitted import Fitted\n"
        f"found = Fitted.from_document(json.loads({document!r}))\n"
        "assert found.values({'a': 1.0, 'b': 'p', 'c': 1, 'd': 1.0})['b=p'] == 1\n"
        "assert not {'sklearn', 'skops', 'scipy', 'pandas'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
