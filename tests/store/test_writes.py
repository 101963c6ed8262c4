"""write, backfill, push, together, retire, retract: what they store, return, refuse to store twice, and warn about."""

import warnings

import pandas as pd
import pyarrow as pa
import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, DataError, DataWarning, NotFoundError, UnsupportedError, UsageError


@pytest.fixture
def arrivals():
    return FeatureGroup(
        "arrivals",
        entity=Entity("aircraft", keys={"tailnum": "string"}),
        features=[Feature("delay_min", "int64")],
        event_time="landed",
        online=True,
    )


@pytest.fixture
def planes():
    return FeatureGroup(
        "planes",
        entity=Entity("aircraft", keys={"tailnum": "string"}),
        features=[Feature("seats", "int32"), Feature("maker", "string")],
        online=True,
    )


def temp_online(store, origin="JFK"):
    vector = store.online("weather", {"origin": origin})
    return vector.values["temp"], vector.statuses["temp"]


def test_a_commit_says_what_it_did(store, weather, hourly, at, clock):
    store.apply(weather())
    commit = store.backfill("weather", hourly(), meta={"source": "noaa"})
    assert (commit.id, commit.kind, commit.rows, commit.unchanged, commit.quarantined) == (
        "weather@1:1",
        "backfill",
        48,
        0,
        0,
    )
    assert commit.meta == {"source": "noaa"}
    assert commit.committed_at == clock.now
    clock.move(hours=1)
    pushed = store.push("weather", {"origin": "JFK", "time_hour": at(25), "temp": 1.0, "visib": 1.0})
    assert (pushed.id, pushed.kind, pushed.rows) == ("weather@1:2", "push", 1)
    assert store.catalog.commits("weather") == [commit, pushed]
    assert store.catalog.commits("weather", limit=1) == [pushed]


def test_committed_at_never_goes_back_and_never_lies_before_an_event(store, weather, at, clock):
    store.apply(weather())
    row = {"origin": "JFK", "time_hour": at(24) + pd.Timedelta(seconds=30), "temp": 1.0, "visib": 1.0}
    first = store.push("weather", row)
    assert first.committed_at == row["time_hour"]  # within the skew: the clock is behind
    clock.move(hours=-3)
    second = store.write("weather", [{**row, "time_hour": at(20)}])
    assert second.committed_at_us == first.committed_at_us + 1
    assert temp_online(store) == (1.0, "PRESENT")  # readable although clocks stepped back


def test_written_rows_are_readable_online_and_in_history_at_once(store, weather, hourly, at):
    store.apply(weather())
    store.backfill("weather", hourly())
    assert temp_online(store) == (23.0, "PRESENT")
    assert temp_online(store, "LGA") == (23.0, "PRESENT")
    assert temp_online(store, "SFO") == (None, "MISSING")
    assert len(store.read("weather")) == 48
    late = store.push("weather", {"origin": "JFK", "time_hour": at(3), "temp": 99.0, "visib": 1.0})
    assert late.rows == 1
    assert temp_online(store) == (23.0, "PRESENT")  # late rows never replace a newer value
    assert len(store.read("weather")) == 49


@pytest.mark.parametrize("kind", ["write", "backfill"])
def test_an_empty_frame_makes_a_commit_of_no_rows(store, weather, kind):
    store.apply(weather())
    empty = pa.table({"origin": [], "time_hour": [], "temp": [], "visib": []})
    for number, frame in enumerate(
        (empty, [], pd.DataFrame(columns=["origin", "time_hour", "temp", "visib"]), pd.DataFrame()), 1
    ):
        commit = getattr(store, kind)("weather", frame)
        assert (commit.number, commit.rows) == (number, 0)
    assert len(store.read("weather")) == 0
    assert store.push("weather", []).rows == 0
    assert temp_online(store) == (None, "MISSING")
    store.compact()
    assert store.quality.doctor().healthy


def test_equal_duplicates_collapse_and_the_last_is_kept_on_request(store, weather, at):
    store.apply(weather())
    row = {"origin": "JFK", "time_hour": at(1), "temp": 1.0, "visib": 0.0}
    assert store.backfill("weather", [row, dict(row), {**row, "visib": -0.0}]).rows == 1
    with pytest.raises(DataError, match="rows 0 and 2 both describe"):
        store.backfill("weather", [row, {**row, "origin": "LGA"}, {**row, "temp": 2.0}])
    kept = store.backfill("weather", [row, {**row, "temp": 3.0}, {**row, "temp": 2.0}], on_conflict="last")
    assert kept.rows == 1
    assert store.read("weather", latest=True).to_arrow().column("temp").to_pylist() == [2.0]


