"""Each rule at its very edge, in one small example: what a `<` in place of a `<=` would change."""

import math
from datetime import timedelta

import pyarrow as pa
import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.arrow.conform import MAX_KEY_BYTES, MAX_ROW_BYTES, check_sizes
from asof.errors import ConflictError, DataError, DataWarning

US = timedelta(microseconds=1)


@pytest.fixture(params=["duckdb:as-of", "duckdb:hash", "duckdb:numbered"])
def planned(request, folder, clock, behind):
    """Give a store whose engine has one plan for whatever it is asked."""
    folder.mkdir()
    (folder / "asof.toml").write_text(f'format = 1\nonline = "memory:"\nengine = "{request.param}"\n')
    with asof.open(folder, clock=clock) as opened:
        yield behind(opened)


def row(at, hour, temp, origin="JFK"):
    return {"origin": origin, "time_hour": at(hour), "temp": temp, "visib": None}


def answers(store, moments, known="served", **options):
    """Give (temp, status) of JFK at each moment."""
    spine = {"origin": ["JFK"] * len(moments), "t": moments}
    frame = store.historical("weather", spine, time="t", known=known, statuses=True, **options).to_arrow()
    return list(zip(frame["temp"].to_pylist(), frame["temp__status"].to_pylist(), strict=True))


@pytest.mark.parametrize("known", ["served", "event"])
def test_a_row_answers_from_its_event_time_on_and_until_its_ttl_ends(planned, weather, at, known):
    planned.apply(weather())
    planned.backfill("weather", [row(at, 1, 1.0), row(at, 10, 10.0)])
    moments = [at(1) - US, at(1), at(7) - US, at(7), at(10) - US, at(10)]
    missing, one, ten = (None, "MISSING"), (1.0, "PRESENT"), (10.0, "PRESENT")
    expired = (None, "EXPIRED")
    assert answers(planned, moments, known) == [missing, one, one, expired, expired, ten]


def test_a_backfill_is_available_from_its_delay_on_and_never_after_its_commit(planned, weather, at, clock):
    planned.apply(weather(delay="1h", ttl=None))
    planned.backfill("weather", [row(at, 1, 1.0), row(at, 23.5, 2.0)])  # the second at hour 24, half an hour old
    assert answers(planned, [at(2) - US, at(2)]) == [(None, "MISSING"), (1.0, "PRESENT")]
    assert answers(planned, [at(24) - US, at(24)]) == [(1.0, "PRESENT"), (2.0, "PRESENT")]
    assert answers(planned, [at(2)], at(2)) == [(1.0, "PRESENT")]
    with pytest.warns(DataWarning, match="MISSING only because"):
        assert answers(planned, [at(2)], at(2) - US) == [(None, "MISSING")]


def test_a_late_row_never_replaces_a_newer_one_and_a_later_commit_wins_a_tie(planned, weather, at, clock):
    planned.apply(weather())
    for hour, temp in ((23, 1.0), (22, 2.0), (23, 3.0)):
        clock.move(hours=1)
        planned.push("weather", row(at, hour, temp))
    moments = [at(25), at(26), at(27) - US, at(27)]
    assert [temp for temp, _ in answers(planned, moments)] == [1.0, 1.0, 1.0, 3.0]
    assert answers(planned, [at(23)], "event") == [(3.0, "PRESENT")]
    assert planned.online("weather", {"origin": "JFK"}).values["temp"] == 3.0
    assert planned.read("weather", latest=True).to_arrow()["temp"].to_pylist() == [3.0]
    assert answers(planned, [at(27)], commits={"weather": 2}) == [(1.0, "PRESENT")]
    planned.compact()
    assert [temp for temp, _ in answers(planned, moments)] == [1.0, 1.0, 1.0, 3.0]
    planned._writer.feed.rebuild(planned._parts.registry.group("weather"))
    assert planned.online("weather", {"origin": "JFK"}).values["temp"] == 3.0
    assert answers(planned, [at(27)], commits={"weather": 2}) == [(1.0, "PRESENT")]


