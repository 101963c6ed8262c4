"""What asof says of suites equals what Great Expectations says of them: run where that package is installed.

`test_great_expectations.py` runs this file with the Python of an environment that has it.
"""

import json
from copy import copy
from datetime import UTC, datetime, timedelta

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pytest
from great_expectations.expectations.row_conditions import Column

import asof
from asof import Entity, Feature, FeatureGroup
from asof.arrow.conform import conform
from asof.arrow.frames import to_table
from asof.checks import Checking, NoStore
from asof.errors import DataError, NotFoundError, UnsupportedError

START = datetime(2024, 1, 1, tzinfo=UTC)
FRAMES = 4
ROWS = 24

SPLIT = 20
"""Expectations that some frames keep and others break, at least."""


def group(*checks, **parts):
    types = {"x": "float64", "y": "float64", "n": "int64", "m": "int64", "s": "string", "at": "timestamp"}
    features = [Feature(name, kind) for name, kind in types.items()]
    entity = Entity("e", keys={"k": "string"})
    return FeatureGroup("g", entity=entity, event_time="t", features=features, checks=checks, **parts)


def frame(seed, missing=0.2):
    """Return rows in which each column has about this share of missing values."""
    random = np.random.default_rng(seed)

    def some(values):
        return pd.Series(values, dtype=object).mask(random.random(ROWS) < missing)

    texts = np.array(["a", "ab", "abc", "b", "xaé", "", "A1", "a\nb"], dtype=object)
    return pd.DataFrame(
        {
            "k": [f"key {at}" for at in range(ROWS)],
            "t": [START + timedelta(hours=at) for at in range(ROWS)],
            "x": some(random.integers(-4, 9, ROWS) / 2).astype("float64"),
            "y": some(random.integers(-4, 9, ROWS) / 2).astype("float64"),
            "n": some(random.integers(0, 6, ROWS)).astype("Int64"),
            "m": some(random.integers(0, 40, ROWS)).astype("Int64"),
            "s": some(texts[random.integers(0, len(texts), ROWS)]).astype("str"),
            "at": pd.to_datetime(some([START + timedelta(days=int(day)) for day in random.integers(0, 5, ROWS)])),
        }
    )


@pytest.fixture(scope="module")
def context():
    made = gx.get_context(mode="ephemeral")
    made.variables.progress_bars = {"globally": False}
    return made


@pytest.fixture(scope="module")
def theirs(context):
    """What Great Expectations says of rows, an answer for each expectation."""
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
    whole = asset.add_batch_definition_whole_dataframe("whole")

    def said(rows, expectations):
        copies = [copy(each) for each in expectations]  # an expectation is of one suite
        for at, each in enumerate(copies):
            each.id, each.meta = None, {"at": at}  # answers come in an order of their own
        suite = gx.ExpectationSuite(name="all", expectations=copies)
        answers = whole.get_batch({"dataframe": rows}).validate(suite, result_format="COMPLETE").results
        assert len(answers) == len(expectations)
        return sorted(answers, key=lambda answer: answer.expectation_config.meta["at"])

    return said


def ours(rows, expectation):
    """Return whether all checks hold, and which rows break one."""
    checks = group(gx.ExpectationSuite(name="one", expectations=[expectation])).checks
    checking = Checking(group(*checks), NoStore(), now_us=int(START.timestamp() * 1e6))
    found = checking.add(conform(to_table(rows, where="the rows")[0], group()))
    return checking.report().passed, np.flatnonzero(found.broken).tolist()


