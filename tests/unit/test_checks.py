"""Checks of rows and of batches, held against plain Python; what users wrote; and foreign suites."""

import json
import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof import Check, Entity, Feature, FeatureGroup
from asof.arrow.conform import conform
from asof.checks import Checking, NoStore, report_from
from asof.definitions.documents import group_document, group_from
from asof.errors import DataError, NotFoundError, UnsupportedError, UsageError
from asof.testing.checks import checked_rows
from asof.wire.definitions import refuse_code

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW_US = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp() * 1e6)


def group(*checks, **parts):
    features = [Feature("x", "float64"), Feature("n", "int64"), Feature("s", "string"), Feature("l", "list<int64>")]
    entity = Entity("e", keys={"k": "string"})
    return FeatureGroup("g", entity=entity, event_time="t", features=features, checks=checks, **parts)


def rows_of(*records, definition=None):
    empty = {"k": "a", "t": START, "x": None, "n": None, "s": None, "l": None}
    full = [{**empty, **record} for record in records]
    columns = {name: [record[name] for record in full] for name in empty}
    return conform(pa.table(columns), definition or group())


def checked(table, *checks, whole=True):
    checking = Checking(group(*checks), NoStore(), now_us=NOW_US, whole=whole)
    return checking.add(table), checking.report()


values = st.one_of(st.none(), st.floats(-5, 5), st.just(math.nan))
records = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from("ab"),
            "t": st.integers(0, 5).map(lambda hours: START + timedelta(hours=hours)),
            "x": values,
            "n": st.one_of(st.none(), st.integers(-3, 3)),
            "s": st.one_of(st.none(), st.text("aé€", max_size=4)),
            "l": st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=3)),
        }
    ),
    max_size=12,
)


def within(value, low, high):
    return not math.isnan(value) and low <= value <= high


def rising(rows, at, column, strictly):
    """Whether a value is no less than the last one before it of its key, in the order of time and then as they came."""
    value = rows[at][column]
    mine = [(r["t"], i) for i, r in enumerate(rows) if r["k"] == rows[at]["k"] and r[column] is not None]
    before = [each for each in mine if each < (rows[at]["t"], at)]
    if value is None or not before:
        return True
    last = rows[max(before)[1]][column]
    return value > last if strictly else value >= last


ROWS = {
    Check.between("x", -1, 2): lambda rows, at: rows[at]["x"] is None or within(rows[at]["x"], -1, 2),
    Check.not_null("n"): lambda rows, at: rows[at]["n"] is not None,
    Check.one_of("n", 1, 2): lambda rows, at: rows[at]["n"] in (None, 1, 2),
    Check.matches("s", "^a"): lambda rows, at: rows[at]["s"] is None or bool(re.search("^a", rows[at]["s"])),
    Check.length("s", 1, 2): lambda rows, at: rows[at]["s"] is None or 1 <= len(rows[at]["s"]) <= 2,
    Check.length("l", None, 1): lambda rows, at: rows[at]["l"] is None or len(rows[at]["l"]) <= 1,
    Check.unique("k", "n"): lambda rows, at: (
        rows[at]["n"] is None or sum((r["k"], r["n"]) == (rows[at]["k"], rows[at]["n"]) for r in rows) == 1
    ),
    Check.increasing("n"): lambda rows, at: rising(rows, at, "n", strictly=False),
    Check.increasing("n", strictly=True): lambda rows, at: rising(rows, at, "n", strictly=True),
    Check.sql("n * 2 < 3"): lambda rows, at: rows[at]["n"] is None or rows[at]["n"] * 2 < 3,
}


@given(records)
def test_what_is_said_of_each_row_is_what_plain_python_says(rows):
    table = rows_of(*rows)
    for check, holds in ROWS.items():
        found, report = checked(table, check)
        assert found.broken.tolist() == [not holds(rows, at) for at in range(len(rows))], check
        (result,) = report.results
        assert result.broken == found.broken.sum()
        assert result.row == (int(found.broken.argmax()) if found.broken.any() else None)


