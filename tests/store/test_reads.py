"""historical, read, online, replay, verify, compact, retention: what can be asked, and what stays the same."""

import re
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

import asof
from asof import Feature, FeatureView
from asof.errors import ConflictError, DataError, DataWarning, NotFoundError, UnsupportedError, UsageError


def temps(frame):
    return frame.to_arrow().column("temp").to_pylist()


@pytest.fixture
def filled(store, weather, hourly):
    """Give a store with 24 hours of weather of two airports, loaded as history."""
    store.apply(weather())
    store.backfill("weather", hourly())
    return store


def test_the_report_counts_every_status_and_compares_the_other_mode(filled, at, clock):
    clock.move(hours=12)
    filled.push("weather", {"origin": "LGA", "time_hour": at(24), "temp": None, "visib": 1.0})
    filled.retire("weather", {"origin": "JFK"}, event_time=at(30))
    spine = [
        {"origin": "JFK", "time": at(5)},
        {"origin": "JFK", "time": at(28.99)},
        {"origin": "JFK", "time": at(29)},
        {"origin": "JFK", "time": at(40)},
        {"origin": "LGA", "time": at(36.5)},
        {"origin": "SFO", "time": at(5)},
        {"origin": None, "time": at(5)},
    ]
    frame = filled.historical("weather", spine, time="time", statuses=True)
    assert frame.to_arrow().column("temp__status").to_pylist() == [
        "PRESENT", "PRESENT", "EXPIRED", "RETIRED", "EXPIRED", "MISSING", "MISSING",
    ]  # fmt: skip
    assert frame.report.rows == 7
    assert frame.report.counts == {"weather": {"PRESENT": 4, "NULL": 0, "MISSING": 4, "EXPIRED": 4, "RETIRED": 2}}
    assert frame.report.coincide == {"weather": 1}
    assert frame.report.known == {"weather": "served"}
    text = str(frame.report)
    assert text.splitlines()[0].split() == [
        "group",
        "known",
        "PRESENT",
        "NULL",
        "MISSING",
        "EXPIRED",
        "RETIRED",
        "coincide",
    ]
    assert "temp" in repr(frame)
    assert text in repr(frame)
    comparison = frame.report.compare()
    assert comparison.known == "event"
    assert comparison.values == {"weather": 14}
    assert "differ under known='event'" in str(comparison)


def test_statuses_tell_null_from_missing(filled, at, clock):
    clock.move(hours=1)
    filled.push("weather", {"origin": "JFK", "time_hour": at(25), "temp": None, "visib": 1.0})
    vector = filled.online("weather", {"origin": "JFK"})
    assert vector.values == {"temp": None, "visib": 1.0}  # the newest row wins with its nulls
    assert vector.statuses == {"temp": "NULL", "visib": "PRESENT"}
    assert vector.event_times == {"temp": at(25), "visib": at(25)}
    spine = [{"origin": "JFK", "time": at(25)}]
    row = filled.historical("weather", spine, time="time", statuses=True).to_arrow().to_pylist()[0]
    assert (row["temp__status"], row["visib__status"]) == ("NULL", "PRESENT")


def test_known_chooses_the_mode_for_one_question(filled, at, clock):
    clock.move(hours=4)
    filled.push("weather", {"origin": "JFK", "time_hour": at(10), "temp": 100.0, "visib": 1.0})
    spine = [{"origin": "JFK", "time": at(10)}]
    assert temps(filled.historical("weather", spine, time="time")) == [10.0]
    assert temps(filled.historical("weather", spine, time="time", known="event")) == [100.0]
    assert temps(filled.historical("weather", spine, time="time", known=at(27.9))) == [10.0]
    assert temps(filled.historical("weather", spine, time="time", known=at(28))) == [100.0]
    with pytest.raises(UsageError, match=r"known='latest' is no knowledge mode.*\"served\", \"event\" or a datetime"):
        filled.historical("weather", spine, time="time", known="latest")
    with pytest.raises(UsageError, match="has no time zone"):
        filled.historical("weather", spine, time="time", known=datetime(2024, 1, 1))  # noqa: DTZ001 - the case


def test_one_time_serves_all_rows_of_a_spine(filled, at):
    spine = pd.DataFrame({"origin": ["JFK", "LGA"]})
    assert temps(filled.historical("weather", spine, time=at(7))) == [7.0, 7.0]
    with pytest.raises(UsageError, match="at which time"):
        filled.historical("weather", spine)