IGNORED = ("all_values_are_missing", "any_value_is_missing", "never")
IGNORED_PAIRS = ("both_values_are_missing", "either_value_is_missing", "neither")
OF_ROWS = [
    gxe.ExpectColumnValuesToBeBetween(column="x", min_value=-1, max_value=2),
    gxe.ExpectColumnValuesToBeBetween(column="x", min_value=-1, max_value=2, strict_min=True, strict_max=True),
    gxe.ExpectColumnValuesToBeBetween(column="n", min_value=2, strict_min=True),
    gxe.ExpectColumnValuesToBeBetween(column="n", max_value=5),
    gxe.ExpectColumnValuesToBeBetween(column="at", min_value=START + timedelta(days=2)),
    gxe.ExpectColumnValuesToBeBetween(column="at", max_value=START + timedelta(days=3), strict_max=True),
    gxe.ExpectColumnValuesToNotBeNull(column="x"),
    gxe.ExpectColumnValuesToNotBeNull(column="s"),
    gxe.ExpectColumnValuesToBeInSet(column="n", value_set=[1, 2, 5]),
    gxe.ExpectColumnValuesToBeInSet(column="s", value_set=["a", "ab", "zzz"]),
    gxe.ExpectColumnValuesToMatchRegex(column="s", regex="a"),
    gxe.ExpectColumnValuesToMatchRegex(column="s", regex="^[a-z]{1,2}$"),
    gxe.ExpectColumnValuesToMatchRegex(column="s", regex=r"\d|^x.é|^$"),
    gxe.ExpectColumnValueLengthsToBeBetween(column="s", min_value=1, max_value=2),
    gxe.ExpectColumnValueLengthsToBeBetween(column="s", min_value=0, max_value=3, strict_min=True, strict_max=True),
    gxe.ExpectColumnValueLengthsToEqual(column="s", value=3),
    gxe.ExpectColumnValuesToBeUnique(column="k"),
    gxe.ExpectColumnValuesToBeUnique(column="m"),
    *(gxe.ExpectCompoundColumnsToBeUnique(column_list=["n", "s"], ignore_row_if=each) for each in IGNORED),
    *(
        gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["x", "y", "n"], ignore_row_if=each)
        for each in IGNORED
    ),
    *(
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="x", column_B="y", or_equal=equal, ignore_row_if=each)
        for each in IGNORED_PAIRS
        for equal in (None, True)
    ),
]
SHARES = (0.0, 1 / 3, 0.5, 2 / 3, 0.8, 23 / 24, 1)
# One list of quantiles a column: where a suite has two, Great Expectations 1.24.1 gives one the answer of the other.
QUANTILES = {
    "x": {"quantiles": [0, 0.1, 0.5], "value_ranges": [[-2, None], [-2, -1], [None, 1]]},
    "y": {"quantiles": [0.5], "value_ranges": [[0.5, 1.5]]},
    "n": {"quantiles": [0.1, 0.9], "value_ranges": [[0, 0], [4, 5]]},
    "m": {"quantiles": [0.25], "value_ranges": [[6, 10]]},
}
OF_ALL = [
    *(gxe.ExpectColumnValuesToNotBeNull(column="x", mostly=share) for share in SHARES),
    *(gxe.ExpectColumnValuesToBeBetween(column="x", min_value=-1, max_value=2, mostly=share) for share in SHARES),
    *(gxe.ExpectColumnValuesToBeInSet(column="n", value_set=[1, 2, 5], mostly=share) for share in SHARES),
    *(gxe.ExpectColumnValuesToMatchRegex(column="s", regex="^a", mostly=share) for share in SHARES),
    *(gxe.ExpectColumnValueLengthsToBeBetween(column="s", min_value=1, mostly=share) for share in SHARES),
    *(gxe.ExpectColumnValuesToBeUnique(column="m", mostly=share) for share in SHARES),
    *(
        kind(column="x", min_value=low, max_value=low + 1, strict_min=strict, strict_max=strict)
        for kind in (gxe.ExpectColumnMeanToBeBetween, gxe.ExpectColumnMedianToBeBetween)
        for low in (0, 0.5, 1)
        for strict in (False, True)
    ),
    *(
        kind(column=column, min_value=-2, max_value=3, strict_min=strict, strict_max=strict)
        for kind in (gxe.ExpectColumnMinToBeBetween, gxe.ExpectColumnMaxToBeBetween)
        for column in ("x", "n")
        for strict in (False, True)
    ),
    *(
        gxe.ExpectColumnQuantileValuesToBeBetween(column=column, quantile_ranges=ranges)
        for column, ranges in QUANTILES.items()
    ),
    gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=ROWS),
    gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=ROWS, strict_max=True),
    gxe.ExpectTableRowCountToBeBetween(min_value=ROWS),
    gxe.ExpectTableRowCountToBeBetween(min_value=ROWS, strict_min=True),
    gxe.ExpectTableRowCountToEqual(value=ROWS),
    gxe.ExpectTableRowCountToEqual(value=ROWS + 1),
    gxe.ExpectColumnToExist(column="x"),
]


@pytest.fixture(scope="module")
def frames(theirs):
    """Frames, each with the answers of Great Expectations."""
    made = [frame(seed, missing=0.1 * (seed % 3)) for seed in range(FRAMES)]
    return [(rows, theirs(rows, OF_ROWS + OF_ALL)) for rows in made]


def test_rows_that_break_an_expectation_are_those_that_great_expectations_names(frames):
    for rows, answers in frames:
        for expectation, answer in zip(OF_ROWS, answers, strict=False):
            assert ours(rows, expectation) == (answer.success, answer.result["unexpected_index_list"]), expectation


def test_what_is_expected_of_all_rows_holds_where_great_expectations_says_so(frames):
    for rows, answers in frames:
        for expectation, answer in zip(OF_ALL, answers[len(OF_ROWS) :], strict=True):
            assert ours(rows, expectation)[0] == answer.success, (expectation, answer.result)