@given(records, st.integers(1, 5), st.sampled_from([0.0, 0.3, 0.5, 0.8]))
def test_a_share_of_values_keeps_a_check_in_whatever_parts_they_come(rows, size, share):
    counted = {
        Check.between("x", -1, 2): [row for row in rows if row["x"] is not None],
        Check.not_null("n"): rows,
        Check.one_of("n", 1, 2): [row for row in rows if row["n"] is not None],
        Check.length("s", 1, 2): [row for row in rows if row["s"] is not None],
    }
    checking = Checking(group(*(check.for_share(share) for check in counted)), NoStore(), now_us=NOW_US)
    for start in range(0, len(rows), size):
        found = checking.add(rows_of(*rows[start : start + size]))
        assert not found.broken.any()
    for (check, asked), result in zip(counted.items(), checking.report().results, strict=True):
        kept = sum(ROWS[check]([row], 0) for row in asked)
        assert result.observed == (kept / len(asked) if asked else None)
        assert result.outcome == ("skipped" if not asked else "passed" if kept / len(asked) >= share else "broken")


@given(records, st.integers(1, 5))
def test_what_is_said_of_a_batch_does_not_depend_on_its_parts(rows, size):
    checks = [
        Check.max_null_share("x", 0.3),
        Check.row_count(2, 8),
        Check.freshness("21h"),
        Check.mean("n", -1, 1),
        Check.quantile("x", 0.5, -1, 1),
    ]
    _, whole = checked(rows_of(*rows), *checks)
    checking = Checking(group(*checks), NoStore(), now_us=NOW_US)
    for start in range(0, len(rows), size):
        checking.add(rows_of(*rows[start : start + size]))
    assert checking.report() == whole
    null_share, count, fresh, mean, median = whole.results
    numbers = [row["n"] for row in rows if row["n"] is not None]
    floats = sorted(row["x"] for row in rows if row["x"] is not None and not math.isnan(row["x"]))
    assert count.observed == len(rows)
    assert null_share.observed == (sum(row["x"] is None for row in rows) / len(rows) if rows else None)
    assert mean.observed == (pytest.approx(np.mean(numbers)) if numbers else None)
    assert median.observed == (floats[math.ceil(len(floats) / 2) - 1] if floats else None)
    newest = max((row["t"] for row in rows), default=None)
    assert fresh.outcome == (
        "skipped" if newest is None else "passed" if newest >= START + timedelta(hours=3) else "broken"
    )


def test_few_rows_are_not_asked_what_is_said_of_a_batch():
    _, report = checked(rows_of({}), Check.row_count(2, None), Check.not_null("x"), whole=False)
    assert [result.outcome for result in report.results] == ["skipped", "broken"]


def test_a_report_is_json_and_back():
    _, report = checked(rows_of({"x": 9.0}), Check.between("x", 0, 1), Check.in_group("k", "other"))
    assert report_from(report.to_json()) == report
    assert report.results[1].outcome == "skipped"
    assert json.loads(report.to_json())["results"][0]["value"] == "9.0"


def test_checks_are_documents_and_back():
    every = [*ROWS, Check.in_group(["k", "s"], "other"), Check.sql("avg(n) < 3", over="batch"),
             Check.function("math:isnan", over="batch"), Check.quantile("x", 0.9, None, 3.0),
             Check.changed_share(0.1, None), Check.not_null("s").for_share(0.9)]  # fmt: skip
    definition = group(*every)
    assert group_from(json.loads(json.dumps(group_document(definition)))) == definition
    assert len({str(check) for check in every}) == len(every)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Check.length("s", None, None), "neither a low nor a high bound"),
        (lambda: Check.row_count(3, 2), "low 3 is above high 2"),
        (lambda: Check.max_null_share("x", 2), "a share is a number from 0 to 1"),
        (lambda: Check.quantile("x", 7, 0, 1), "no number from 0 to 1"),
        (Check.unique, "names no column"),
        (lambda: Check.not_null("x").for_share(1.5), "a share is a number from 0 to 1"),
        (lambda: Check.not_null("x").for_share("most"), "a share is a number from 0 to 1"),
        (lambda: Check.mean("x", 0, 1).for_share(0.5), "is asked of no share"),
        (lambda: Check.sql(" "), "says nothing"),
        (lambda: Check.sql(3), "a int is no expression"),
        (lambda: Check.sql("x", over="all"), "over='all' is not known"),
        (lambda: Check.function(lambda rows: rows), "cannot be imported by a name"),
        (lambda: group("x > 1"), "a str is no check"),
        (lambda: group(Check.freshness("never")), "no length of time"),
    ],
)
def test_checks_that_say_nothing_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_checks_of_columns_or_times_that_there_are_not():
    with pytest.raises(NotFoundError, match="column 'y'"):
        group(Check.unique("x", "y"))
    entity = Entity("e", keys={"k": "string"})
    with pytest.raises(UsageError, match="is for groups with event_time="):
        FeatureGroup("g", entity=entity, features=[Feature("x", "int64")], checks=[Check.increasing("x")])


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (Check.matches("x", "a"), UsageError, "does not fit a column of type double"),
        (Check.length("x", 1, 2), UsageError, "does not fit a column of type double"),
        (Check.mean("s", 0, 1), UsageError, "does not fit"),
        (Check.sql("y > 1"), UsageError, 'Referenced column "y" not found'),
        (Check.sql("SELECT x > 1, n > 1 FROM batch"), UsageError, "the check gives 2 columns"),
        (Check.sql("SELECT count(*) FROM batch"), DataError, "1 values of type int64 for 2 rows"),
        (Check.sql("SELECT 1 FROM read_csv('/etc/passwd')"), UsageError, "the SQL cannot be run"),
        (Check.sql("n", over="batch"), DataError, "2 values of type int64"),
        (Check.function("nowhere:good"), UsageError, "nowhere:good cannot be imported: ModuleNotFoundError"),
        (Check.function("math:pi"), UsageError, "no function, and no schema"),
        (Check.function("rubbish"), UsageError, "no module:function"),
    ],
)
def test_checks_that_cannot_be_asked(check, error, message):
    with pytest.raises(error, match=message):
        checked(rows_of({"x": 1.0, "n": 1}, {"k": "b"}), check)