def test_a_pinned_read_is_changed_by_nothing_that_comes_later(filled, at, clock):
    spine = [{"origin": "JFK", "time": at(10)}]
    before = filled.historical("weather", spine, time="time")
    assert before.commits == {"weather@1": 1}
    filled.backfill("weather", [{"origin": "JFK", "time_hour": at(10), "temp": 100.0, "visib": 1.0}])
    assert temps(filled.historical("weather", spine, time="time")) == [100.0]
    for pins in (before.commits, {"weather": 1}):
        assert temps(filled.historical("weather", spine, time="time", commits=pins)) == [10.0]
    filled.retract("weather:1", reason="wrong file")
    filled.compact()
    assert temps(filled.historical("weather", spine, time="time", commits=before.commits)) == [10.0]
    assert len(filled.read("weather", commits=before.commits)) == 48
    with pytest.raises(NotFoundError, match="did you mean 'weather'"):
        filled.historical("weather", spine, time="time", commits={"wether": 1})
    with pytest.raises(UsageError, match="no pin for group weather@1"):
        filled.historical("weather", spine, time="time", commits={})
    with pytest.raises(NotFoundError, match="unknown tag '2026-11'"):
        filled.historical("weather", spine, time="time", commits="2026-11")


def test_names_are_full_where_they_must_be(filled, weather, at):
    group = weather()
    filled.apply(
        group, FeatureView("both", features=[group["temp"], group.on(origin="dest")["temp"].alias("dest_temp")])
    )
    spine = [{"origin": "JFK", "dest": "LGA", "temp": 1, "time": at(3)}]
    with pytest.raises(UsageError, match=r"the spine already has a column 'temp'.*full_names=True"):
        filled.historical("both", spine, time="time")
    frame = filled.historical("both", spine, time="time", full_names=True)
    assert frame.column_names == ["origin", "dest", "temp", "time", "weather__temp", "dest_temp"]
    assert frame.to_arrow().column("weather__temp").to_pylist() == [3.0]


def test_most_answers_missing_for_arrival_alone_warns_and_names_the_ways_out(store, weather, hourly, at, clock):
    store.apply(weather())
    clock.move(days=5)
    with pytest.warns(DataWarning):
        store.write("weather", hourly())
    spine = [{"origin": "JFK", "time": at(hour)} for hour in range(10)]
    with pytest.warns(
        DataWarning, match=r"10 of 10 answers of group 'weather' are MISSING only.*backfill.*known=\"event\""
    ) as got:
        store.historical("weather", spine, time="time")
    assert got[0].filename == __file__
    store.historical("weather", spine, time="time", known="event")


def test_read_gives_the_stored_rows_of_an_interval(filled, at, clock):
    clock.move(hours=1)
    filled.push("weather", {"origin": "JFK", "time_hour": at(23), "temp": 50.0, "visib": 1.0})
    part = filled.read("weather", start=at(21), end=at(23)).to_arrow().to_pylist()
    assert [(row["origin"], row["time_hour"], row["temp"]) for row in part] == [
        ("JFK", at(22), 22.0),
        ("JFK", at(23), 23.0),
        ("JFK", at(23), 50.0),
        ("LGA", at(22), 22.0),
        ("LGA", at(23), 23.0),
    ]
    assert filled.read("weather", columns=["temp"], latest=True).to_arrow().to_pydict() == {"temp": [50.0, 23.0]}
    clocks = filled.read("weather", start=at(22), latest=True, clocks=True).to_arrow().to_pylist()
    assert [(row["__commit"], row["__available_at"]) for row in clocks] == [(2, at(25)), (1, at(23))]
    assert len(filled.read("weather", known=at(24))) == 48
    with pytest.raises(NotFoundError, match="did you mean 'temp'"):
        filled.read("weather", columns=["tmp"])
    with pytest.raises(UsageError, match=r"start .* has no time zone"):
        filled.read("weather", start=datetime(2024, 1, 1))  # noqa: DTZ001 - the case


def test_read_with_pins_of_another_group_says_so(filled):
    with pytest.raises(UsageError, match="no pin for group weather@1"):
        filled.read("weather", commits={"planes": 1})


