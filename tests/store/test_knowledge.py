"""Knowledge modes: what was known at T, the default by group, the report, compare and the two warnings.

SEMANTICS sections 1 and 2. What several writes do to an answer is in tests/laws.
"""

import warnings
from datetime import timedelta

import pyarrow as pa
import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import DataError, DataWarning, UsageError

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

airport = Entity("airport", keys={"origin": "string"})


def group(name, **parts):
    given = {"entity": airport, "event_time": "t", "features": [Feature("x", "float64")], "online": True}
    return FeatureGroup(name, **(given | parts))


def row(moment, x, origin="JFK"):
    return {"origin": origin, "t": moment, "x": x}


def ask(store, name, moments, known=None, origin="JFK", feature="x", **options):
    spine = [{"origin": origin, "time": moment} for moment in moments]
    frame = store.historical(name, spine, time="time", known=known, **options)
    return frame.to_arrow().column(feature).to_pylist()


@pytest.fixture
def quiet():
    """Turn our warnings into errors: what is done under it warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ---- available_at


def test_every_kind_of_commit_says_since_when_its_rows_count_as_servable(store, at, clock):
    store.apply(group("delayed", delay="2h"))
    store.backfill("delayed", [row(at(1), 1.0), row(at(23), 2.0)])  # 23 + 2 h lies after the commit
    store.write("delayed", [row(at(2), 3.0)])
    store.push("delayed", row(at(3), 4.0))
    store.backfill("delayed", [row(at(4), 5.0) | {"arrived": at(9)}], available_at="arrived")
    clocks = store.read("delayed", clocks=True).to_arrow().select(["x", "__commit", "__available_at"]).to_pylist()
    us = timedelta(microseconds=1)
    assert [tuple(line.values()) for line in clocks] == [
        (1.0, 1, at(3)),
        (3.0, 2, at(24) + us),
        (4.0, 3, at(24) + 2 * us),
        (5.0, 4, at(9)),
        (2.0, 1, at(24)),
    ]
    assert [(c.kind, c.availability) for c in store.catalog.commits("delayed")] == [
        ("backfill", "delay"),
        ("write", "commit"),
        ("push", "commit"),
        ("backfill", "column"),
    ]
    store.compact()
    again = store.read("delayed", clocks=True).to_arrow().select(["x", "__commit", "__available_at"]).to_pylist()
    assert again == clocks


def test_a_retirement_is_known_from_its_commit(store, at, clock):
    store.apply(group("g"))
    store.backfill("g", [row(at(1), 1.0)])
    store.retire("g", {"origin": "JFK"}, event_time=at(2))
    moments = [at(3), at(24.1)]
    assert ask(store, "g", moments, "served", statuses=True, feature="x__status") == ["PRESENT", "RETIRED"]
    assert ask(store, "g", moments, "event", statuses=True, feature="x__status") == ["RETIRED", "RETIRED"]
    assert ask(store, "g", moments, at(23), statuses=True, feature="x__status") == ["PRESENT", "PRESENT"]


def test_the_instant_of_arrival_counts_and_the_one_before_does_not(store, at):
    store.apply(group("g", delay="1h"))
    store.backfill("g", [row(at(1), 1.0)])
    us = timedelta(microseconds=1)
    assert ask(store, "g", [at(2) - us, at(2)], "served") == [None, 1.0]
    assert ask(store, "g", [at(1) - us, at(1)], "event") == [None, 1.0]
    assert ask(store, "g", [at(1)], at(2) - us) == [None]
    assert ask(store, "g", [at(1) - us, at(1)], at(2)) == [None, 1.0]  # K bounds what was known, T the events


def test_a_moment_k_is_the_same_for_every_row_and_may_lie_in_the_future(store, at):
    store.apply(group("g"))
    store.write("g", [row(at(20), 1.0)])
    assert ask(store, "g", [at(20), at(30)], at(23.9)) == [None, None]
    assert ask(store, "g", [at(20), at(30)], at(24)) == [1.0, 1.0]
    assert ask(store, "g", [at(20), at(30)], at(10_000)) == [1.0, 1.0]


def test_a_backfill_may_change_an_earlier_served_answer_and_a_write_may_not(store, at, clock):
    store.apply(group("g"))
    store.backfill("g", [row(at(1), 1.0)])
    clock.move(hours=1)
    moments = [at(5), at(24.5)]
    before = ask(store, "g", moments)
    store.write("g", [row(at(3), 3.0)])
    store.push("g", row(at(4), 4.0))
    assert ask(store, "g", moments) == before == [1.0, 1.0]
    store.backfill("g", [row(at(2), 2.0)])
    assert ask(store, "g", moments) == [2.0, 2.0]


# ---- the default


def test_online_is_off_and_event_is_the_default_unless_asked_for(store, at, clock):
    plain = FeatureGroup("plain", entity=airport, event_time="t", features=[Feature("x", "float64")])
    assert not plain.online
    plan = store.apply(
        plain, group("served"), group("chosen", known="event"), group("other", online=False, known="served")
    )
    assert {g.definition.name: g.known for g in store.catalog.groups()} == {
        "plain": "event",
        "served": "served",
        "chosen": "event",
        "other": "served",
    }
    for change, known in zip(plan, ("event", "served", "event", "served"), strict=True):
        assert f"historical reads default to known='{known}'" in str(change)
    clock.move(hours=1)
    for name, found in (("plain", 1.0), ("served", None), ("chosen", 1.0), ("other", None)):
        store.write(name, [row(at(23), 1.0)])
        assert ask(store, name, [at(24)], origin="JFK") == [found], name


def test_each_group_of_a_view_has_its_own_default_and_one_word_overrides_all(store, at, clock):
    served, event = group("served"), group("event", online=False)
    store.apply(served, event, FeatureView("both", features=[served["x"].alias("s"), event["x"].alias("e")]))
    for name in ("served", "event"):
        store.write(name, [row(at(23), 1.0)])
    spine = [{"origin": "JFK", "time": at(23.5)}]

    def both(known=None):
        frame = store.historical("both", spine, time="time", known=known)
        return [tuple(r[n] for n in "se") for r in frame.to_arrow().to_pylist()], dict(frame.report.known)

    assert both() == ([(None, 1.0)], {"served": "served", "event": "event"})
    assert both("served") == ([(None, None)], {"served": "served", "event": "served"})
    assert both("event") == ([(1.0, 1.0)], {"served": "event", "event": "event"})
    assert both(at(24)) == ([(1.0, 1.0)], {"served": "2024-01-02T00:00:00Z", "event": "2024-01-02T00:00:00Z"})


def test_turning_a_group_off_keeps_its_default_and_the_plan_says_so_when_it_is_turned_on(store):
    store.apply(group("g"))
    store.apply(group("g", online=False))
    assert store.catalog.groups()[0].known == "served"
    plan = store.apply(group("g", online=True))
    assert "still default" not in str(plan)  # it is served already
    store.apply(group("h", online=False))
    assert "still default to known='event'; declare known='served'" in str(store.plan(group("h")))


# ---- the report


@pytest.fixture
def late(store, at, clock):
    """Give a store with four hours of history, and a late correction of hour 2, written at hour 25."""
    store.apply(group("g", ttl="10h"))
    store.backfill("g", [row(at(hour), float(hour)) for hour in range(4)])
    clock.move(hours=1)
    store.write("g", [row(at(2), 20.0), row(at(24), None)])
    return store


def test_compare_counts_the_answers_that_the_other_mode_gives_differently(late, at):
    spine = [{"origin": o, "time": at(hour)} for o in ("JFK", "LGA") for hour in (1, 2, 2.5, 3, 24, 25)]
    served = late.historical("g", spine, time="time")
    again = served.report.compare()
    # at 2 and 2.5 the correction, at 24 the null that came an hour later: then EXPIRED; LGA is MISSING in both
    assert (again.known, dict(again.values), dict(again.differ)) == ("event", {"g": 12}, {"g": 3})
    assert str(again) == "g: 3 of 12 values differ under known='event'"
    event = late.historical("g", spine, time="time", known="event").report.compare()
    assert (event.known, dict(event.differ)) == ("served", {"g": 3})
    moment = late.historical("g", spine, time="time", known=at(24)).report.compare()
    assert (moment.known, dict(moment.differ)) == ("event", {"g": 4})  # at 25 too
    ones = late.historical("g", spine[:1], time="time").report.compare()
    assert dict(ones.differ) == {"g": 0}


def test_compare_counts_a_status_that_differs_although_both_are_null(late, at):
    frame = late.historical("g", [{"origin": "JFK", "time": at(24)}], time="time", statuses=True)
    assert frame.to_arrow().column("x__status").to_pylist() == ["EXPIRED"]
    assert frame.report.compare().differ == {"g": 1}  # EXPIRED and NULL


def test_compare_asks_under_the_pins_of_its_frame(late, at):
    frame = late.historical("g", [{"origin": "JFK", "time": at(3)}], time="time")
    late.backfill("g", [row(at(3), 30.0)])
    late.write("g", [row(at(3), 31.0)])
    assert frame.report.compare().differ == {"g": 0}
    newer = late.historical("g", [{"origin": "JFK", "time": at(3)}], time="time")
    assert newer.report.compare().differ == {"g": 1}


def test_compare_of_a_view_counts_each_look_up_for_itself(store, at):
    served, event = group("served"), group("event", online=False)
    view = FeatureView(
        "both",
        features=[served["x"].alias("here"), served.on(origin="dest")["x"].alias("there"), event["x"].alias("e")],
    )
    store.apply(served, event, view)
    store.backfill("served", [row(at(1), 1.0)])
    store.write("served", [row(at(23), 2.0, origin="LGA")])
    store.write("event", [row(at(23), 3.0)])
    spine = [{"origin": "JFK", "dest": "LGA", "time": at(23)}, {"origin": "JFK", "dest": "JFK", "time": at(23)}]
    report = store.historical("both", spine, time="time").report
    assert set(report.counts) == {"served on origin", "served on dest", "event"}
    assert report.counts["served on dest"]["MISSING"] == 1
    found = report.compare()
    assert found.known == "event"
    assert dict(found.differ) == {"served on origin": 0, "served on dest": 1, "event": 0}


def test_the_report_counts_nulls_and_rows_that_coincide_with_an_event(late, at):
    spine = [{"origin": "JFK", "time": at(hour)} for hour in (2, 3, 3.5, 25, 40)]
    report = late.historical("g", spine, time="time").report
    assert report.counts == {"g": {"PRESENT": 3, "NULL": 1, "MISSING": 0, "EXPIRED": 1, "RETIRED": 0}}
    assert report.coincide == {"g": 2}
    empty = late.historical("g", pa.table({"origin": pa.array([], pa.string())}), time=at(1)).report
    assert (empty.rows, empty.coincide, sum(empty.counts["g"].values())) == (0, {"g": 0}, 0)
    assert dict(empty.compare().differ) == {"g": 0}


def test_rows_read_as_stored_have_no_report(late):
    with pytest.raises(UsageError, match="have no report -> use historical"):
        late.read("g").report  # noqa: B018 - the question


# ---- the warning of a read


def test_exactly_half_missing_for_arrival_is_no_warning_and_one_more_is(store, at, quiet):
    store.apply(group("g"))
    store.backfill("g", [row(at(1), 1.0)])
    store.write("g", [row(at(20), 2.0, origin="LGA")])
    ours = [{"origin": "JFK", "time": at(2)}]
    theirs = [{"origin": "LGA", "time": at(21)}]
    store.historical("g", ours + theirs, time="time")
    with pytest.raises(DataWarning, match=r"2 of 3 answers of group 'g' are MISSING only"):
        store.historical("g", ours + theirs * 2, time="time")
    with pytest.raises(DataWarning, match=r"1 of 1 answers"):
        store.historical("g", theirs, time="time", known=at(23))
    assert ask(store, "g", [at(21)], at(24.1), origin="LGA") == [2.0]


def test_what_is_missing_in_every_mode_is_no_reason_to_warn(store, at, quiet):
    store.apply(group("g"))
    store.write("g", [row(at(20), 2.0)])
    assert ask(store, "g", [at(21)] * 3, origin="SFO") == [None] * 3
    assert ask(store, "g", [at(19)] * 3) == [None] * 3  # before the first event
    assert ask(store, "g", [at(21)], "event") == [2.0]


def test_a_group_whose_keys_come_from_an_answer_warns_too(store, at, clock):
    home = group("home", features=[Feature("base", "string")])
    target = group("target")
    view = FeatureView("chained", features=[home["base"], target.on(origin=home["base"])["x"]])
    store.apply(home, target, view)
    store.backfill("home", [{"origin": "JFK", "t": at(1), "base": "LGA"}])
    store.write("target", [row(at(20), 1.0, origin="LGA")])
    with pytest.warns(DataWarning, match="1 of 1 answers of group 'target' are MISSING only"):
        store.historical("chained", [{"origin": "JFK", "time": at(21)}], time="time")


# ---- the warning of a write


@pytest.mark.embedded("a warning that is an error comes with the answer, after the commit")
def test_a_write_warns_if_more_than_half_is_older_than_a_day_and_a_day_is_not_older(store, at, clock, quiet):
    store.apply(group("g"), group("plain", online=False))
    clock.move(days=1)  # hour 48
    old, new = at(23.9), at(24)
    store.write("g", [row(new, 1.0), row(new, 1.0, origin="LGA")])
    store.write("g", [row(old, 1.0), row(new, 1.0)])  # half
    with pytest.raises(DataWarning, match="2 of 3 rows written to 'g' are more than a day old"):
        store.write("g", [row(old, 1.0), row(old, 1.0, origin="LGA"), row(new, 1.0)])
    assert len(store.catalog.commits("g")) == 2  # it comes before the commit
    store.backfill("g", [row(old, 2.0)])
    store.write("plain", [row(old, 2.0)])  # event time alone decides there
    store.write("g", [])


def test_a_write_together_warns_before_anything_is_committed(store, at, clock):
    store.apply(group("g"), group("h"))
    clock.move(days=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataWarning, match="written to 'h'"), store.together() as tx:
            tx.write("g", [row(clock.now, 1.0)])
            tx.write("h", [row(at(1), 1.0)])
    assert store.catalog.commits("g") == store.catalog.commits("h") == []
    with store.together() as tx:
        tx.write("g", [row(clock.now, 1.0)])
        with pytest.warns(DataWarning, match="written to 'h'") as caught:
            tx.write("h", [row(at(1), 1.0)])
    assert caught[0].filename == __file__
    assert len(tx.commits) == 2


# ---- the look-up


def test_the_newest_row_wins_with_its_nulls_in_every_mode(store, at):
    store.apply(group("g", features=[Feature("x", "float64"), Feature("y", "int64")]))
    store.backfill("g", [row(at(1), 1.0) | {"y": 1}, row(at(2), None) | {"y": 2}])
    for known in ("served", "event", at(24)):
        frame = store.historical("g", [{"origin": "JFK", "time": at(3)}], time="time", known=known, statuses=True)
        (found,) = frame.to_arrow().to_pylist()
        assert (found["x"], found["x__status"], found["y"], found["y__status"]) == (None, "NULL", 2, "PRESENT")


def test_nan_from_arrow_is_a_value_and_equals_itself(store, at):
    store.apply(group("g"))
    nan = float("nan")
    table = pa.table({"origin": ["a", "a"], "t": [at(1), at(1)], "x": pa.array([nan, nan])})
    assert store.backfill("g", table).rows == 1
    assert ask(store, "g", [at(2)], origin="a", statuses=True, feature="x__status") == ["PRESENT"]
    frame = store.historical("g", [{"origin": "a", "time": at(2)}], time="time")
    assert frame.report.compare().differ == {"g": 0}


def test_a_static_group_obeys_served_and_a_moment(store, at, clock):
    planes = FeatureGroup("planes", entity=airport, features=[Feature("x", "float64")], online=True)
    store.apply(planes)
    store.backfill("planes", [{"origin": "JFK", "x": 1.0}])
    clock.move(hours=1)
    store.write("planes", [{"origin": "JFK", "x": 2.0}])
    moments = [at(-1000), at(24.5), at(25)]
    assert ask(store, "planes", moments, "served") == [1.0, 1.0, 2.0]
    assert ask(store, "planes", moments, "event") == [2.0, 2.0, 2.0]
    assert ask(store, "planes", moments, at(24.5)) == [1.0, 1.0, 1.0]
    for parts in ({"ttl": "1h"}, {"delay": "1h"}):
        with pytest.raises(UsageError, match="takes no ttl, delay"):
            FeatureGroup("planes", entity=airport, features=[Feature("x", "float64")], **parts)


def test_a_null_time_is_refused_in_every_mode(late, at):
    spine = pa.table({"origin": ["JFK", "JFK"], "time": pa.array([at(1), None], pa.timestamp("us", "UTC"))})
    for known in ("served", "event", at(24)):
        with pytest.raises(DataError, match="null time in row 1"):
            late.historical("g", spine, time="time", known=known)


# ---- pins


def test_every_read_names_the_commits_that_it_saw_and_can_be_given_them(late, at):
    spine = [{"origin": "JFK", "time": at(2)}]
    assert late.historical("g", spine, time="time").commits == {"g@1": 2}
    assert late.read("g").commits == {"g@1": 2}
    assert late.historical("g", spine, time="time", commits={"g@1": 1}).commits == {"g@1": 1}
    assert ask(late, "g", [at(2)], "event", commits={"g@1": 1}) == [2.0]
    assert ask(late, "g", [at(2)], "event", commits={"g@1": 0}) == [None]
    assert len(late.read("g", commits={"g": 0})) == 0
    assert ask(late, "g", [at(2)], "event", commits={"g@1": 2}) == [20.0]
