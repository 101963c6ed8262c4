"""explain: the row that answered, its commit, file, writer and clocks, and why each other row of the key lost."""

import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import DataError, NotFoundError, UsageError


@pytest.fixture
def arrivals():
    return FeatureGroup(
        "arrivals",
        entity=Entity("flight", keys={"flight": "int64"}),
        event_time="at",
        features=[Feature("tailnum", "string")],
        ttl="3h",
        online=True,
    )


@pytest.fixture
def planes():
    return FeatureGroup(
        "planes", entity=Entity("plane", keys={"tailnum": "string"}), features=[Feature("seats", "int64")], online=True
    )


@pytest.fixture
def filled(store, weather, hourly):
    """Give 12 hours of weather, loaded as history by the nightly job."""
    store.apply(weather(delay="10m"))
    store.backfill("weather", hourly(12), meta={"job": "nightly"})
    return store


@pytest.fixture
def explain(filled):
    def ask(at=None, view="weather", keys=None, **options):
        return filled.quality.explain(view, keys or {"origin": "JFK"}, at=at, **options)

    return ask


def jfk(at, hour, temp, visib=1.0):
    return {"origin": "JFK", "time_hour": at(hour), "temp": temp, "visib": visib}


def reasons(found):
    return [(row.values["temp"], row.reason) for row in found.others]


def test_the_answer_has_its_commit_file_writer_clocks_and_meta(filled, explain, at, monkeypatch):
    found = explain(at(5.5))
    (weather,) = found.lookups
    answer = weather.answer
    assert (found.view, found.at, weather.label, weather.group) == ("weather@1", at(5.5), "weather", "weather@1")
    assert (weather.values, weather.statuses) == ({"temp": 5.0, "visib": 50.0}, {"temp": "PRESENT", "visib": "PRESENT"})
    assert (answer.event_time, answer.available_at, answer.retired) == (at(5), at(5 + 1 / 6), False)
    (commit,) = filled.catalog.commits("weather")
    assert answer.commit == commit
    assert answer.commit.writer == commit.writer != ""
    assert answer.commit.meta == {"job": "nightly"}
    ((file, _),) = filled._parts.log.snapshot(filled._parts.registry.group("weather")).files
    assert answer.file == file.path
    assert weather.expires_at == at(11)
    assert (weather.known, weather.pin, weather.sources) == ("served", 1, {"origin": "origin"})
    assert "job=nightly" in str(found)
    assert commit.writer in str(found)


def test_rows_lose_by_being_older_in_the_future_or_not_yet_available(explain, at):
    (found,) = explain(at(5.1), limit=4).lookups
    assert found.values["temp"] == 4.0
    assert reasons(found) == [
        (5.0, "not yet available"), (6.0, "in the future"), (7.0, "in the future"), (3.0, "older"),
    ]  # fmt: skip
    assert found.counts == {"not yet available": 1, "in the future": 6, "older": 4}
    assert found.others[0].because == "known since 2024-01-01T05:10:00Z, 4m after T"
    assert found.others[1].because == "it was true 54m after T"
    assert found.others[3].because == "1h before the row that answered"


def test_a_row_is_available_at_its_very_arrival(explain, at):
    (found,) = explain(at(5 + 1 / 6), limit=0).lookups
    assert found.answer.available_at == at(5 + 1 / 6)
    assert found.counts == {"older": 5, "in the future": 6}


def test_of_rows_that_arrived_together_the_older_one_is_older_and_not_late(filled, explain, at, clock):
    clock.move(hours=1)
    commit = filled.write("weather", [jfk(at, 24, 1.0), jfk(at, 23, 2.0)])
    (found,) = explain(commit.committed_at, limit=1).lookups
    assert (found.answer.values["temp"], reasons(found)) == (1.0, [(2.0, "older")])


def test_at_k_a_row_is_available_by_k_and_not_by_t(explain, at):
    (found,) = explain(at(10), known=at(5.1), limit=1).lookups
    assert (found.values["temp"], found.statuses["temp"]) == (None, "EXPIRED")
    assert found.answer.values["temp"] == 4.0
    assert found.known == at(5.1)
    assert found.others[0].because == "known since 2024-01-01T10:10:00Z, 5h4m after K"