def test_a_receipt_replays_the_same_answer(filled, at, clock):
    vector = filled.online("weather", {"origin": "JFK"}, request={"amount": 3})
    receipt = vector.receipt
    assert (receipt.view, receipt.keys, receipt.request) == ("weather@1", {"origin": "JFK"}, {"amount": 3})
    assert (receipt.clock, receipt.commits, receipt.applying) == (clock.now, {"weather@1": 1}, False)
    clock.move(hours=8)
    filled.push("weather", {"origin": "JFK", "time_hour": at(30), "temp": 50.0, "visib": 1.0})
    filled.compact()
    again = filled.replay(receipt)
    assert (again.values, again.statuses, again.event_times) == (vector.values, vector.statuses, vector.event_times)
    expired = filled.online("weather", {"origin": "LGA"})
    assert expired.statuses["temp"] == "EXPIRED"
    assert filled.replay(expired.receipt).statuses == expired.statuses


def test_online_needs_the_keys_of_the_view_and_no_others(filled):
    with pytest.raises(UsageError, match=r"key 'origin' is missing.*pass origin"):
        filled.online("weather", {})
    with pytest.raises(NotFoundError, match="unknown key 'dest'"):
        filled.online("weather", {"origin": "JFK", "dest": "LGA"})
    with pytest.raises(UsageError, match="key origin=7 is no string"):
        filled.online("weather", {"origin": 7})
    assert filled.online("weather", {"origin": None}).statuses == {"temp": "MISSING", "visib": "MISSING"}


def test_verify_finds_no_difference_and_counts_what_it_compared(filled, weather, at, clock):
    clock.move(hours=1)
    filled.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 50.0, "visib": 1.0})
    wrong = filled.push("weather", {"origin": "LGA", "time_hour": at(25), "temp": 60.0, "visib": 1.0})
    clock.move(hours=1)
    filled.retract(wrong, reason="broken sensor")
    filled.retire("weather", {"origin": "JFK"}, event_time=at(26))
    steps = []
    found = filled.verify("weather", instants=20, keys=5, progress=lambda done, total: steps.append((done, total)))
    assert found.differences == ()
    assert found.compared > 80
    assert "0 differences" in str(found)
    assert steps[-1][0] == steps[-1][1]
    offline = weather(online=False)
    filled.apply(offline)
    with pytest.raises(UnsupportedError, match="not online"):
        filled.verify("weather")


def test_verify_finds_an_online_row_that_history_does_not_know(filled, at):
    from asof.arrow.rows import encode_rows
    from asof.online.port import Change, version_head

    group = filled._parts.registry.group("weather")
    with filled._parts.online.snapshot() as snapshot:
        applied = snapshot.applied[group.id]
    row = version_head(int(at(24).timestamp() * 1e6), 1) + encode_rows(pa.table({"temp": [99.0], "visib": [1.0]}))[0]
    change = Change(group.id, applied.commit, applied.commit + 1, applied.committed_at_us, [b"JFK\0\0"], [row])
    filled._parts.online.apply([change])
    assert not filled.quality.doctor().healthy


def test_compaction_changes_no_answer_and_a_second_one_does_nothing(filled, at, clock, folder):
    clock.move(hours=1)
    filled.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 50.0, "visib": 1.0})
    filled.backfill("weather", [{"origin": "SFO", "time_hour": at(3), "temp": 3.0, "visib": 1.0}])
    spine = [{"origin": o, "time": at(h)} for o in ("JFK", "LGA", "SFO") for h in range(26)]
    before = [
        filled.historical("weather", spine, time="time", known=known).to_arrow()
        for known in ("served", "event", at(24.5))
    ]
    rows = filled.read("weather", clocks=True).to_arrow()
    (done,) = filled.compact("weather")
    assert (done.group, done.files_after, done.rows, done.dropped) == ("weather@1", 1, 50, 0)
    assert done.files_before in (2, 3)  # whether the journal was a file already is the background's affair
    after = [
        filled.historical("weather", spine, time="time", known=known).to_arrow()
        for known in ("served", "event", at(24.5))
    ]
    assert after == before
    assert filled.read("weather", clocks=True).to_arrow() == rows
    (again,) = filled.compact()
    assert (again.files_before, again.files_after, again.rows) == (1, 1, 50)
    clock.move(hours=1)
    filled.backfill("weather", [{"origin": "BOS", "time_hour": at(3), "temp": 3.0, "visib": 1.0}])
    filled.compact()
    assert (
        len(list((folder / "history").glob("weather*/*.parquet"))) == 3
    )  # the oldest two are gone, two more are kept for readers
    assert filled.quality.doctor().healthy