@pytest.fixture
def rules(tmp_path, monkeypatch):
    (tmp_path / "asof_rules.py").write_text(
        "import pandas as pd\n"
        "import polars as pl\n"
        "def arrow(rows): return [x is None or x < 3 for x in rows.column('x').to_pylist()]\n"
        "def pandas(rows: pd.DataFrame): return rows['x'] < 3\n"
        "def polars(rows: pl.DataFrame): return rows['x'] < 3\n"
        "def single(rows): return rows.num_rows < 2\n"
        "def text(rows): return 'yes'\n"
        "def fails(rows): raise KeyError('no')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", ["arrow", "pandas", "polars"])
def test_functions_of_users_say_which_rows_are_good(rules, name):
    found, report = checked(rows_of({"x": 1.0}, {"x": 5.0}), Check.function(f"asof_rules:{name}"))
    assert found.broken.tolist() == [False, True]
    assert found.reasons == [f"asof_rules:{name} over rows"]
    assert report.results[0].broken == 1


def test_functions_of_users_say_whether_a_batch_is_good(rules):
    check = Check.function("asof_rules:single", over="batch")
    assert checked(rows_of({}), check)[1].passed
    assert not checked(rows_of({}, {"k": "b"}), check)[1].passed


@pytest.mark.parametrize(
    ("name", "message"), [("text", "the check gives a str, no booleans"), ("fails", "failed on 1 rows: KeyError: 'no'")]
)
def test_functions_of_users_that_fail_are_told(rules, name, message):
    with pytest.raises(DataError, match=message):
        checked(rows_of({}), Check.function(f"asof_rules:{name}"))


def test_ibis_expressions_are_checks():
    ibis = pytest.importorskip("ibis")
    batch = ibis.table({"x": "float64", "n": "int64"}, name="batch")
    found, _ = checked(rows_of({"x": 1.0}, {"x": 5.0}), Check.sql(batch.x < 3))
    assert found.broken.tolist() == [False, True]
    _, report = checked(rows_of({"x": 1.0}, {"x": 5.0}), Check.sql(batch.x.mean() < 2, over="batch"))
    assert not report.passed