def test_the_frames_keep_expectations_and_break_them(frames):
    """Else the comparison would show nothing."""
    said = list(zip(*([answer.success for answer in answers] for _, answers in frames), strict=True))
    assert sum(any(each) and not all(each) for each in said) > SPLIT
    broken = [
        len(answer.result["unexpected_index_list"]) for _, answers in frames for answer in answers[: len(OF_ROWS)]
    ]
    assert sum(0 < each < ROWS for each in broken) > len(broken) / 2


def test_where_there_are_no_values_great_expectations_fails_and_a_check_says_nothing(theirs):
    rows = frame(0).assign(x=float("nan"))
    expectations = [
        gxe.ExpectColumnMeanToBeBetween(column="x", min_value=0),
        gxe.ExpectColumnMedianToBeBetween(column="x", min_value=0),
        gxe.ExpectColumnMaxToBeBetween(column="x", min_value=0),
    ]
    assert [answer.success for answer in theirs(rows, expectations)] == [False] * 3
    assert [ours(rows, each) for each in expectations] == [(True, [])] * 3


SUITE = gx.ExpectationSuite(
    name="weather",
    expectations=[
        gxe.ExpectColumnValuesToBeBetween(column="x", min_value=-1, max_value=3),
        gxe.ExpectColumnValuesToBeInSet(column="s", value_set=["a", "ab", "abc", "b", ""]),
        gxe.ExpectColumnValuesToNotBeNull(column="x", mostly=0.5),
        gxe.ExpectColumnMeanToBeBetween(column="x", min_value=-2, max_value=4, strict_max=True),
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
    ],
)


def test_a_suite_that_great_expectations_saved_says_the_same(tmp_path):
    context = gx.get_context(mode="file", project_root_dir=tmp_path)
    context.suites.add(gx.ExpectationSuite(name="weather", expectations=SUITE.expectations))
    (saved,) = (tmp_path / "gx" / "expectations").glob("**/weather.json")
    expected = group(SUITE).checks
    assert len(expected) == len(SUITE.expectations)
    assert group(json.loads(saved.read_text())).checks == expected
    assert group(context.suites.get("weather")).checks == expected


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "store") as made:
        yield made


def test_a_store_puts_the_rows_aside_that_great_expectations_names(store, theirs):
    store.apply(group(SUITE, on_violation="quarantine"))
    rows = frame(3)
    said = theirs(rows, SUITE.expectations)
    assert [answer.success for answer in said] == [False, False, True, True, True]
    broken = {at for answer in said[:2] for at in answer.result["unexpected_index_list"]}
    expected = sorted(rows["k"].iloc[sorted(broken)])
    store.backfill("g", rows)
    assert expected
    assert sorted(store.quality.quarantine("g").to_arrow().column("k").to_pylist()) == expected
    assert store.read("g").to_arrow().num_rows == ROWS - len(expected)


def test_a_strict_group_refuses_what_great_expectations_fails(store, theirs):
    suite = gx.ExpectationSuite(name="s", expectations=[gxe.ExpectColumnMeanToBeBetween(column="x", max_value=0)])
    store.apply(group(suite))
    good, bad = frame(1).assign(x=-1.0), frame(1).assign(x=1.0)
    assert [theirs(rows, suite.expectations)[0].success for rows in (good, bad)] == [True, False]
    assert store.backfill("g", good).rows == ROWS
    with pytest.raises(DataError, match="mean of x between anything and 0"):
        store.backfill("g", bad)


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        (gxe.ExpectColumnValuesToNotBeNull(column="x", row_condition=Column("y") > 1), "with row_condition="),
        (gxe.ExpectColumnValuesToBeBetween(column="x", min_value={"$PARAMETER": "low"}), "min_value from a parameter"),
        (gxe.ExpectColumnValuesToBeIncreasing(column="x"), "expect_column_values_to_be_increasing"),
        (gxe.ExpectColumnStdevToBeBetween(column="x", min_value=1), "expect_column_stdev_to_be_between"),
        (gxe.ExpectCompoundColumnsToBeUnique(column_list=["n", "s"], mostly=0.9), "with mostly=0.9"),
    ],
)
def test_what_no_check_says_is_refused(expectation, message):
    with pytest.raises(UnsupportedError, match=message):
        group(gx.ExpectationSuite(name="s", expectations=[expectation]))


def test_a_column_that_the_group_has_not_is_refused():
    with pytest.raises(NotFoundError, match="column 'z'"):
        group(gx.ExpectationSuite(name="s", expectations=[gxe.ExpectColumnToExist(column="z")]))