def test_a_retract_hides_from_its_own_clock_on_and_a_retracted_backfill_always(planned, weather, at, clock):
    planned.apply(weather())
    history = planned.backfill("weather", [row(at, 20, 0.0)])
    clock.move(hours=1)
    pushed = planned.push("weather", row(at, 23, 1.0))
    clock.move(hours=1)
    retract = planned.retract(pushed, reason="wrong")
    hidden = retract.committed_at
    assert answers(planned, [hidden - US, hidden]) == [(1.0, "PRESENT"), (None, "EXPIRED")]
    assert answers(planned, [at(23)], hidden - US) == [(1.0, "PRESENT")]
    assert answers(planned, [at(23)], hidden) == answers(planned, [at(23)], "event") == [(0.0, "PRESENT")]
    assert answers(planned, [hidden], commits={"weather": 2}) == [(1.0, "PRESENT")]
    planned.retract(history, reason="all wrong")
    assert answers(planned, [at(20), at(21)]) == [(None, "MISSING")] * 2
    assert answers(planned, [at(20)], "event", commits={"weather": 3}) == [(0.0, "PRESENT")]


def test_retention_keeps_the_row_that_answers_in_place_of_a_retracted_one(planned, weather, at, clock):
    planned.apply(weather(retention="2h", ttl=None))
    planned.backfill("weather", [row(at, 1, 1.0)])
    planned.retract(planned.backfill("weather", [row(at, 2, 2.0)]), reason="wrong")
    clock.move(hours=10)
    planned.compact()
    assert answers(planned, [at(34)]) == [(1.0, "PRESENT")]


def test_the_newest_row_answers_with_its_null_and_a_retirement_with_nothing(planned, weather, at, clock):
    planned.apply(weather())
    planned.backfill("weather", [row(at, 1, 1.0), row(at, 2, None)])
    clock.move(hours=1)
    planned.retire("weather", {"origin": "JFK"}, event_time=at(24))
    assert answers(planned, [at(2), at(25)]) == [(None, "NULL"), (None, "RETIRED")]
    vector = planned.online("weather", {"origin": "JFK"})
    assert (vector.values["temp"], vector.statuses["temp"]) == (None, "RETIRED")


@pytest.mark.parametrize("known", ["served", "event"])
def test_a_feature_called_as_the_engine_calls_the_number_of_a_file_changes_no_answer(planned, at, known):
    carrier = Entity("carrier", keys={"carrier": "string"})
    planned.apply(FeatureGroup("g", entity=carrier, event_time="at", features=[Feature("file_index", "int64")]))
    for value in (1, 0, 7):
        planned.backfill("g", {"carrier": ["AA"], "at": [at(1)], "file_index": [value]})
    frame = planned.historical("g", {"carrier": ["AA"], "t": [at(2)]}, time="t", known=known).to_arrow()
    assert frame["file_index"].to_pylist() == [7]


@pytest.mark.parametrize("visib", [1.0, None])
def test_online_expires_at_the_very_end_of_the_ttl(store, weather, at, clock, visib):
    store.apply(weather())
    store.push("weather", {**row(at, 24, 1.0), "visib": visib})
    view = {"origin": "JFK"}
    clock.move(hours=6)
    clock.now -= US
    assert store.online("weather", view).statuses["temp"] == "PRESENT"
    clock.now += US
    vector = store.online("weather", view)
    assert (vector.values["temp"], vector.statuses["temp"]) == (None, "EXPIRED")
    assert store.replay(vector.receipt).statuses == vector.statuses