def test_the_same_idempotency_key_stores_once_also_after_a_restart(folder, clock, weather, hourly, at):
    import asof

    with asof.open(folder, clock=clock) as store:
        store.apply(weather())
        first = store.backfill("weather", hourly(), idempotency_key="day 1")
        again = store.backfill("weather", list(reversed(hourly())), idempotency_key="day 1")
        assert again == first
        assert again.repeated
        assert not first.repeated
    with asof.open(folder, clock=clock) as store:
        assert store.backfill("weather", hourly(), idempotency_key="day 1").repeated
        assert len(store.read("weather")) == 48
        with pytest.raises(ConflictError, match="'day 1' was used with other content") as caught:
            store.backfill("weather", hourly(5), idempotency_key="day 1")
        assert "weather@1:1" in str(caught.value)
        row = {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0}
        pushed = store.push("weather", row, idempotency_key="row 1")
        assert store.push("weather", row, idempotency_key="row 1") == pushed
        with pytest.raises(ConflictError):
            store.push("weather", {**row, "temp": 2.0}, idempotency_key="row 1")
        assert len(store.catalog.commits("weather")) == 2
        assert len(list((folder / "history").glob("weather*/*.parquet"))) == 1  # nothing else was left behind


def test_together_is_all_or_nothing(store, weather, arrivals, at):
    store.apply(weather(), arrivals)
    storm = {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0}
    landing = {"tailnum": "N1", "landed": at(23), "delay_min": 5}
    with store.together() as tx:
        tx.write("weather", [storm])
        tx.write("arrivals", [landing])
        assert len(store.read("weather")) == 0
    first, second = tx.commits
    assert first.committed_at == second.committed_at
    assert (len(store.read("weather")), len(store.read("arrivals"))) == (1, 1)
    assert temp_online(store) == (1.0, "PRESENT")
    with pytest.raises(DataError), store.together() as tx:
        tx.write("weather", [{**storm, "temp": 2.0}])
        tx.write("arrivals", [{**landing, "tailnum": None}])
    with pytest.raises(RuntimeError, match="ours"), store.together() as tx:
        tx.write("weather", [{**storm, "temp": 3.0}])
        raise RuntimeError("ours")
    with pytest.raises(UsageError, match="group weather@1 is written twice"), store.together() as tx:
        tx.write("weather", [storm])
        tx.write("weather", [storm])
    assert (len(store.read("weather")), len(store.read("arrivals"))) == (1, 1)
    with store.together():
        pass
    assert store.quality.doctor().healthy


def test_retired_keys_say_so_until_they_come_back(store, weather, hourly, at, clock):
    store.apply(weather())
    store.backfill("weather", hourly())
    retired = store.retire("weather", {"origin": "JFK"}, event_time=at(24))
    assert (retired.kind, retired.rows) == ("retire", 1)
    assert temp_online(store) == (None, "RETIRED")
    assert temp_online(store, "LGA") == (23.0, "PRESENT")
    spine = [{"origin": "JFK", "time": at(23.5)}, {"origin": "JFK", "time": at(24)}]
    found = store.historical("weather", spine, time="time", statuses=True, known="event").to_arrow()
    assert found.column("temp__status").to_pylist() == ["PRESENT", "RETIRED"]
    assert len(store.read("weather")) == 48  # history stays; a retirement is no row of values
    clock.move(hours=1)
    store.push("weather", {"origin": "JFK", "time_hour": at(25), "temp": 7.0, "visib": 1.0})
    assert temp_online(store) == (7.0, "PRESENT")
    store.retire("weather", pd.DataFrame({"origin": ["JFK", "LGA", "SFO"]}), event_time=at(25))
    assert temp_online(store) == (None, "RETIRED")
    assert temp_online(store, "SFO") == (None, "RETIRED")
    with pytest.raises(UsageError, match="when did it end"):
        store.retire("weather", {"origin": "JFK"})


