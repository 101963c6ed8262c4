"""explain: the row that answered, its commit, file, writer and clocks, and why each other row of the key lost."""

import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Mean, Variance, col, hop, session
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


@pytest.fixture
def paid(store, at, clock):
    """Give payments of two cards, and a group that is made of them."""
    payments = FeatureGroup(
        "payments",
        entity=Entity("payment", keys={"payment": "int64"}),
        event_time="at",
        features=[Feature("card", "string"), Feature("amount", "float64")],
        online=True,
    )
    by_card = FeatureGroup(
        "by_card",
        entity=Entity("card", keys={"card": "string"}),
        source=payments,
        features=[
            Mean("amount", over="6h"),
            Variance("amount", over="6h"),
            Count(over=hop("6h", every="4h"), where=col("amount") > 0, name="spent"),
            Count(over=session(gap="2h"), name="run"),
        ],
        online=True,
    )
    store.apply(payments, by_card)
    clock.move(hours=-11)  # 13:00
    pays = [(1, 1, "a", 5.0), (2, 8, "a", 7.0), (3, 9, "a", None), (4, 12, "a", -1.0), (5, 12.5, "b", 3.0)]
    store.backfill("payments", [paying(at, *each) for each in pays])
    return store


def paying(at, payment, hour, card, amount):
    return {"payment": payment, "at": at(hour), "card": card, "amount": amount}


def windowed(store, at, feature, *, card="a", **options):
    (found,) = store.quality.explain("by_card", {"card": card}, at=at, feature=feature, **options).lookups
    (window,) = found.windows
    return window


def told(rows):
    return [(row.keys["payment"], row.value, row.reason) for row in rows]


def test_an_aggregate_lists_the_events_that_count_and_why_the_others_do_not(paid, at):
    found = paid.quality.explain("by_card", {"card": "a"}, at=at(13), feature="amount_mean_6h", known="event")
    (lookup,) = found.lookups
    assert (lookup.group, lookup.made_of, lookup.answer) == ("by_card@1", "payments@1", None)
    assert (lookup.values, lookup.statuses) == ({"amount_mean_6h": 3.0}, {"amount_mean_6h": "PRESENT"})
    (mean,) = lookup.windows
    assert (mean.after, mean.until, mean.count) == (at(7), at(13), 2)
    assert told(mean.events) == [(2, 7.0, ""), (4, -1.0, "")]
    assert told(mean.others) == [(3, None, "no value"), (1, 5.0, "outside the window")]
    assert [row.because for row in mean.others] == ["its amount is null", "6h before the window begins"]
    assert mean.counts == {"no value": 1, "outside the window": 1}
    (commit,) = paid.catalog.commits("payments")
    assert mean.events[0].commit == commit
    assert (mean.events[0].event_time, mean.events[0].available_at) == (at(8), at(8))
    assert str(found).startswith(
        "amount_mean_6h of a at 2024-01-01T13:00:00Z was 3.0: mean of amount over the last 6h, 2"
    )


def test_an_event_at_the_windows_start_does_not_count_and_one_at_t_does(paid, at):
    window = windowed(paid, at(14), "amount_mean_6h", known="event")
    assert told(window.events) == [(4, -1.0, "")]
    assert [row.because for row in window.others] == [
        "its amount is null",
        "where the window begins",
        "7h before the window begins",
    ]
    assert told(windowed(paid, at(12), "amount_mean_6h", known="event").events) == [(2, 7.0, ""), (4, -1.0, "")]


def test_corrections_moves_ends_and_retracts_of_events_are_named(paid, at, clock):
    clock.move(hours=1)
    paid.backfill("payments", [paying(at, 2, 8, "a", 70.0)])
    paid.backfill("payments", [paying(at, 4, 12, "b", -1.0)])
    paid.retire("payments", {"payment": 3}, event_time=at(9))
    wrong = paid.push("payments", paying(at, 6, 13.5, "a", 99.0))
    clock.move(hours=1)
    paid.retract(wrong, reason="paid twice")
    window = windowed(paid, at(15), "amount_mean_6h", known="event", limit=9)
    assert (window.value, window.status, window.count) == (None, "NULL", 0)
    reasons = {(row.keys["payment"], row.value): (row.reason, row.because) for row in window.others}
    assert reasons[4, -1.0] == ("of another key", "by commit 3 it is of card b")
    assert reasons[6, 99.0][0] == "retracted"
    assert reasons[6, 99.0][1].endswith(": paid twice")
    window = windowed(paid, at(13.9), "amount_mean_6h", known="event", limit=9)
    reasons = {(row.keys["payment"], row.value): (row.reason, row.because) for row in window.others}
    assert reasons[2, 7.0] == ("corrected", "commit 2 has a later row of the same event")
    assert reasons[3, None] == ("retired", "commit 4 retired it")
    assert told(window.events) == [(2, 70.0, "")]
    served = windowed(paid, at(13.9), "amount_mean_6h", known="served", limit=9)
    assert {row.keys["payment"]: row.because for row in served.others}[6].startswith(
        "known since 2024-01-01T14:00:00.000003Z, 6m"
    )


