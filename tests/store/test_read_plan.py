"""`historical(..., explain=True)` says how a read was answered; `batch_rows=` answers it in parts: law 7."""

import warnings
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Last, LastK, Max, lifetime, session
from asof.errors import UsageError

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, KEYS = 4, 50


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    user = Entity("user", keys={"user": "int64"})
    groups = [
        FeatureGroup(name, entity=user, event_time="ts", features=[Feature(f"{name}_x", "float64")], ttl=ttl)
        for name, ttl in (("a", None), ("b", timedelta(days=1)))
    ]
    with asof.open(
        tmp_path_factory.mktemp("read") / "store", clock=lambda: START + timedelta(days=9)
    ) as opened, warnings.catch_warnings():  # fmt: skip
        warnings.simplefilter("ignore")
        opened.apply(*groups, FeatureView("both", features=groups))
        for day in range(DAYS):
            times = [START + timedelta(days=day, minutes=key) for key in range(KEYS)]
            for group in groups:
                values = [None if key % 7 == day else day + key / 100 for key in range(KEYS)]
                opened.backfill(
                    group.name, pa.table({"user": range(KEYS), "ts": times, f"{group.name}_x": pa.array(values)})
                )
        yield opened


def spine(keys, hours):
    times = [START + timedelta(hours=hour) for hour in hours]
    return pa.table({"user": pa.array(keys, pa.int64()), "t": pa.array(times, pa.timestamp("us", "UTC"))})


@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, KEYS)), st.integers(-5, 120)), max_size=30),
    batch_rows=st.integers(1, 40),
)
def test_a_read_in_batches_gives_the_answers_and_the_report_of_one_read(store, rows, batch_rows):
    asked = spine([key for key, _ in rows], [hour for _, hour in rows])
    whole = store.historical("both", asked, time="t", statuses=True)
    parts = store.historical("both", asked, time="t", statuses=True, batch_rows=batch_rows)
    assert len(parts) == len(rows)
    assert parts.to_arrow().equals(whole.to_arrow())
    assert parts.commits == whole.commits
    assert str(parts.report) == str(whole.report)
    assert sum(batch.num_rows for batch in parts.batches(7)) == len(rows)


def test_batches_go_straight_into_a_file(store, tmp_path):
    frame = store.historical("both", spine(range(KEYS), [50] * KEYS), time="t", batch_rows=20)
    reader = pa.RecordBatchReader.from_stream(frame)
    with pq.ParquetWriter(tmp_path / "out.parquet", reader.schema) as writer:
        for batch in reader:
            assert batch.num_rows <= 20
            writer.write_batch(batch)
    assert pq.read_table(tmp_path / "out.parquet").equals(frame.to_arrow())


def test_the_report_of_batches_waits_until_they_were_read_and_compares_nothing(store):
    frame = store.historical("both", spine([1, 2], [1, 2]), time="t", batch_rows=1)
    with pytest.raises(UsageError, match="while the batches are read"):
        frame.report  # noqa: B018 - it raises
    frame.to_arrow()
    assert frame.report.rows == 2
    with pytest.raises(UsageError, match="not compared"):
        frame.report.compare()
    with pytest.raises(UsageError, match="no number of rows"):
        store.historical("both", spine([1], [1]), time="t", batch_rows=0)


def test_an_explained_read_names_plans_files_rows_and_steps(store):
    frame = store.historical("both", spine([1, 2, 3], [30, 30, 30]), time="t", explain=True)
    plan = frame.report.plan
    assert list(plan.profiles) == ["a", "b"]
    for profile in plan.profiles.values():
        assert (profile.plan, profile.files, profile.files_read) == ("whole", DAYS, 2)  # two days begin later
        assert profile.rows == DAYS * KEYS
        assert 6 <= profile.rows_read <= 2 * KEYS
        assert profile.row_groups == profile.row_groups_read == 2
        assert {"choose", "query", "arrange"} <= profile.seconds.keys()
        assert profile.peak_bytes
    assert "a: whole (3 spine rows for 100 rows: few of them have its keys)" in str(plan)
    assert "read      2 of 4 files, 2 of 2 row groups, " in str(plan)


def test_explaining_changes_no_answer_and_adds_up_over_batches(store):
    asked = spine([1, 2, 3], [30, 60, 90])
    told = store.historical("both", asked, time="t", explain=True, batch_rows=1)
    assert told.to_arrow().equals(store.historical("both", asked, time="t").to_arrow())
    assert told.report.plan.profiles["a"].rows_read == sum(
        store.historical("both", asked.slice(at, 1), time="t", explain=True).report.plan.profiles["a"].rows_read
        for at in range(3)
    )


def test_a_read_that_was_not_explained_says_so(store):
    with pytest.raises(UsageError, match="explain=True"):
        store.historical("both", spine([1], [1]), time="t").report.plan  # noqa: B018 - it raises


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Give a store with 1,000 events of each of two users, a minute apart."""
    user = Entity("user", keys={"user": "int64"})
    source = FeatureGroup(
        "visits",
        entity=Entity("visit", keys={"visit": "int64"}),
        event_time="ts",
        features=[Feature("user", "int64"), Feature("x", "float64")],
    )
    day = "24h"
    made = {
        "counted": [Count(over=day)],
        "greatest": [Count(over=day), Max("x", over=day)],
        "last": [Count(over=day), Last("x", over=lifetime()), LastK("x", 3, over=day)],
        "runs": [Count(over=session(gap="5m")), Count(over=day)],
    }
    groups = [FeatureGroup(name, entity=user, source=source, features=of) for name, of in made.items()]
    with asof.open(tmp_path_factory.mktemp("read") / "windows", clock=lambda: START + timedelta(days=9)) as opened:
        opened.apply(source, *groups)
        times = [START + timedelta(minutes=visit // 2) for visit in range(2000)]
        rows = {"visit": range(2000), "ts": times, "user": [visit % 2 for visit in range(2000)]}
        opened.backfill("visits", pa.table({**rows, "x": pa.array([float(visit) for visit in range(2000)])}))
        yield opened


@pytest.mark.parametrize(
    ("name", "many", "few"),
    [
        ("counted", "running sums", "join"),
        ("greatest", "tiles", "join"),
        ("last", "running sums + ranges", "join"),
        ("runs", "running sums + sessions", "sessions + join"),
    ],
)
def test_an_explained_read_names_the_plans_of_windows(windows, name, many, few):
    for rows, plan in ((400, many), (1, few)):
        asked = spine([row % 2 for row in range(rows)], [16] * rows)
        frame = windows.historical(name, asked, time="t", explain=True)
        profile = frame.report.plan.profiles[name]
        assert profile.plan == plan
        assert (profile.files, profile.files_read, profile.rows) == (1, 1, 2000)
        assert {"choose", "query", "arrange"} <= profile.seconds.keys()
        assert profile.rows_read > 0
        assert f"{name}: {plan} (" in str(frame.report.plan)
    deep = windows.historical(name, spine([0, 1] * 200, [16] * 400), time="t").to_arrow()
    assert deep.slice(0, 1).equals(windows.historical(name, spine([0], [16]), time="t").to_arrow())