def test_a_static_group_is_ordered_by_commit(store, planes):
    store.apply(planes)
    store.backfill("planes", [{"tailnum": "N1", "seats": 100, "maker": "A"}])
    store.write("planes", [{"tailnum": "N1", "seats": 110, "maker": None}])
    assert store.online("planes", {"tailnum": "N1"}).values == {"seats": 110, "maker": None}
    assert store.online("planes", {"tailnum": "N1"}).statuses == {"seats": "PRESENT", "maker": "NULL"}
    assert store.online("planes", {"tailnum": "N1"}).event_times == {"seats": None, "maker": None}
    assert store.historical("planes", [{"tailnum": "N1"}]).to_arrow().column("seats").to_pylist() == [110]
    store.retire("planes", {"tailnum": "N1"})
    assert store.online("planes", {"tailnum": "N1"}).statuses["seats"] == "RETIRED"
    with pytest.raises(UsageError, match="a static group has no event time"):
        store.retire("planes", {"tailnum": "N1"}, event_time=store._parts.clock())
    store.compact()
    assert store.online("planes", {"tailnum": "N1"}).statuses["seats"] == "RETIRED"
    assert store.quality.doctor().healthy


def test_a_retract_brings_back_what_was_there(store, weather, hourly, at):
    store.apply(weather())
    store.backfill("weather", hourly())
    wrong = store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 99.0, "visib": 1.0})
    pins = {"weather": wrong.number}
    assert temp_online(store) == (99.0, "PRESENT")
    retract = store.retract(wrong, reason="broken sensor")
    assert (retract.kind, retract.target, retract.reason, retract.rows) == ("retract", 2, "broken sensor", 0)
    assert temp_online(store) == (23.0, "PRESENT")
    assert len(store.read("weather")) == 48
    assert len(store.read("weather", commits=pins)) == 49  # pins from before still see it
    store.retract("weather:1", reason="wrong file")
    assert temp_online(store) == (None, "MISSING")
    assert len(store.read("weather")) == 0
    store.compact()
    assert len(store.read("weather", commits=pins)) == 49
    assert store.quality.doctor().healthy


def test_a_retract_that_makes_no_sense_is_refused(store, weather, hourly):
    store.apply(weather())
    store.backfill("weather", hourly())
    done = store.retract("weather:1", reason="wrong file")
    for commit, error, message in (
        ("weather:9", NotFoundError, "there is no commit weather@1:9"),
        (done, UsageError, "weather@1:2 is a retract -> write the rows again"),
        ("weather:1", UsageError, "weather@1:1 is already retracted, by weather@1:2"),
        ("weather", UsageError, "'weather' names no commit"),
        ("wether:1", NotFoundError, "did you mean 'weather'"),
    ):
        with pytest.raises(error, match=message):
            store.retract(commit, reason="x")
    with pytest.raises(UsageError, match="a retract needs a reason"):
        store.retract("weather:1", reason=" ")
    assert len(store.catalog.commits("weather")) == 2


@pytest.mark.embedded("a warning that is an error comes with the answer, after the commit")
def test_writing_old_rows_to_a_served_group_warns_before_it_commits(store, weather, hourly, at, clock):
    store.apply(weather())
    clock.move(days=30)
    with pytest.warns(DataWarning, match="48 of 48 rows written to 'weather' are more than a day old") as caught:
        store.write("weather", hourly())
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataWarning, match="load history with backfill"):
            store.write("weather", hourly())
        store.backfill("weather", hourly())
    assert len(store.catalog.commits("weather")) == 2


def test_on_violation_warn_commits_and_says_what_breaks(store, weather, hourly):
    store.apply(weather(on_violation="warn"))
    rows = hourly(2)
    rows[1]["temp"] = 500.0
    with pytest.warns(DataWarning, match=r"1 row breaks 'temp between -60 and 140' \(row 1 holds 500.0\)") as caught:
        assert store.backfill("weather", rows).rows == 4
    assert caught[0].filename == __file__
    with pytest.warns(DataWarning) as caught:
        store.push("weather", rows[1])
    assert caught[0].filename == __file__
    store.apply(weather(on_violation="off"))
    assert store.backfill("weather", rows).rows == 4


