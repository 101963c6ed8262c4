"""Statistics are kept with each commit, merged to any window or tag, and never say what was erased."""

import random
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView, statistics
from asof.aggregates import Count
from asof.errors import NotFoundError, PermanentError, UsageError
from asof.ingest import statistics as kept
from asof.ingest import upkeep
from asof.statistics.packing import unpack

user = Entity("user", keys={"user": "int64"})
EXACT = ("rows", "retired", "distinct_keys", "first_event", "last_event")


def events(**more):
    features = [Feature("x", "float64"), Feature("word", "string"), Feature("n", "int64")]
    return FeatureGroup("events", **{"entity": user, "event_time": "t", "features": features, "known": "event"} | more)


def rows_of(numbers, at):
    return [
        {"user": n % 7, "t": at(n / 3600), "x": None if n % 5 == 0 else n / 2, "word": f"word {n % 3}", "n": n}
        for n in numbers
    ]


def same(found, rows):
    """Hold statistics to those of the rows themselves."""
    expected = statistics.of(pa.Table.from_pylist(rows), keys=["user"], event_time="t")
    assert {name: getattr(found, name) for name in EXACT} == {name: getattr(expected, name) for name in EXACT}
    for name, column in expected.columns.items():
        same_column(found.columns[name], column)


def same_column(found, expected):
    mine, others = found.to_dict(), expected.to_dict()
    assert mine.pop("mean") == pytest.approx(others.pop("mean"))
    assert mine.pop("stddev") == pytest.approx(others.pop("stddev"))
    assert mine == others


def spans(store):
    return store._parts.statistics.spans(store._parts.registry.group("events"))


def test_each_way_in_has_statistics(store, at):
    store.apply(events())
    rows = rows_of(range(40), at)
    first = store.write("events", rows[:10])
    store.backfill("events", rows[10:20])
    for row in rows[20:25]:
        store.push("events", row)
    store.push("events", rows[25:30])
    with store.together() as tx:
        tx.write("events", rows[30:40])
    found = store.quality.statistics("events")
    same(found, rows)
    assert (found.group, found.commits, found.first_commit, found.last_commit) == ("events@1", 9, 1, 9)
    assert (found.missing_commits, found.missing_rows, found.approximate) == (0, 0, ())
    same(store.quality.statistics("events", commits=first), rows[:10])
    same(store.quality.statistics("events", commits="events:2"), rows[10:20])
    same(store.quality.statistics("events", commits=(2, 4)), rows[10:22])
    store.compact("events")
    same(store.quality.statistics("events"), rows)


def test_a_load_in_parts_has_those_of_its_rows(store, at, monkeypatch):
    monkeypatch.setattr("asof.ingest.write.PART_ROWS", 50)
    monkeypatch.setattr("asof.ingest.load.PART_ROWS", 50)
    store.apply(events())
    rows = rows_of(range(230), at)
    random.Random(1).shuffle(rows)
    table = pa.Table.from_pylist([*rows, *rows[:20]])  # equal rows in several parts collapse
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=25))
    assert store.backfill("events", reader).rows == 230
    same(store.quality.statistics("events"), rows)


def test_retirements_are_no_nulls(store, at):
    store.apply(events(online=True))
    rows = rows_of(range(6), at)
    store.write("events", rows)
    store.retire("events", {"user": 1}, event_time=at(1))
    found = store.quality.statistics("events")
    assert (found.rows, found.retired, found.columns["word"].nulls) == (6, 1, 0)


def test_rows_that_did_not_change_count_as_if_they_were_stored(store, at):
    rows = [{"user": n, "x": float(n), "word": "w", "n": n} for n in range(8)]
    store.apply(events(event_time=None, on_unchanged="skip"))
    store.write("events", rows)
    commit = store.write("events", [row | {"x": 0.5} if row["user"] == 1 else row for row in rows])
    assert commit.unchanged == 7
    found = store.quality.statistics("events", commits=commit)
    assert (found.rows, found.columns["n"].max, found.first_event) == (8, 7, None)


def test_absent_keys_of_a_full_load_are_retirements(store, clock, at):
    store.apply(events(online=True))
    store.write("events", [row | {"t": at(1)} for row in rows_of(range(5), at)])
    store.write("events", [row | {"t": at(2)} for row in rows_of(range(3), at)], absent="retire")
    found = store.quality.statistics("events")
    assert (found.rows, found.retired) == (8, 2)