@pytest.fixture
def schemas(tmp_path, monkeypatch):
    pytest.importorskip("pandera")
    (tmp_path / "asof_schemas.py").write_text(
        "import pandera.pandas as pa\n"
        "import pandera.polars as pp\n"
        "frame = pa.DataFrameSchema({'x': pa.Column(float, pa.Check.lt(3), nullable=True)})\n"
        "lazy = pp.DataFrameSchema({'x': pp.Column(float, pp.Check.lt(3), nullable=True)})\n"
        "whole = pa.DataFrameSchema({'x': pa.Column(float, nullable=True)},\n"
        "                           checks=pa.Check(lambda rows: len(rows) < 2))\n"
        "class Model(pa.DataFrameModel):\n"
        "    x: float = pa.Field(lt=3, nullable=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import asof_schemas

    return asof_schemas


@pytest.mark.parametrize("name", ["frame", "lazy", "Model"])
def test_pandera_schemas_are_taken_as_they_are(schemas, name):
    definition = group(getattr(schemas, name))
    assert [check.code for check in definition.checks] == [f"asof_schemas:{name}"]
    found, _ = checked(rows_of({"x": 1.0}, {"x": 5.0}, {}), *definition.checks)
    assert found.broken.tolist() == [False, True, False]


def test_what_pandera_says_of_the_frame_is_said_of_all_rows(schemas):
    found, _ = checked(rows_of({"x": 1.0}, {"x": 2.0}), *group(schemas.whole).checks)
    assert found.broken.tolist() == [True, True]


SUITE = {
    "name": "weather",
    "expectations": [
        {"type": "expect_column_to_exist", "kwargs": {"column": "x"}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "n", "mostly": 0.9}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "min_value": 0, "strict_min": True}},
        {"expectation_type": "expect_column_values_to_be_in_set", "kwargs": {"column": "n", "value_set": [1, 2]}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "s", "regex": "^a"}},
        {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "s", "value": 3}},
        {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["k", "n"]}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "min_value": 0, "max_value": 1}},
        {"type": "expect_column_median_to_be_between", "kwargs": {"column": "x", "max_value": 1}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        {
            "type": "expect_column_quantile_values_to_be_between",
            "kwargs": {
                "column": "x",
                "quantile_ranges": {"quantiles": [0.1, 0.9], "value_ranges": [[0, 1], [None, 9]]},
            },
        },
    ],
}


def test_suites_of_great_expectations_are_taken_as_they_are():
    ordered = '(list("x" ORDER BY "x") FILTER ("x" IS NOT NULL))'
    assert list(group(SUITE).checks) == [
        Check.max_null_share("x", 1.0),
        Check.not_null("x"),
        Check.not_null("n").for_share(0.9),
        Check.between("x", 0, None),
        Check.sql('"x" > 0'),
        Check.one_of("n", 1, 2),
        Check.matches("s", "^a"),
        Check.length("s", 3, 3),
        Check.sql(
            'SELECT count(*) OVER (PARTITION BY "k", "n") = 1 OR ("k" IS NULL AND "n" IS NULL)'
            " FROM (SELECT *, row_number() OVER () AS __row FROM batch) ORDER BY __row"
        ),
        Check.mean("x", 0, 1),
        Check.sql('median("x") <= 1', over="batch"),
        Check.row_count(1, None),
        *(
            Check.sql(
                " AND ".join(f'{ordered}[1 + round_even({q} * (count("x") - 1), 0)::BIGINT] {rule}' for rule in rules),
                over="batch",
            )
            for q, rules in ((0.1, (">= 0", "<= 1")), (0.9, ("<= 9",)))
        ),
    ]


@pytest.mark.parametrize(
    ("expectation", "error", "message"),
    [
        ({"type": "expect_the_moon", "kwargs": {}}, UnsupportedError, "no check says what expect_the_moon expects"),
        ({"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["x", "n"], "mostly": 0.5}}, UnsupportedError, "mostly=0.5"),
        ({"type": "expect_column_values_to_be_unique", "kwargs": {"column": "x", "row_condition": "n > 1"}}, UnsupportedError, "row_condition='n > 1'"),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "min_value": {"$PARAMETER": "low"}}}, UnsupportedError, "from a parameter"),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "min_value": 1, "mostly": 9}}, UsageError, "a share is a number from 0 to 1"),
        ({"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": "x", "allow_relative_error": "linear"}}, UnsupportedError, "allow_relative_error"),
        ({"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {"column_A": "x", "column_B": "n", "ignore_row_if": "?"}}, UnsupportedError, "ignore_row_if"),
        ({"type": "expect_column_mean_to_be_between", "kwargs": {"min_value": 1}}, UsageError, "does not say 'column'"),
    ],
)  # fmt: skip
def test_suites_that_expect_something_else(expectation, error, message):
    with pytest.raises(error, match=message):
        group({"expectations": [expectation]})


def test_rows_are_checked_without_a_store():
    report = checked_rows(group(Check.between("x", 0, 1), Check.in_group("k", "other")), [{"k": "a", "t": START, "x": 9.0, "n": 1, "s": "", "l": []}])  # fmt: skip
    assert [result.outcome for result in report.results] == ["broken", "skipped"]
    with pytest.raises(DataError, match="column"):
        checked_rows(group(), [{"k": "a"}])


def test_functions_are_not_taken_from_a_client():
    with pytest.raises(UnsupportedError, match="the function os:system of a check is not taken from a client"):
        refuse_code(group_document(group(Check.function("os:system"))))
    refuse_code(group_document(group(Check.sql("x > 1"))))