def test_write_to_an_unknown_group_with_keys_infers_it(store, at):
    frame = pd.DataFrame(
        {
            "origin": ["JFK", "LGA"],
            "time_hour": [at(1), at(2)],
            "temp": [1.5, None],
            "runs": [1, 2],
            "open": [True, False],
        }
    )
    with pytest.warns(DataWarning, match="group 'weather' was inferred and registered") as caught:
        commit = store.write("weather", frame, keys=["origin"], event_time="time_hour")
    assert caught[0].filename == __file__
    assert "keys origin: string" in str(caught[0].message)
    assert "offline only" in str(caught[0].message)
    assert commit.rows == 2
    group = store.catalog.groups()[0].definition
    assert {f.name: str(f.dtype) for f in group.features} == {"temp": "float64", "runs": "int64", "open": "bool"}
    assert group.keys == ("origin",)
    assert not group.online
    assert store.write("weather", frame, keys=["origin"], event_time="time_hour").number == 2  # quiet: it exists
    with pytest.raises(UsageError, match="group 'weather' exists with keys"):
        store.write("weather", frame, keys=["time_hour"], event_time="origin")
    with pytest.raises(UnsupportedError, match="not online"):
        store.online("weather", {"origin": "JFK"})


def test_an_inferred_group_is_not_registered_if_its_rows_are_refused(store, at):
    twice = [{"k": "a", "t": at(1), "x": 1}, {"k": "a", "t": at(1), "x": 2}]
    with pytest.raises(DataError, match="rows 0 and 1 both describe"):
        store.write("numbers", twice, keys=["k"], event_time="t")
    assert store.catalog.groups() == []


def test_a_bad_option_is_refused_wherever_it_is_given(store, weather, hourly, at):
    store.apply(weather())
    row = {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0}
    with pytest.raises(UsageError, match=r"on_conflict='first'.*\"error\" or \"last\""):
        store.backfill("weather", [row], on_conflict="first")
    with pytest.raises(UsageError, match="on_conflict"):
        store.push("weather", row, on_conflict="first")
    with pytest.raises(UsageError, match="on_conflict"), store.together() as tx:
        tx.write("weather", [row], on_conflict="first")
    assert store.catalog.commits("weather") == []


def test_recorded_arrivals_decide_what_could_be_served(store, weather, at):
    store.apply(weather())
    rows = [{"origin": "JFK", "time_hour": at(1), "temp": 1.0, "visib": 1.0, "arrived": at(5)}]
    store.backfill("weather", rows, available_at="arrived")
    spine = [{"origin": "JFK", "time": at(hour)} for hour in (4, 5)]
    found = store.historical("weather", spine, time="time", statuses=True).to_arrow()
    assert found.column("temp__status").to_pylist() == ["MISSING", "PRESENT"]
    assert store.read("weather", clocks=True).to_arrow().column("__available_at").to_pylist() == [at(5)]
    with pytest.raises(UsageError, match="rows that arrive now have no recorded arrival"):
        store._writer.write(
            "weather", rows, "write", __import__("asof.ingest.prepare", fromlist=["Options"]).Options("arrived")
        )


def test_several_groups_and_entities_meet_in_a_view(store, weather, arrivals, planes, at):
    group = weather()
    view = FeatureView(
        "departure",
        features=[
            group["temp"],
            group.on(origin="dest")["temp"].alias("dest_temp"),
            arrivals["delay_min"],
            planes.on(tailnum=arrivals["tailnum"] if "tailnum" in [f.name for f in arrivals.features] else "tailnum")[
                "seats"
            ],
        ],
    )
    store.apply(group, arrivals, planes, view)
    store.push(
        "weather",
        [{"origin": o, "time_hour": at(24), "temp": t, "visib": 1.0} for o, t in (("JFK", 1.0), ("LGA", 2.0))],
    )
    store.push("arrivals", {"tailnum": "N1", "landed": at(24), "delay_min": 4})
    store.backfill("planes", [{"tailnum": "N1", "seats": 100, "maker": "A"}])
    keys = {"origin": "JFK", "dest": "LGA", "tailnum": "N1"}
    expected = {"temp": 1.0, "dest_temp": 2.0, "delay_min": 4, "seats": 100}
    assert store.online("departure", keys).values == expected
    frame = store.historical("departure", [{**keys, "time": at(24)}], time="time").to_arrow()
    assert frame.column_names == ["origin", "dest", "tailnum", "time", *expected]
    assert frame.to_pylist() == [{**keys, "time": at(24), **expected}]