def test_a_materialized_group_has_statistics(store, at):
    source = events()
    made = FeatureGroup(
        "doubled",
        entity=user,
        event_time="t",
        source=source,
        features=[Feature("y", "float64")],
        transform=asof.SQL("select user, t, x * 2 as y from events"),
    )
    store.apply(source, made)
    store.backfill("events", rows_of(range(10), at))
    store.materialize("doubled")
    found = store.quality.statistics("doubled")
    assert (found.rows, found.columns["y"].max, found.columns["y"].nulls) == (10, 9.0, 2)


def test_a_feature_that_was_added_is_null_in_what_was_written_before(store, at):
    store.apply(events())
    store.write("events", rows_of(range(3), at))
    features = [*events().features, Feature("late", "int64")]
    store.apply(events(features=features))
    found = store.quality.statistics("events")
    assert (found.columns["late"].nulls, found.columns["late"].rows) == (3, 3)
    store.write("events", [row | {"late": 4} for row in rows_of(range(3, 5), at)])
    column = store.quality.statistics("events").columns["late"]
    assert (column.nulls, column.max, column.kind) == (3, 4, "number")


def test_windows_of_commit_time_side_by_side_add_up(store, clock, at):
    store.apply(events())
    rows = rows_of(range(30), at)
    times = []
    for n in range(0, 30, 10):
        times.append(store.write("events", rows[n : n + 10]).committed_at)
        clock.move(hours=1)
    same(store.quality.statistics("events", end=times[0]), rows[:10])
    same(store.quality.statistics("events", start=times[0], end=times[1]), rows[10:20])
    same(store.quality.statistics("events", start=times[1]), rows[20:])
    assert store.quality.statistics("events", start=times[2]).rows == 0


def test_a_tag_is_exact_whatever_was_merged_and_retracted_later(store, clock, at, monkeypatch):
    few_spans(monkeypatch)
    store.apply(events())
    rows = rows_of(range(60), at)
    for n in range(30):
        store.write("events", rows[n : n + 1])
        if n == 10:
            store.catalog.tag("early")
    wrong = store.write("events", rows[30:40])
    store.catalog.tag("before")
    store.retract(wrong, reason="wrong")
    for n in range(40, 60):
        store.write("events", rows[n : n + 1])
    store._writer.upkeep.work()
    assert len(spans(store)) < 20
    for name, expected in (("early", rows[:11]), ("before", rows[:40])):
        found = store.quality.statistics("events", commits=name)
        same(found, expected)
        assert found.approximate == ()
    found = store.quality.statistics("events")
    same(found, rows[:30] + rows[40:])
    assert found.approximate == ()


def few_spans(monkeypatch):
    monkeypatch.setattr(kept, "MOST_SPANS", 8)
    monkeypatch.setattr(kept, "NEWEST_SPANS", 2)
    monkeypatch.setattr(upkeep, "BACKGROUND", False)


def test_a_thousand_small_commits_become_a_few_spans(store, at, monkeypatch):
    few_spans(monkeypatch)
    store.apply(events())
    rows = rows_of(range(100), at)
    for n, row in enumerate(rows):
        store.write("events", [row])
        if n % 20 == 0:
            store._writer.upkeep.work()
    store._writer.upkeep.work()
    assert len(spans(store)) <= 9
    found = store.quality.statistics("events")
    same(found, rows)
    assert (found.commits, found.approximate) == (100, ())


def test_days_stay_apart_while_they_are_not_too_many(store, clock, at, monkeypatch):
    few_spans(monkeypatch)
    store.apply(events())
    for n, row in enumerate(rows_of(range(40), at)):
        if n % 10 == 0:
            clock.move(days=1)
        store.write("events", [row])
    store._writer.upkeep.work()
    days = [
        span.first_committed_us // kept.DAY_US - spans(store)[0].first_committed_us // kept.DAY_US
        for span in spans(store)
    ]
    assert days == [0, 1, 2, 3, 3, 3]
    found = store.quality.statistics("events", start=clock.now - timedelta(days=1, hours=1))
    assert (found.rows, found.approximate) == (20, ())