def test_conditions_hops_and_sessions_leave_events_out(paid, at):
    spent = windowed(paid, at(13), "spent", known="event")
    assert (spent.after, spent.until, spent.value) == (at(6), at(12), 1)
    assert {row.keys["payment"]: row.because for row in spent.others} == {
        1: "5h before the window begins", 3: "amount > 0 is not true of it", 4: "amount > 0 is not true of it",
    }  # fmt: skip
    beyond = windowed(paid, at(12.9), "spent", card="b", known="event")
    assert [row.because for row in beyond.others] == ["30m after the window's end"]
    run = windowed(paid, at(13), "run", known="event")
    assert (run.after, told(run.events)) == (at(9), [(4, None, "")])
    assert run.others[0].because == "2h or more without an event came after it"
    ended = windowed(paid, at(14), "run", known="event")
    assert (ended.after, ended.value, ended.counts) == (at(12), 0, {"outside the window": 4})


def test_the_first_and_the_last_events_are_shown_and_all_are_counted(paid, at):
    paid.backfill("payments", [paying(at, 10 + each, 10 + each / 60, "c", float(each)) for each in range(60)])
    window = windowed(paid, at(11), "amount_mean_6h", card="c", known="event", limit=2)
    assert (window.count, window.value) == (60, 29.5)
    assert [row.keys["payment"] for row in window.events] == [10, 11, 68, 69]
    assert windowed(paid, at(11), "amount_mean_6h", card="c", known="event", limit=0).events == ()
    assert len(windowed(paid, at(11), "amount_mean_6h", card="c", known="event", limit=40).events) == 60
    text = str(paid.quality.explain("by_card", {"card": "c"}, at=at(11), feature="run", known="event", limit=2))
    assert "and 56 more that count" in text


def test_a_null_aggregate_says_why(paid, at):
    one = windowed(paid, at(13), "amount_variance_6h", card="b", known="event")
    assert (one.status, one.because) == (
        "NULL", "variance of amount over the last 6h, 1 event in (2024-01-01T07:00:00Z, 2024-01-01T13:00:00Z]",
    )  # fmt: skip
    assert windowed(paid, at(6.9), "amount_mean_6h", known="event").status == "PRESENT"
    early = windowed(paid, at(0.5), "amount_mean_6h", known="event")
    assert early.because.endswith("no event in (2023-12-31T18:30:00Z, 2024-01-01T00:30:00Z]: 4 in the future")
    unknown = windowed(paid, at(13), "amount_mean_6h", card="z", known="event")
    assert unknown.because.endswith(": history has none of this key")
    null = windowed(paid, at(13), "amount_mean_6h", card=None)
    assert (null.status, null.because, null.others) == ("MISSING", "the key card is null: card was given as null", ())


def test_an_aggregate_is_explained_as_it_was_served(paid, at, clock):
    clock.move(hours=1)
    paid.push("payments", paying(at, 6, 13.5, "a", 9.0))
    vector = paid.online("by_card", {"card": "a"})
    clock.move(hours=1)
    paid.push("payments", paying(at, 7, 14, "a", 100.0))
    receipt = vector.receipt
    (found,) = paid.quality.explain(
        "by_card", {"card": "a"}, at=receipt.clock, known="served", commits=receipt.commits
    ).lookups
    assert (found.values, found.statuses) == (vector.values, vector.statuses)
    assert (7, 100.0, "not in the pins") in told(found.windows[0].others)


def test_a_key_that_an_aggregate_gives_is_explained_with_its_events(paid, at, planes, weather):
    by_card = paid.catalog.find("by_card").definition
    limits = FeatureGroup("limits", entity=Entity("run", keys={"run": "int64"}), features=[Feature("most", "float64")])
    paid.apply(limits, FeatureView("risk", features=[limits.on(run=by_card["run"])["most"]]))
    paid.backfill("limits", [{"run": 1, "most": 10.0}])
    found = paid.quality.explain("risk", {"card": "a"}, at=at(13), known="event").lookups
    assert [each.label for each in found] == ["by_card", "limits"]
    assert [(each.feature, each.value) for each in found[0].windows] == [("by_card.run", 1)]
    assert found[1].values == {"most": 10.0}