def test_an_expired_answer_is_no_key(store, at, clock):
    flights = FeatureGroup(
        "flights",
        entity=Entity("flight", keys={"flight": "int64"}),
        event_time="at",
        features=[Feature("tailnum", "string")],
        ttl="1h",
        online=True,
    )
    planes = FeatureGroup(
        "planes", entity=Entity("plane", keys={"tailnum": "string"}), features=[Feature("seats", "int64")], online=True
    )
    store.apply(flights, planes, FeatureView("trip", features=[planes.on(tailnum=flights["tailnum"])["seats"]]))
    store.push("planes", {"tailnum": "N1", "seats": 100})
    store.push("flights", {"flight": 7, "at": at(24), "tailnum": "N1"})
    assert store.online("trip", {"flight": 7}).values == {"seats": 100}
    clock.move(hours=1)
    vector = store.online("trip", {"flight": 7})
    assert (vector.values, vector.statuses) == ({"seats": None}, {"seats": "MISSING"})
    assert store.replay(vector.receipt).statuses == vector.statuses


def test_keys_that_look_alike_are_told_apart(store):
    features = [Feature("x", "int64")]
    pairs = FeatureGroup(
        "pairs", entity=Entity("pair", keys={"a": "string", "b": "string"}), features=features, online=True
    )
    store.apply(pairs)
    long = "a" * 20_0
    keys = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("", "abc"),
        ("a\0", "b"),
        ("a", "\0b"),
        ("a\0\0", "b"),
        (long * 4, long),
        (long * 4, long + "b"),
    ]
    store.write("pairs", [{"a": a, "b": b, "x": x} for x, (a, b) in enumerate(keys)])
    vectors = store.online("pairs", [{"a": a, "b": b} for a, b in keys])
    assert [vector.values["x"] for vector in vectors] == list(range(len(keys)))
    spine = {"a": [a for a, _ in keys], "b": [b for _, b in keys]}
    assert store.historical("pairs", spine, time=None).to_arrow()["x"].to_pylist() == list(range(len(keys)))


def test_rows_of_one_key_that_differ_are_refused_in_a_static_group_too(store):
    planes = FeatureGroup(
        "planes", entity=Entity("plane", keys={"tailnum": "string"}), features=[Feature("seats", "int64")]
    )
    store.apply(planes)
    rows = [{"tailnum": "N1", "seats": 1}, {"tailnum": "N1", "seats": 2}]
    with pytest.raises(DataError, match="rows 0 and 1 both describe"):
        store.write("planes", rows)
    store.write("planes", rows, on_conflict="last")
    assert store.read("planes").to_arrow()["seats"].to_pylist() == [2]


def test_of_equal_rows_the_earliest_arrival_stays_whatever_their_order(store, weather, at):
    store.apply(weather())
    for arrivals in ([at(5), at(3), at(4)], [at(3), at(5), at(4)]):
        rows = [{**row(at, 2, 1.0), "seen": seen} for seen in arrivals]
        store.backfill("weather", rows, available_at="seen")
    clocks = store.read("weather", clocks=True).to_arrow()["__available_at"].to_pylist()
    assert clocks == [at(3), at(3)]


def test_the_skew_the_bounds_of_a_check_and_the_clock_are_inclusive(store, weather, at, clock):
    store.apply(weather(checks=[Check.between("temp", -60, 140)]))
    end = timedelta(minutes=1)
    for way in (store.push, store.write):  # single records have an encoder of their own
        way("weather", [{"origin": "JFK", "time_hour": clock.now + end, "temp": 140.0, "visib": None}])
    store.push("weather", {"origin": "JFK", "time_hour": clock.now, "temp": -60.0, "visib": None})
    store.push("weather", {"origin": "JFK", "time_hour": clock.now - US, "temp": None, "visib": None})
    store.retire("weather", {"origin": "LGA"}, event_time=clock.now + end)
    store.backfill("weather", [{**row(at, 1, 1.0), "seen": clock.now}], available_at="seen")
    with pytest.raises(DataError, match="in the future"):
        store.push("weather", {"origin": "JFK", "time_hour": clock.now + end + US, "temp": 1.0, "visib": None})
    with pytest.raises(DataError, match="in the future"):
        store.retire("weather", {"origin": "LGA"}, event_time=clock.now + end + US)
    with pytest.raises(DataError, match="in the future"):
        store.backfill("weather", [{**row(at, 1, 1.0), "seen": clock.now + US}], available_at="seen")
    for way in (store.push, store.write):
        with pytest.raises(DataError, match="temp between"):
            way("weather", [row(at, 24, math.nextafter(140.0, 141.0))])