def test_a_bound_that_cuts_a_span_is_told(store, at, monkeypatch):
    few_spans(monkeypatch)
    store.apply(events())
    rows = rows_of(range(20), at)
    commits = [store.write("events", [row]) for row in rows]
    store._writer.upkeep.work()
    first, second = (store.quality.statistics("events", commits=each) for each in ((1, 5), (6, 20)))
    assert first.rows + second.rows == 20
    assert "kept as one" in first.approximate[0]
    assert "kept as one" in second.approximate[0]
    store.retract(commits[3], reason="wrong")
    found = store.quality.statistics("events")
    assert found.rows == 20
    assert "retracted: 4" in found.approximate[0]


def test_a_retracted_commit_does_not_count(store, at):
    store.apply(events())
    rows = rows_of(range(20), at)
    store.write("events", rows[:10])
    wrong = store.write("events", rows[10:])
    pushed = store.push("events", rows_of([50], at)[0])
    store.retract(wrong, reason="wrong")
    store.retract(pushed, reason="wrong")
    found = store.quality.statistics("events")
    same(found, rows[:10])
    assert (found.approximate, found.missing_commits) == ((), 0)
    assert store.quality.statistics("events", commits=wrong).rows == 0


def without_statistics(store):
    group = store._parts.registry.group("events")
    store._parts.statistics.replace(group, removed=spans(store), added=[], drops=store._parts.log.snapshot(group).drops)


@pytest.mark.parametrize("compacted", [False, True])
def test_what_has_none_is_told_and_made_once(store, at, compacted):
    store.apply(events(on_unchanged="skip"))
    rows = rows_of(range(30), at)
    for n in range(0, 30, 10):
        store.write("events", rows[n : n + 10])
    store.push("events", rows_of([30], at)[0])
    store.retire("events", {"user": 1}, event_time=at(1))
    without_statistics(store)
    if compacted:
        store.compact("events")
    store.write("events", rows_of(range(31, 40), at))
    found = store.quality.statistics("events")
    assert (found.missing_commits, found.missing_rows) == (4, 31)
    made = store.quality.statistics("events", rebuild=True)
    assert (made.missing_commits, made.commits, made.retired) == (0, 6, 1)
    same_column(made.columns["n"], statistics.of(rows_of(range(40), at)).columns["n"])
    assert store.quality.statistics("events").to_dict() == made.to_dict()


def test_statistics_that_are_damaged_are_an_error_that_says_what_to_do(folder, at):
    with asof.open(folder) as store:
        store.apply(events())
        store.write("events", rows_of(range(3), at))
    with sqlite3.connect(folder / "registry.db") as registry:
        registry.execute("UPDATE statistics_span SET body = x'0102'")
    registry.close()
    with asof.open(folder) as store, pytest.raises(PermanentError, match="statistics cannot be read"):
        store.quality.statistics("events")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"commits": "nope"}, NotFoundError, "nope"),
        ({"commits": "other:1"}, NotFoundError, "other"),
        ({"commits": "events:x"}, UsageError, "names no commit"),
        ({"commits": (1, 2, 3)}, UsageError, "two commits"),
        ({"commits": (-1, 2)}, UsageError, "two commits"),
        ({"commits": ("a", "b")}, UsageError, "two commits"),
        ({"commits": {"other": 3}}, UsageError, "no pin for group"),
        ({"commits": 7}, UsageError, "no pins"),
        ({"start": datetime(2026, 1, 1)}, UsageError, "no time zone"),  # noqa: DTZ001 - the point
        ({"end": "yesterday"}, UsageError, "no datetime"),
    ],
)
def test_what_cannot_be_asked_is_refused(store, at, given, error, says):
    store.apply(events())
    store.write("events", rows_of(range(3), at))
    with pytest.raises(error, match=says):
        store.quality.statistics("events", **given)


def test_groups_without_commits_of_their_own_say_where_to_ask(store):
    store.apply(events(), FeatureGroup("made", entity=user, source=events(), features=[Count(over="1h")]))
    with pytest.raises(UsageError, match="made of events@1"):
        store.quality.statistics("made")
    with pytest.raises(NotFoundError, match="nothing"):
        store.quality.statistics("nothing")
    assert store.quality.statistics("events").rows == 0
    assert "0 rows" in str(store.quality.statistics("events"))