def test_a_retracted_row_names_the_retract_since_when_it_counts_and_its_reason(filled, explain, at, clock):
    clock.move(hours=1)
    wrong = filled.write("weather", [jfk(at, 11.5, 99.0)])
    clock.move(hours=1)
    retract = filled.retract(wrong, reason="the sensor froze")
    clock.move(hours=1)
    (after,) = explain(at(26), limit=1).lookups
    assert (after.others[0].reason, after.others[0].retracted_by) == ("retracted", retract)
    assert "weather@1:3 (retract at 2024-01-02T02:00:00Z" in after.others[0].because
    assert "the sensor froze" in after.others[0].because
    (edge,) = explain(retract.committed_at, limit=1).lookups
    assert edge.others[0].reason == "retracted"
    (before,) = explain(at(25.99)).lookups
    assert before.answer.values["temp"] == 99.0
    assert before.answer.retracted_by == retract
    assert "retracted later" in before.because
    filled.retract(filled.catalog.commits("weather")[0], reason="all wrong")
    (none,) = explain(at(5.5)).lookups
    assert (none.answer, none.statuses["temp"]) == (None, "MISSING")
    assert none.counts == {"retracted": 12, "in the future": 1}
    assert "at every time: all wrong" in none.others[0].because
    assert none.because == "no row of this key counts: 12 retracted and 1 in the future"


def test_a_correction_beats_the_row_of_the_same_event_time(filled, explain, at):
    filled.backfill("weather", [jfk(at, 5, 55.0)])
    (found,) = explain(at(5.5), limit=1).lookups
    assert (found.answer.values["temp"], found.answer.commit.id) == (55.0, "weather@1:2")
    assert found.others[0].because == "commit 2 has a later row for the same event time"
    (pinned,) = explain(at(5.5), commits={"weather": 1}, limit=1).lookups
    assert pinned.answer.values["temp"] == 5.0
    assert (pinned.others[0].reason, pinned.others[0].because) == ("not in the pins", "its commit is 2, the pin is 1")


def test_a_null_answers_and_says_null(filled, explain, at):
    filled.backfill("weather", [jfk(at, 5, None)])
    found = explain(at(5.5), feature="temp")
    assert found.lookups[0].statuses == {"temp": "NULL"}
    assert str(found).startswith("temp of JFK at 2024-01-01T05:30:00Z was null, from commit weather@1:2 (backfill at")


def test_expired_and_retired_answers_say_why(filled, explain, at, clock):
    clock.move(hours=12)
    (expired,) = explain(at(17)).lookups
    assert expired.statuses["temp"] == "EXPIRED"
    assert expired.expires_at == at(17)
    assert expired.because == (
        "the newest row that counts is of 2024-01-01T11:00:00Z, and its ttl of 6h ended at 2024-01-01T17:00:00Z"
    )
    assert explain(at(16.999)).lookups[0].statuses["temp"] == "PRESENT"
    filled.retire("weather", {"origin": "JFK"}, event_time=at(36))
    found = explain()
    (retired,) = found.lookups
    assert (retired.statuses["temp"], retired.answer.retired, retired.expires_at) == ("RETIRED", True, None)
    assert "weather@1:2 (retire at" in retired.because
    assert "RETIRED" in str(found)


def test_an_unknown_key_and_a_null_key_say_so(explain, at):
    (unknown,) = explain(at(5), keys={"origin": "SFO"}).lookups
    assert (unknown.statuses["temp"], unknown.because) == ("MISSING", "history has no row of this key")
    (null,) = explain(at(5), keys={"origin": None}).lookups
    assert (null.statuses["temp"], null.because) == ("MISSING", "the key origin is null: origin was given as null")


def test_a_key_from_another_groups_answer_is_explained_with_that_answer(filled, explain, arrivals, planes, at, weather):
    view = FeatureView(
        "trip",
        features=[
            weather(delay="10m").on(origin="dest")["temp"].alias("dest_temp"),
            planes.on(tailnum=arrivals["tailnum"])["seats"],
        ],
    )
    filled.apply(arrivals, planes, view)
    filled.backfill("planes", [{"tailnum": "N1", "seats": 100}])
    filled.backfill("arrivals", [{"flight": 7, "at": at(1), "tailnum": "N1"}])
    keys = {"dest": "LGA", "flight": 7}
    found = explain(at(2), "trip", keys, feature="seats")
    arrival, plane = found.lookups
    assert arrival.values == {"arrivals.tailnum": "N1"}
    assert (plane.keys, plane.sources) == ({"tailnum": "N1"}, {"tailnum": "arrivals.tailnum"})
    assert (plane.values, plane.answer.event_time, plane.answer.available_at) == ({"seats": 100}, None, None)
    assert plane.expires_at is None
    _, late = explain(at(4), "trip", keys, feature="seats").lookups
    assert late.because == "the key tailnum is null: it comes from arrivals.tailnum, which is EXPIRED"
    assert [each.label for each in explain(at(2), "trip", keys).lookups] == ["weather", "arrivals", "planes"]
    (only,) = explain(at(2), "trip", keys, feature="dest_temp").lookups
    assert (only.keys, only.sources) == ({"origin": "LGA"}, {"origin": "dest"})