@pytest.mark.parametrize(("limit", "keys"), [(MAX_KEY_BYTES, ("k",)), (MAX_ROW_BYTES, ())])
def test_sizes_up_to_the_limit_are_accepted(limit, keys):
    check_sizes(pa.table({"k": ["x" * limit]}), keys, "here")
    with pytest.raises(DataError, match="bytes"):
        check_sizes(pa.table({"k": ["x" * (limit + 1)]}), keys, "here")


@pytest.mark.parametrize("way", ["write", "push"])
def test_minus_zero_is_stored_as_zero(store, weather, at, way):
    store.apply(weather())
    getattr(store, way)("weather", [row(at, 23, -0.0)])
    assert math.copysign(1, store.read("weather").to_arrow()["temp"][0].as_py()) == 1
    assert math.copysign(1, store.online("weather", {"origin": "JFK"}).values["temp"]) == 1


@pytest.mark.parametrize("way", ["write", "push", "backfill"])
def test_a_naive_time_is_refused_whatever_the_way_in(store, weather, at, way):
    store.apply(weather())
    naive = {**row(at, 23, 1.0), "time_hour": at(23).replace(tzinfo=None)}
    with pytest.raises(DataError, match="naive times"):
        getattr(store, way)("weather", [naive])
    assert store.catalog.commits("weather") == []


def test_groups_written_together_share_their_clock_and_a_tag_pins_groups_without_commits(store, weather, airport, at):
    notes = FeatureGroup("notes", entity=airport, event_time="at", features=[Feature("text", "string")], online=True)
    store.apply(weather(), notes)
    store.catalog.tag("before")
    with pytest.raises(ConflictError, match="already"):
        store.catalog.tag("before")
    with store.together() as tx:
        tx.write("notes", [{"origin": "JFK", "at": at(23), "text": "fog"}])
        tx.write("weather", [row(at, 24.01, 1.0)])  # ahead of the clock: the later of the two counts for both
    assert [commit.committed_at for commit in tx.commits] == [at(24.01), at(24.01)]
    assert store.historical("notes", {"origin": ["JFK"]}, time=at(24), commits="before").commits == {"notes@1": 0}


def test_scans_take_the_end_of_an_interval_and_not_its_start(store, weather, at):
    store.apply(weather())
    store.backfill("weather", [row(at, hour, float(hour)) for hour in (1, 2, 3)])
    assert store.read("weather", start=at(1), end=at(2)).to_arrow()["temp"].to_pylist() == [2.0]


def test_a_receipt_is_replayed_from_its_commits_though_a_backfill_rewrote_the_past(store, weather, at):
    store.apply(weather(delay="0s"))
    first = store.backfill("weather", [row(at, 23, 1.0)])
    vector = store.online("weather", {"origin": "JFK"})
    second = store.backfill("weather", [row(at, 23, 2.0)])
    assert second.committed_at == first.committed_at + US, "the clock stood, commits do not"
    assert store.replay(vector.receipt).values == vector.values
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0
    store.retract(second, reason="wrong")
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 1.0


@pytest.mark.embedded("a remote store has no folder")
@pytest.mark.parametrize("name", ["kind=x", "a*b", "a[b]"])
def test_the_name_of_a_folder_is_no_column_and_no_pattern(tmp_path, at, name):
    kind = FeatureGroup(
        "g", entity=Entity("e", keys={"k": "string"}), event_time="t", features=[Feature("kind", "string")]
    )
    for folder in (tmp_path / "ab", tmp_path / name):
        with asof.open(folder) as store:
            store.apply(kind)
            store.backfill("g", {"k": ["a"], "t": [at(1)], "kind": [folder.name]})
            assert store.historical("g", {"k": ["a"]}, time=at(2)).to_arrow()["kind"].to_pylist() == [folder.name]
            assert store.read("g").to_arrow()["kind"].to_pylist() == [folder.name]