NEEDLE = "needle in the hay"
people = FeatureGroup(
    "people", entity=user, event_time="t", features=[Feature("word", "string"), Feature("x", "float64")]
)


def everything_kept(store, group):
    found = store._parts.statistics.spans(store._parts.registry.group(group))
    return [(span, unpack(span.body)) for span in found]


@pytest.mark.parametrize("merged", [False, True])
def test_what_is_erased_is_in_no_statistics(store, at, monkeypatch, merged):
    few_spans(monkeypatch)
    store.apply(people)
    plain = [{"user": n % 5 + 1, "t": at(n / 60), "word": "hay", "x": float(n)} for n in range(12)]
    for n, row in enumerate(plain):
        also = [row | {"user": 99, "word": NEEDLE, "x": 1e9}] if n in (2, 7) else []
        store.write("people", [row, *also])
    store.push("people", {"user": 99, "t": at(5), "word": NEEDLE, "x": -1e9})
    if merged:
        store._writer.upkeep.work()
    assert store.quality.statistics("people").columns["x"].max == 1e9
    store.forget("user", {"user": 99}, reason="asked")
    found = store.quality.statistics("people")
    assert (found.rows, found.missing_commits, found.columns["x"].max, found.columns["x"].min) == (12, 0, 11.0, 0.0)
    for _, each in everything_kept(store, "people"):
        assert NEEDLE not in str(each.to_dict())
        assert all(column.max <= 11 for name, column in each.columns.items() if name == "x"), (
            "a span may have no rows left"
        )


def test_what_retention_dropped_is_erased_from_statistics_too(store, clock, at):
    store.apply(
        FeatureGroup("people", entity=user, event_time="t", features=people.features, retention="2h", known="event")
    )
    store.write(
        "people", [{"user": 99, "t": at(0), "word": NEEDLE, "x": 5.0}, {"user": 1, "t": at(0), "word": "hay", "x": 1.0}]
    )
    store.write(
        "people", [{"user": 99, "t": at(1), "word": "new", "x": 5.0}, {"user": 1, "t": at(1), "word": "hay", "x": 1.0}]
    )
    clock.move(days=9)
    store.compact("people")
    assert NEEDLE in str(store.quality.statistics("people").to_dict()), "retention leaves statistics as they are"
    store.forget("user", {"user": 99}, reason="asked")
    for _, each in everything_kept(store, "people"):
        assert NEEDLE not in str(each.to_dict())


def test_statistics_go_with_their_group(store, at):
    store.apply(events())
    store.write("events", rows_of(range(3), at))
    store.catalog.remove("events")
    store.apply(events())
    assert store.quality.statistics("events").rows == 0


def test_a_serving_log_has_statistics(store, at, clock):
    group = events(online=True)
    store.apply(group, FeatureView("v", features=[group["x"]], log=1.0))
    store.write("events", rows_of(range(3), at))
    store.online("v", {"user": 1})
    store.quality.serving_log("v", flush=True)
    logs = [group.definition.name for group in store.catalog.groups() if group.definition.name != "events"]
    assert [store.quality.statistics(name).rows for name in logs] == [1]


def test_a_frame_has_statistics(store, at):
    store.apply(events())
    store.backfill("events", rows_of(range(10), at))
    spine = [{"user": 1, "t": at(1)}, {"user": 2, "t": at(1)}]
    frame = store.historical("events", spine, time="t")
    found = statistics.of(frame, columns=["x", "word"])
    assert (found.rows, list(found.columns)) == (2, ["x", "word"])


def test_great_writes_have_those_of_their_rows_though_they_are_made_beside(store):
    store.apply(events())
    n = 50_000
    rng = np.random.default_rng(4)
    times = pa.array(np.arange(n) * 1000).cast(pa.timestamp("us", "UTC"))
    table = pa.table(
        {"user": np.arange(n) % 1000, "t": times, "x": rng.random(n), "word": ["a", "b"] * (n // 2), "n": np.arange(n)}
    )
    store.backfill("events", table)
    found = store.quality.statistics("events")
    assert (found.rows, found.distinct_keys, found.columns["n"].max) == (n, 1000, n - 1)
    assert found.columns["x"].mean == pytest.approx(float(np.mean(table["x"].to_numpy())))
    assert found.columns["word"].top(1)[0].count == n // 2
    assert found.last_event == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n - 1)
