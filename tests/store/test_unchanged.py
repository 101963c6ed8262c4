"""`on_unchanged="skip"`: what is stored of a load, and what may happen while it is compared. Law 5 is in tests/laws."""

from dataclasses import replace

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from asof import Entity, Feature, FeatureGroup
from asof.erasure.history import erase_in_history
from asof.erasure.target import Target
from asof.errors import ConflictError, UsageError
from asof.ingest import upkeep, write
from asof.ingest.prepare import Options
from asof.parts import pinned_rows
from asof.records import Commit
from asof.testing.stored import every_type, every_value


class Meanwhile:
    """A part of a store in which something else happens once, before one of its methods."""

    def __init__(self, part, method, action):
        self.part, self.method, self.action = part, method, action

    def __getattr__(self, name):
        if name == self.method and self.action is not None:
            action, self.action = self.action, None
            action()
        return getattr(self.part, name)


@pytest.fixture
def skipping(weather):
    return weather(on_unchanged="skip", ttl=None, known="event")


def load(at, hour, airports=("EWR", "JFK", "LGA"), **changed):
    """Give a full load: temp is 1, 2, 3 unless it changed."""
    return [
        {"origin": origin, "time_hour": at(hour), "temp": changed.get(origin, place + 1.0), "visib": None}
        for place, origin in enumerate(airports)
    ]


def values(store, **options):
    return [tuple(row.values()) for row in store.read("weather", **options).to_arrow().to_pylist()]


def files(store):
    rows, _ = pinned_rows(store._parts, store._parts.registry.group("weather"))
    return sorted((file.confirms, file.rows) for _, file, _ in rows.files)


def test_a_row_equal_to_its_predecessor_leaves_a_confirmation(store, skipping, at, clock):
    store.apply(skipping)
    first = store.write("weather", load(at, 0))
    assert (first.rows, first.unchanged, first.changes) == (3, 0, {})
    second = store.write("weather", load(at, 1, JFK=9.0))
    assert (second.rows, second.unchanged) == (3, 2)
    assert second.changes == {"": 3, "temp": 1, "visib": 0}
    assert store.catalog.commits("weather")[-1] == second
    assert files(store) == [(False, 1), (False, 3), (True, 2)]
    assert values(store) == [
        ("EWR", at(0), 1.0, None),
        ("EWR", at(1), 1.0, None),
        ("JFK", at(0), 2.0, None),
        ("JFK", at(1), 9.0, None),
        ("LGA", at(0), 3.0, None),
        ("LGA", at(1), 3.0, None),
    ]
    vector = store.online("weather", {"origin": "LGA"})
    assert (vector.values["temp"], vector.event_times["temp"]) == (3.0, at(1))


def test_a_confirmation_of_a_confirmation_names_the_stored_row(store, skipping, at):
    store.apply(skipping)
    for hour in range(4):
        store.write("weather", load(at, hour))
    rows, _ = pinned_rows(store._parts, store._parts.registry.group("weather"))
    named = [
        pa.parquet.read_table(place)["__named_commit"].to_pylist() for place, file, _ in rows.files if file.confirms
    ]
    assert named == [[1, 1, 1]] * 3


def test_a_load_without_a_change_stores_no_values_at_all(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 1))
    assert files(store) == [(False, 3), (True, 3)]


def test_late_rows_and_keys_with_several_rows_are_stored(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 5))
    assert store.write("weather", load(at, 4)).unchanged == 0
    assert store.write("weather", [*load(at, 6), *load(at, 7, ("EWR",))]).unchanged == 2