def test_any_engine_reads_the_history_without_us(filled, at, folder):
    import polars as pl

    filled.backfill("weather", [{"origin": "SFO", "time_hour": at(3), "temp": 3.0, "visib": 1.0}])
    filled.compact()
    filled.backfill("weather", [{"origin": "SFO", "time_hour": at(4), "temp": 4.0, "visib": 1.0}])
    filled.close()
    (table,) = (folder / "history").glob("weather*")
    from deltalake import DeltaTable

    assert DeltaTable(table).to_pyarrow_table().num_rows == 50 if hasattr(DeltaTable, "to_pyarrow_table") else True
    live = DeltaTable(table).file_uris()
    assert sum(pl.read_parquet(file).height for file in live) == 50


def test_retention_drops_superseded_history_and_refuses_earlier_questions(folder, clock, weather, at):
    group = weather(retention="10h", ttl=None)
    with asof.open(folder, clock=clock) as store:
        store.apply(group)
        rows = [{"origin": "JFK", "time_hour": at(hour), "temp": float(hour), "visib": 1.0} for hour in range(24)]
        store.backfill("weather", [*rows, {"origin": "LGA", "time_hour": at(0), "temp": 7.0, "visib": 1.0}])
        pins = store.historical("weather", [{"origin": "JFK", "time": at(20)}], time="time").commits
        store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 24.0, "visib": 1.0})
        (done,) = store.compact()
        assert (done.rows, done.dropped) == (12, 14)  # hours 14 to 24 of JFK, and the only row of LGA
        spine = [
            {"origin": "JFK", "time": at(14)},
            {"origin": "JFK", "time": at(20)},
            {"origin": "LGA", "time": at(14)},
        ]
        assert temps(store.historical("weather", spine, time="time")) == [14.0, 20.0, 7.0]
        with pytest.raises(DataError, match=r"begins at 2024-01-01T14:00:00Z.*retention"):
            store.historical("weather", [{"origin": "JFK", "time": at(13)}], time="time")
        with pytest.raises(ConflictError, match="retention dropped rows that commit weather@1:1 could see"):
            store.historical("weather", spine, time="time", commits=pins)
        assert store.online("weather", {"origin": "LGA"}).values["temp"] == 7.0
    with asof.open(folder, clock=clock) as store:
        clock.move(hours=5)
        assert [done.rows for done in store.compact()] == [7]
        assert store.online("weather", {"origin": "JFK"}).values["temp"] == 24.0
        assert store.quality.doctor().healthy
        store.quality._writer.feed.rebuild(store.catalog.groups()[0])
        assert store.quality.doctor().healthy
        assert store.verify("weather").differences == ()


def test_naive_times_of_a_spine_need_a_zone(filled, at):
    spine = pd.DataFrame({"origin": ["JFK"], "time": pd.to_datetime(["2024-01-01T05:00:00"])})
    with pytest.raises(DataError, match=r"naive times \(row 0 holds 2024-01-01 05:00:00\).*spine column time"):
        filled.historical("weather", spine, time="time")
    assert temps(filled.historical("weather", spine, time="time", timezone="UTC")) == [5.0]
    assert temps(filled.historical("weather", spine, time="time", timezone="America/New_York")) == [10.0]


def test_the_zone_of_a_group_makes_naive_event_times_utc(store, weather):
    store.apply(weather(timezone="America/New_York", features=[Feature("temp", "float64")]))
    store.backfill(
        "weather", pd.DataFrame({"origin": ["JFK"], "time_hour": pd.to_datetime(["2024-01-01T05:00"]), "temp": [1.0]})
    )
    assert store.read("weather").to_arrow().column("time_hour").to_pylist() == [datetime(2024, 1, 1, 10, tzinfo=UTC)]
    gap = pd.DataFrame({"origin": ["JFK"], "time_hour": pd.to_datetime(["2023-03-12T02:30"]), "temp": [1.0]})
    with pytest.raises(DataError, match="a local time does not name one moment"):
        store.backfill("weather", gap)


def test_a_closed_store_says_so(store, filled):
    filled.close()
    filled.close()
    assert re.match(r"<asof.Store '.*(features|asof://).*'>", repr(filled))
    for use in (lambda: filled.read("weather"), lambda: filled.online("weather", {}), lambda: filled.catalog):
        with pytest.raises(UsageError, match=r"the store '.*(features|asof://).*' is closed -> open it again"):
            use()
