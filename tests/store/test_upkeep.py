"""Between publishing and serving, and between compaction and deletion: states that others see for a moment."""

import pytest

import asof
from asof.ingest.feed import encode_online
from asof.ingest.upkeep import GRACE_US
from asof.online.port import Applied, Change, version_of
from asof.parts import pinned_rows


@pytest.fixture
def filled(store, weather, hourly):
    store.apply(weather())
    store.backfill("weather", hourly(12))
    return store


def group_of(store):
    return store._parts.registry.group("weather")


def applied(store):
    with store._parts.online.snapshot() as snapshot:
        return snapshot.applied.get(group_of(store).id, Applied())


def test_a_retract_recomputes_its_keys_up_to_its_own_commit_and_no_further(filled, at, clock):
    clock.move(hours=1)
    wrong = filled.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 99.0, "visib": 1.0})
    retract = filled.retract(wrong, reason="wrong")
    filled.push("weather", {"origin": "JFK", "time_hour": at(25), "temp": 25.0, "visib": 1.0})
    parts, group = filled._parts, group_of(filled)
    parts.online.clear(group.id)
    filled._writer.feed.catch_up(group, until=retract.number)
    assert applied(filled).commit == retract.number
    step = filled._online.plan("weather").steps[0]
    with parts.online.snapshot() as snapshot:
        (row,) = snapshot.get([(group.id, step.encode(["JFK"]))])
    assert version_of(row)[1] == 1, "the later push is not applied yet, and no answer may show it"
    filled._writer.feed.catch_up(group)
    assert filled.online("weather", {"origin": "JFK"}).values["temp"] == 25.0


def test_commits_that_were_published_and_never_applied_are_applied_at_the_next_open(filled, folder, clock):
    head = applied(filled)
    filled._parts.online.clear(group_of(filled).id)
    filled.close()
    with asof.open(folder, clock=clock) as again:
        assert applied(again) == head
        assert again.online("weather", {"origin": "JFK"}).event_times["temp"] is not None


def test_steps_of_a_bulk_load_that_were_broken_off_are_finished_at_the_next_open(filled, folder, clock):
    parts, group = filled._parts, group_of(filled)
    head = applied(filled)
    rows, _ = pinned_rows(parts, group)
    keys, values = encode_online(parts.engine.newest(rows).read_all().slice(0, 1), group)
    parts.online.clear(group.id)
    parts.online.apply([Change(group.id, 0, head.commit, head.committed_at_us, keys, values, final=False)])
    assert applied(filled) == Applied(0, 0, applying=True)
    filled.close()
    with asof.open(folder, clock=clock) as again:
        assert applied(again) == head
        assert again.quality.doctor().healthy


def test_replaced_files_stay_for_readers_that_hold_their_names_and_go_when_nobody_can(filled, clock, hourly):
    filled.backfill("weather", hourly(13))
    parts = filled._parts
    rows, _ = pinned_rows(parts, group_of(filled))
    old = [file.path for _, file, _ in rows.files]
    assert len(old) == 2
    filled.compact("weather")
    assert [parts.history.check(path) for path in old] == ["", ""]
    assert parts.engine.newest(rows).read_all().num_rows == 2
    clock.move(minutes=GRACE_US // 60_000_000)
    filled.compact("weather")
    assert parts.history.check(old[0]) == "", "the grace is over only after its last moment"
    clock.move(minutes=1)
    filled._writer.upkeep.sweep(now_us=parts.now_us())
    assert all(parts.history.check(path) != "" for path in old)


def test_a_pin_from_before_a_compaction_sees_what_it_saw(filled, hourly, at, clock):
    clock.move(hours=1)
    filled.push("weather", {"origin": "JFK", "time_hour": at(5), "temp": 55.0, "visib": None})
    spine = {"origin": ["JFK"], "t": [at(16)]}
    before = filled.historical("weather", spine, time="t", known="event", commits={"weather": 1}).to_arrow()
    filled.compact("weather")
    after = filled.historical("weather", spine, time="t", known="event", commits={"weather": 1}).to_arrow()
    assert after.equals(before)
    assert after["temp"].to_pylist() == [11.0]
    served = filled.historical("weather", {"origin": ["JFK"], "t": [at(5.5)]}, time="t", known="served").to_arrow()
    assert served["temp"].to_pylist() == [5.0], "the late correction was not known then, in a compacted file too"