def test_a_row_after_a_retirement_is_stored(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.retire("weather", {"origin": "JFK"}, event_time=at(1))
    assert store.write("weather", load(at, 2)).unchanged == 2
    assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "PRESENT"


def test_a_push_is_stored_in_full_and_may_be_named(store, skipping, at):
    store.apply(skipping)
    for hour in range(2):
        assert store.push("weather", load(at, hour)).unchanged == 0
    assert store.write("weather", load(at, 2)).unchanged == 3
    store._writer.upkeep.seal(store._parts.registry.group("weather"))
    assert values(store, latest=True) == [
        ("EWR", at(2), 1.0, None),
        ("JFK", at(2), 2.0, None),
        ("LGA", at(2), 3.0, None),
    ]


def test_a_static_group_skips_by_commit(store, airport):
    group = FeatureGroup(
        "airports", entity=airport, features=[Feature("name", "string")], online=True, on_unchanged="skip"
    )
    store.apply(group)
    rows = [{"origin": "JFK", "name": "Kennedy"}, {"origin": "LGA", "name": None}]
    store.write("airports", rows)
    second = store.write("airports", [rows[0], {"origin": "LGA", "name": "La Guardia"}])
    assert second.unchanged == 1
    assert store.online("airports", {"origin": "JFK"}).values["name"] == "Kennedy"
    store.compact("airports")
    latest = store.read("airports", latest=True, clocks=True).to_arrow().to_pylist()
    assert [(row["name"], row["__commit"]) for row in latest] == [("Kennedy", 2), ("La Guardia", 2)]


def test_values_of_every_type_are_compared(store, at):
    every = every_type()
    store.apply(FeatureGroup("g", entity=every.entity, features=every.features, event_time="at", on_unchanged="skip"))
    rows = every_value()
    store.backfill("g", rows)
    later = rows.set_column(
        rows.column_names.index("at"), "at", pa.array([at(3)] * len(rows), rows.schema.field("at").type)
    )
    assert store.backfill("g", later).unchanged == len(rows)
    assert store.read("g", latest=True).to_arrow().drop_columns(["at"]).equals(rows.sort_by("k").drop_columns(["at"]))


def test_retracting_the_named_row_leaves_its_values_to_the_confirmations(store, skipping, at, clock):
    store.apply(skipping)
    first = store.write("weather", load(at, 0))
    clock.move(minutes=1)
    store.write("weather", load(at, 1))
    store.retract(first, reason="wrong")
    assert [row[:3] for row in values(store)] == [("EWR", at(1), 1.0), ("JFK", at(1), 2.0), ("LGA", at(1), 3.0)]
    assert store.online("weather", {"origin": "EWR"}).values["temp"] == 1.0
    assert store.write("weather", load(at, 2)).unchanged == 3


def test_retracting_confirmations_brings_the_named_rows_back(store, skipping, at, clock):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    clock.move(minutes=1)
    store.retract(store.write("weather", load(at, 1)), reason="wrong")
    assert store.online("weather", {"origin": "EWR"}).event_times["temp"] == at(0)


def test_a_feature_that_was_added_is_compared_with_null(store, weather, at):
    store.apply(weather(on_unchanged="skip"))
    store.write("weather", load(at, 0))
    store.apply(weather(on_unchanged="skip", features=[*weather().features, Feature("wind", "float64")]))
    calm = [row | {"wind": None} for row in load(at, 1)]
    assert store.write("weather", calm).unchanged == 3
    assert store.write("weather", [row | {"wind": 1.0, "time_hour": at(2)} for row in calm]).unchanged == 0


def test_rows_are_stored_if_their_writer_does_not_know_all_features(store, weather, at):
    """The stored rows have more than it could compare: its own lack it, and history must say so."""
    store.apply(weather(on_unchanged="skip"))
    old = store._parts.registry.group("weather")
    store.apply(weather(on_unchanged="skip", features=[*weather().features, Feature("wind", "float64")]))
    store.write("weather", [row | {"wind": 1.0} for row in load(at, 0)])
    prepared = store._writer.prepared(old, load(at, 1), "write", Options())
    assert store._writer.publish([prepared])[0].unchanged == 0
    assert store.read("weather", latest=True).to_arrow()["wind"].to_pylist() == [None] * 3


def test_on_unchanged_is_changed_in_place(store, weather, at):
    store.apply(weather())
    store.write("weather", load(at, 0))
    (change,) = store.apply(weather(on_unchanged="skip"))
    assert (change.action, change.version) == ("amend", 1)
    assert store.write("weather", load(at, 1)).unchanged == 3
    store.apply(weather())
    assert store.write("weather", load(at, 2)).unchanged == 0
    assert len(values(store)) == 9


def test_a_retried_load_is_the_first_one(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    second = store.write("weather", load(at, 1), idempotency_key="daily")
    again = store.write("weather", load(at, 1), idempotency_key="daily")
    assert (again, again.repeated) == (second, True)
    assert again.unchanged == 3
    assert not store._writer.upkeep.debris()


def test_several_groups_written_together_skip_too(store, skipping, airport, at):
    other = FeatureGroup(
        "runways", entity=airport, features=[Feature("count", "int64")], online=True, on_unchanged="skip"
    )
    store.apply(skipping, other)
    for hour in range(2):
        with store.together() as tx:
            tx.write("weather", load(at, hour))
            tx.write("runways", [{"origin": "JFK", "count": 4}])
    assert [commit.unchanged for commit in tx.commits] == [3, 1]
    assert store.online("runways", {"origin": "JFK"}).values["count"] == 4


# ---- compaction, retention, erasure


def test_a_compaction_keeps_confirmations(store, skipping, at):
    store.apply(skipping)
    for hour in range(5):
        store.write("weather", load(at, hour, JFK=float(hour)))
    before = values(store, clocks=True)
    store.compact("weather")
    assert files(store) == [(False, 7), (True, 8)]
    assert values(store, clocks=True) == before
    assert store.compact("weather")[0].files_before == 2, "there is nothing to do any more"
    assert store.write("weather", load(at, 5, JFK=4.0)).unchanged == 3
    assert store.quality.doctor().healthy


def test_confirmations_are_merged_with_confirmations_in_the_background(store, skipping, at, monkeypatch):
    monkeypatch.setattr(upkeep, "BACKGROUND", False)
    store.apply(skipping)
    for hour in range(20):
        store.write("weather", load(at, hour, JFK=float(hour)))
    before = values(store, clocks=True)
    merged = store._writer.upkeep.merge(store._parts.registry.group("weather"))
    assert merged >= 16
    assert {confirms for confirms, _ in files(store)} == {False, True}
    assert len(files(store)) < 12
    assert values(store, clocks=True) == before


def test_retention_gives_confirmations_the_values_of_rows_that_go(store, weather, at, clock):
    store.apply(weather(on_unchanged="skip", retention="2h", ttl=None))
    for hour in range(6):
        store.backfill("weather", load(at, 18 + hour))
    clock.move(hours=1)
    before = values(store, start=at(22.5))
    done = store.compact("weather")[0]
    assert done.dropped
    assert values(store, start=at(22.5)) == before
    assert all(not confirms for confirms, _ in files(store))
    assert store.write("weather", load(at, 24)).unchanged == 3


def test_rows_that_a_retention_drops_while_a_load_is_compared_are_not_named(store, weather, at, clock):
    store.apply(weather(on_unchanged="skip", retention="1h", ttl=None))
    store.backfill("weather", load(at, 10))

    def others():
        store._writer._parts = parts
        store.backfill("weather", load(at, 11, EWR=7.0))  # after it the rows of 10 are of no use to anybody
        store.compact("weather")

    parts = store._parts
    store._writer._parts = replace(parts, log=Meanwhile(parts.log, "publish", others))
    store.backfill("weather", load(at, 12))
    assert [row[2] for row in values(store, latest=True)] == [1.0, 2.0, 3.0]
    assert store.quality.doctor().healthy


def test_what_is_forgotten_while_a_load_is_compared_is_not_named(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    parts = store._parts

    def others():
        store.forget("airport", {"origin": "JFK"})

    store._writer._parts = replace(parts, log=Meanwhile(parts.log, "publish", others))
    commit = store.write("weather", load(at, 1))
    assert commit.unchanged == 2, "it was compared again"
    assert [row[:3] for row in values(store, latest=True)] == [
        ("EWR", at(1), 1.0),
        ("JFK", at(1), 2.0),
        ("LGA", at(1), 3.0),
    ]


def test_a_load_is_stored_in_full_if_history_keeps_losing_rows(store, skipping, at, clock):
    store.apply(skipping)
    store.write("weather", load(at, 0, ("EWR", "JFK", "LGA", "A", "B", "C", "D")))
    parts = store._parts

    doomed = list("ABCD")

    class Losing(Meanwhile):
        def __getattr__(self, name):
            if name == "publish" and doomed:
                erase_in_history(parts, holding_of(store, doomed.pop()))
            return getattr(self.part, name)

    store._writer._parts = replace(parts, log=Losing(parts.log, "", None))
    assert store.write("weather", load(at, 1)).unchanged == 0
    assert len(values(store, latest=True)) == 3
    assert not store._writer.upkeep.debris()


def holding_of(store, origin):
    (holding,) = Target.of(store._parts, "airport", {"origin": origin}).holdings(store._parts)
    return holding


def test_confirmations_of_what_is_being_forgotten_are_forgotten_too(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    parts = store._parts
    meanwhile = Meanwhile(parts.log, "replace_files", lambda: store.write("weather", load(at, 1)))
    erase_in_history(replace(parts, log=meanwhile), holding_of(store, "JFK"))
    assert [row[:3] for row in values(store)] == [
        ("EWR", at(0), 1.0), ("EWR", at(1), 1.0), ("LGA", at(0), 3.0), ("LGA", at(1), 3.0),
    ]  # fmt: skip


def test_forget_erases_confirmations(store, skipping, at, folder):
    store.apply(skipping)
    for hour in range(3):
        store.write("weather", load(at, hour, ("EWR", "Zq7Xw", "LGA")))
    certificate = store.forget("airport", {"origin": "Zq7Xw"})
    assert sum(each.rows for each in certificate.erased if each.place == "history") == 3
    assert len(values(store)) == 6
    store.close()
    held = [file for file in folder.rglob("*") if file.is_file() and b"Zq7Xw" in file.read_bytes()]
    assert not held


# ---- others


def test_other_readers_of_the_history_see_the_stored_rows(store, skipping, at, folder):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 1, JFK=9.0))
    store._writer.upkeep.mirror(store._parts.registry.group("weather"))
    (table,) = (folder / "history").glob("weather*")
    rows = DeltaTable(str(table)).to_pyarrow_table().to_pylist()
    assert sorted((row["origin"], row["time_hour"], row["temp"]) for row in rows) == [
        ("EWR", at(0), 1.0), ("JFK", at(0), 2.0), ("JFK", at(1), 9.0), ("LGA", at(0), 3.0),
    ]  # fmt: skip


def test_an_online_store_is_built_from_confirmations_alone(store, skipping, at, folder, clock):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    group = store._parts.registry.group("weather")
    store._writer.feed.rebuild(group)
    store.write("weather", load(at, 1))
    store.push("weather", load(at, 2, ("EWR",), EWR=5.0))
    store.write("weather", load(at, 3, EWR=5.0))
    for lose in (False, True):
        if lose:
            store._parts.online.clear(group.id)
        store._writer.recover()
        vector = store.online("weather", [{"origin": "EWR"}, {"origin": "JFK"}])
        assert [(each.values["temp"], each.event_times["temp"]) for each in vector] == [(5.0, at(3)), (2.0, at(3))]


def test_commits_that_only_confirm_are_applied_by_another_process_later(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    writer = store._writer
    apply, writer.feed.apply = writer.feed.apply, lambda published, made=None: None  # as if it had died
    store.write("weather", load(at, 1))
    writer.feed.apply = apply
    assert store.online("weather", {"origin": "JFK"}).event_times["temp"] == at(0)
    writer.recover()
    vector = store.online("weather", {"origin": "JFK"})
    assert (vector.values["temp"], vector.event_times["temp"]) == (2.0, at(1))


def test_explain_knows_confirmations(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 1))
    told = store.quality.explain("weather", {"origin": "JFK"}).lookups[0]
    assert (told.answer.event_time, told.answer.values["temp"], told.answer.commit.number) == (at(1), 2.0, 2)
    assert [version.values["temp"] for version in told.others] == [2.0]


def test_a_feature_may_have_any_name(store, at):
    names = ["n", "e", "x", "pe", "pc", "f", "r", "p", "c0", "row"]
    group = FeatureGroup(
        "g",
        entity=Entity("thing", keys={"s": "string", "v": "int64"}),
        features=[Feature(name, "int64") for name in names],
        event_time="t",
        known="event",
        on_unchanged="skip",
    )
    store.apply(group)
    for hour in range(2):
        row = {"s": "a", "v": 1, "t": at(hour), **dict.fromkeys(names, 1)}
        commit = store.write("g", [row])
    assert commit.unchanged == 1
    spine = [{"s": "a", "v": 1, "at": at(2)}]
    for known in ("event", at(30)):
        found = store.historical("g", spine, time="at", known=known).to_arrow().to_pylist()
        assert [found[0][name] for name in names] == [1] * len(names)


# ---- absent="retire"


@pytest.mark.parametrize("on_unchanged", ["store", "skip"])
@pytest.mark.parametrize("verb", ["write", "backfill"])
def test_keys_that_a_full_load_lacks_are_retired_in_its_commit(store, weather, at, on_unchanged, verb):
    store.apply(weather(on_unchanged=on_unchanged, ttl=None, known="event"))
    put = getattr(store, verb)
    put("weather", load(at, 0))
    commit = put("weather", load(at, 1, ("EWR", "LGA"), LGA=3.0), absent="retire")
    assert (commit.rows, commit.changes["-"]) == (3, 1)
    assert commit.unchanged == (0 if on_unchanged == "store" else 2)
    spine = [{"origin": origin, "t": at(hour)} for origin in ("EWR", "JFK") for hour in (0.5, 1)]
    found = store.historical("weather", spine, time="t", statuses=True).to_arrow()
    assert found["temp__status"].to_pylist() == ["PRESENT", "PRESENT", "PRESENT", "RETIRED"]
    assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "RETIRED"
    again = put("weather", load(at, 2, ("EWR", "LGA")), absent="retire")
    assert (again.rows, again.changes["-"]) == (2, 0), "it is retired already"
    back = put("weather", load(at, 3), absent="retire")
    assert back.changes["-"] == 0
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0
    assert store.quality.doctor().healthy


def test_a_late_full_load_retires_what_was_alive_at_its_time(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 5, ("EWR", "JFK", "LGA", "SFO")))
    commit = store.write("weather", load(at, 3, ("EWR",)), absent="retire")
    assert commit.changes["-"] == 2, "SFO was not there yet"
    assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "PRESENT"


def test_a_full_load_of_a_static_group_retires_too(store, airport):
    group = FeatureGroup("airports", entity=airport, features=[Feature("name", "string")], online=True)
    store.apply(group)
    store.write("airports", [{"origin": "JFK", "name": "Kennedy"}, {"origin": "LGA", "name": None}])
    store.write("airports", [{"origin": "JFK", "name": "Kennedy"}], absent="retire")
    assert store.online("airports", {"origin": "LGA"}).statuses["name"] == "RETIRED"


def test_retracting_a_full_load_brings_absent_keys_back(store, skipping, at, clock):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    clock.move(minutes=1)
    store.retract(store.write("weather", load(at, 1, ("EWR",)), absent="retire"), reason="half a file")
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0


def test_a_full_load_that_is_none_is_refused(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    with pytest.raises(UsageError, match="one event time"):
        store.write("weather", [*load(at, 1, ("EWR",)), *load(at, 2, ("JFK",))], absent="retire")
    with pytest.raises(UsageError, match="would retire every key"):
        store.write("weather", load(at, 1, ()), absent="retire")
    with pytest.raises(UsageError, match="absent='remove' is not known"):
        store.write("weather", load(at, 1), absent="remove")
    arrived = [row | {"seen": at(2)} for row in load(at, 1)]
    with pytest.raises(UsageError, match="arrivals"):
        store.backfill("weather", arrived, available_at="seen", absent="retire")
    assert len(store.catalog.commits("weather")) == 1


def test_the_same_rows_as_a_full_load_are_other_content(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0), idempotency_key="daily")
    with pytest.raises(ConflictError, match="other content"):
        store.write("weather", load(at, 0), idempotency_key="daily", absent="retire")


def test_a_key_that_is_forgotten_while_a_full_load_is_stored_does_not_come_back(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    parts = store._parts

    def others():
        store.forget("airport", {"origin": "JFK"})

    store._writer._parts = replace(parts, log=Meanwhile(parts.log, "publish", others))
    commit = store.write("weather", load(at, 1, ("EWR", "LGA")), absent="retire")
    assert commit.changes["-"] == 0
    assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "MISSING"
    meanwhile = Meanwhile(parts.log, "replace_files", lambda: full(store, at))
    erase_in_history(replace(parts, log=meanwhile), holding_of(store, "LGA"))
    assert {row[0] for row in values(store)} == {"EWR"}


def full(store, at):
    store._writer._parts = store._parts
    return store.write("weather", load(at, 2, ("EWR",)), absent="retire")


# ---- the report


def commit_of(changed, compared=1000, unchanged=900):
    return Commit("g@1", 1, 0, "write", "commit", compared, unchanged, changes={"": compared, **changed})


@pytest.mark.parametrize(
    ("changed", "cold"),
    [
        ({"a": 100, "b": 10, "c": 0}, ("b", "c")),
        ({"a": 100, "b": 11, "c": 0}, ()),  # one of three
        ({"a": 100, "b": 11, "c": 0, "d": 0}, ("c", "d")),
        ({"a": 10, "b": 10}, ()),  # all of them: they never change together
    ],
)
def test_features_that_change_in_a_tenth_of_the_changes_are_cold(changed, cold):
    assert commit_of(changed).cold == cold


def test_nothing_is_told_of_groups_that_hardly_ever_change():
    assert commit_of({"a": 9, "b": 0}, unchanged=991).cold == ()
    assert commit_of({"a": 10, "b": 0}, unchanged=990).cold == ("b",)


def test_a_commit_tells_how_often_features_changed(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 1, ("EWR", "JFK"), JFK=9.0), absent="retire")
    commit = store.catalog.commits("weather")[-1]
    assert (commit.compared, commit.changed, commit.retired) == (2, {"temp": 1, "visib": 0}, 1)
    assert commit.cold == ("visib",)


def test_a_full_load_that_would_be_loaded_in_parts_retires_all_the_same(store, weather, at, monkeypatch):
    monkeypatch.setattr(write, "PART_ROWS", 2)
    store.apply(weather(ttl=None, known="event"))
    store.write("weather", load(at, 0, ("A", "B", "C", "D")))
    rows = pa.Table.from_pylist(load(at, 1, ("B", "C", "D")))
    commit = store.write("weather", rows.to_reader(max_chunksize=1), absent="retire")
    assert (commit.rows, commit.retired) == (4, 1)