def test_without_a_time_it_is_the_clock_of_an_online_answer(filled, explain, at, clock):
    clock.move(hours=1)
    commit = filled.push("weather", jfk(at, 25, 1.0))
    clock.move(hours=-2)
    found = explain()
    vector = filled.online("weather", {"origin": "JFK"})
    assert found.at == vector.receipt.clock == commit.committed_at
    assert (found.lookups[0].values, found.lookups[0].statuses) == (vector.values, vector.statuses)
    again = explain(vector.receipt.clock, known="served", commits=vector.receipt.commits)
    assert again == found
    early = explain(commits={"weather": 0})
    assert (early.at, early.lookups[0].answer) == (clock(), None)
    assert early.lookups[0].counts == {"not in the pins": 13}


def test_the_file_is_the_one_that_holds_the_row_wherever_it_lies(filled, explain, at, hourly, clock):
    clock.move(hours=1)
    filled.push("weather", jfk(at, 24.5, 1.0))
    pushed = explain(at(25)).lookups[0]
    assert pushed.answer.file == "journal"
    assert pushed.others[0].file.endswith(".parquet")
    filled.compact("weather")
    filled.backfill("weather", hourly(12, ["LGA", "BOS"]))
    group = filled._parts.registry.group("weather")
    files = [file for file, _ in filled._parts.log.snapshot(group).files]
    assert [file.stamped for file in files] == [True, False]
    found = explain(at(25), limit=20).lookups[0]
    assert {row.file for row in (found.answer, *found.others)} == {files[0].path}
    boston = explain(at(5.5), keys={"origin": "BOS"}).lookups[0]
    assert boston.answer.file == files[1].path


def test_of_files_whose_commits_and_times_overlap_it_is_the_one_that_holds_the_row(filled, explain, at, clock):
    clock.move(hours=2)
    group = filled._parts.registry.group("weather")
    filled.push("weather", jfk(at, 24, 92.0))
    filled.backfill("weather", [jfk(at, 25, 93.0)])
    filled.push("weather", jfk(at, 26, 94.0))
    filled._writer.upkeep.seal(group)
    held = {file.first_commit: file.path for file, _ in filled._parts.log.snapshot(group).files}
    loaded, sealed, between = held[1], held[2], held[3]
    (found,) = explain(at(26.5), limit=20).lookups
    files = {row.values["temp"]: row.file for row in (found.answer, *found.others)}
    assert (files.pop(92.0), files.pop(93.0), files.pop(94.0)) == (sealed, between, sealed)
    assert set(files.values()) == {loaded}


def test_wrong_questions_are_refused_by_name(filled, explain, at):
    with pytest.raises(UsageError, match="'origin' is missing"):
        filled.quality.explain("weather", {})
    with pytest.raises(NotFoundError, match="did you mean 'origin'"):
        explain(keys={"origin": "JFK", "orgin": "LGA"})
    with pytest.raises(NotFoundError, match="did you mean 'temp'"):
        explain(feature="tmp")
    with pytest.raises(NotFoundError, match="did you mean 'weather'"):
        explain(view="wether")
    with pytest.raises(UsageError, match="no time zone"):
        explain(at(5).replace(tzinfo=None))
    with pytest.raises(UsageError, match="knowledge mode"):
        explain(known="then")
    with pytest.raises(DataError):
        explain(keys={"origin": 7})


def test_times_before_what_retention_left_are_refused(store, weather, hourly, at, clock):
    store.apply(weather(retention="2h"))
    store.backfill("weather", hourly(12))
    store.compact("weather")
    with pytest.raises(DataError, match="begins at"):
        store.quality.explain("weather", {"origin": "JFK"}, at=at(5))
    assert store.quality.explain("weather", {"origin": "JFK"}).lookups[0].answer.values["temp"] == 11.0
