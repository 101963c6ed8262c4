"""`split`: the hot and the cold features of a group are stored apart, and nobody sees it. Law 5 is in tests/laws."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

import asof
from asof import Feature, FeatureGroup, FeatureView
from asof.engine.families import _beside
from asof.errors import ConflictError, NotFoundError, PermanentError, UsageError
from asof.ingest import merge, upkeep
from asof.ingest.prepare import Options
from asof.ingest.unchanged import divided, whole
from asof.parts import pinned_rows


@pytest.fixture
def skipping(weather):
    return weather(on_unchanged="skip", ttl=None, known="event")


@pytest.fixture
def by_hand(monkeypatch):
    """Let nothing be merged in the background; ask for it before the store is written to."""
    monkeypatch.setattr(upkeep, "BACKGROUND", False)


@pytest.fixture
def split(store, skipping, at):
    """Give a store whose group was split after its first load: temp is hot, visib is cold."""
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.catalog.split("weather", cold=["visib"])
    return store


def load(at, hour, airports=("EWR", "JFK", "LGA"), **changed):
    """Give a full load: temp is 1, 2, 3 and visib 10 unless they changed."""
    return [
        {
            "origin": origin,
            "time_hour": at(hour),
            **dict(zip(("temp", "visib"), changed.get(origin, (place + 1.0, 10.0)), strict=True)),
        }
        for place, origin in enumerate(airports)
    ]


def group_of(store, name="weather"):
    return store._parts.registry.group(name)


def files(store, name="weather"):
    rows, _ = pinned_rows(store._parts, group_of(store, name))
    return sorted((file.family or "", file.confirms, file.rows) for _, file, _ in rows.files)


def values(store, **options):
    return [tuple(row.values()) for row in store.read("weather", **options).to_arrow().to_pylist()]


def test_a_split_writes_no_row_anew(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    before = files(store)
    done = store.catalog.split("weather", cold=["visib"])
    assert (done.group, done.hot, done.cold) == ("weather@1", ("temp",), ("visib",))
    assert files(store) == before == [("", False, 3)]
    assert values(store)[0] == ("EWR", at(0), 1.0, 10.0)


def test_a_row_is_stored_in_the_family_that_changed_and_confirmed_in_the_other(split, at):
    commit = split.write("weather", load(at, 1, EWR=(5.0, 10.0), JFK=(2.0, 11.0)))
    assert (commit.rows, commit.unchanged) == (3, 1)
    assert commit.changes == {"": 3, "temp": 1, "visib": 1}
    assert files(split) == [
        ("", False, 3),
        ("cold", False, 1),
        ("cold", True, 2),
        ("hot", False, 1),
        ("hot", True, 2),
    ]
    assert values(split, latest=True) == [
        ("EWR", at(1), 5.0, 10.0),
        ("JFK", at(1), 2.0, 11.0),
        ("LGA", at(1), 3.0, 10.0),
    ]
    vector = split.online("weather", {"origin": "JFK"})
    assert (vector.values, vector.event_times["visib"]) == ({"temp": 2.0, "visib": 11.0}, at(1))
    assert split.quality.doctor().healthy


def test_a_file_of_a_family_has_its_features_only(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0), JFK=(2.0, 11.0)))
    rows, _ = pinned_rows(split._parts, group_of(split))
    found = {(f.family, f.confirms): pq.read_schema(place).names[2:-3] for place, f, _ in rows.files if f.family}
    named = ["__named_event", "__named_commit"]
    assert found == {
        ("hot", False): ["temp"],
        ("cold", False): ["visib"],
        ("hot", True): named,
        ("cold", True): named,
    }


def test_rows_that_changed_in_both_and_retirements_are_stored_whole(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 6.0), JFK=(7.0, 8.0), LGA=(9.0, 9.0)))
    assert files(split) == [("", False, 3), ("", False, 3)]
    commit = split.write("weather", load(at, 2, ("EWR", "JFK"), EWR=(5.0, 0.0), JFK=(7.0, 8.0)), absent="retire")
    assert (commit.unchanged, commit.retired) == (1, 1)
    assert files(split)[2:] == [("cold", False, 2), ("cold", True, 1), ("hot", False, 1), ("hot", True, 2)]
    assert split.online("weather", {"origin": "LGA"}).statuses["visib"] == "RETIRED"
    assert values(split, latest=True) == [("EWR", at(2), 5.0, 0.0), ("JFK", at(2), 7.0, 8.0)]
    split.retire("weather", {"origin": "JFK"}, event_time=at(3))
    assert split.write("weather", load(at, 4, ("EWR", "JFK"), EWR=(5.0, 0.0), JFK=(7.0, 8.0))).unchanged == 1


def test_a_question_about_hot_features_reads_no_cold_file(split, at):
    for hour in range(1, 5):
        split.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0)))
    definition = group_of(split).definition
    split.apply(FeatureView("hot", features=[definition["temp"]]), FeatureView("cold", features=[definition["visib"]]))
    spine = [{"origin": "EWR", "t": at(4)}]

    def profile(name):
        frame = split.historical(name, spine, time="t", known="event", explain=True)
        return frame.report.plan.profiles["weather"]

    hot, cold, both = (profile(name) for name in ("hot", "cold", "weather"))
    assert files(split) == [("", False, 3)] + [("cold", True, 3)] * 4 + [("hot", False, 1)] * 4 + [("hot", True, 2)] * 4
    assert (hot.files_read, hot.files) == (9, 13)
    assert (cold.files_read, cold.files) == (5, 13)
    assert (both.files_read, both.files) == (14, 14)
    assert hot.why.startswith("hot: ")
    assert split.read("weather", columns=["origin", "visib"], latest=True).to_arrow()["visib"].to_pylist() == [10.0] * 3


def test_another_process_notices_a_split_and_one_that_did_not_stores_whole_rows(split, at, folder, clock):
    clock.move(hours=3)
    with asof.open(folder, clock=clock) as other:
        other.write("weather", load(at, 1, EWR=(5.0, 10.0)))
        assert ("cold", True, 3) in files(split)
    stale = group_of(split)
    before = files(split)
    late = split._writer.prepared(stale, load(at, 2, EWR=(6.0, 10.0)), "write", Options())
    split._writer._store([late], [whole(late)])
    assert files(split) == sorted([*before, ("", False, 3)])
    assert split.write("weather", load(at, 3, EWR=(6.0, 10.0))).unchanged == 3
    assert values(split, latest=True)[0] == ("EWR", at(3), 6.0, 10.0)


def test_a_split_between_comparison_and_publication_spoils_nothing(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    late = store._writer.prepared(group_of(store), load(at, 1, EWR=(6.0, 10.0)), "write", Options())
    part = divided(store._parts, late)
    store.catalog.split("weather", cold=["visib"])
    store._writer._store([late], [part])
    assert files(store) == [("", False, 1), ("", False, 3), ("", True, 2)]
    store.write("weather", load(at, 2, EWR=(7.0, 10.0)))
    assert values(store, latest=True)[0] == ("EWR", at(2), 7.0, 10.0)
    assert store.quality.doctor().healthy


def test_pushes_belong_to_both_families(split, at, clock):
    clock.move(hours=3)
    split.push("weather", load(at, 1, EWR=(5.0, 6.0)))
    assert split.write("weather", load(at, 2, EWR=(5.0, 7.0))).unchanged == 2
    split._writer.upkeep.seal(group_of(split))
    assert values(split, latest=True)[0] == ("EWR", at(2), 5.0, 7.0)
    assert files(split)[:2] == [("", False, 3), ("", False, 3)]


def test_compaction_keeps_families_apart_and_every_answer(split, at):
    for hour in range(1, 5):
        split.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0), JFK=(2.0, hour // 2)))
    before = values(split, clocks=True)
    (done,) = split.compact("weather")
    assert (done.files_after, done.rows) == (5, 15)
    assert files(split) == [("", False, 3), ("cold", False, 3), ("cold", True, 9), ("hot", False, 4), ("hot", True, 8)]
    assert values(split, clocks=True) == before
    again = split.compact("weather")[0]
    assert (again.files_before, again.files_after, again.rows) == (5, 5, 15)
    assert split.quality.doctor().healthy


@pytest.mark.usefixtures("by_hand")
def test_the_background_merges_files_of_a_family_with_each_other(split, at, monkeypatch):
    monkeypatch.setattr(merge, "FILES", 3)
    for hour in range(1, 5):
        split.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0)))
    before = values(split, clocks=True)
    assert split._writer.upkeep.merge(group_of(split)) == 12
    assert files(split) == [("", False, 3), ("cold", True, 12), ("hot", False, 4), ("hot", True, 8)]
    assert values(split, clocks=True) == before


@pytest.mark.usefixtures("by_hand")
def test_what_is_applied_online_after_a_merge_of_one_family_is_right(split, at):
    for hour in range(1, 4):
        split.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0)))
    parts, group = split._parts, group_of(split)
    rows, _ = pinned_rows(parts, group)
    hot = [file for _, file, _ in rows.files if file.family == "hot" and not file.confirms]
    only = replace(rows, files=tuple(f for f in rows.files if f[1] in hot))
    split._writer.upkeep._replace(
        group, only, parts.log.snapshot(group), removed=[file.path for file in hot], sealed=[]
    )
    parts.online.clear(group.id)
    split._writer.feed.catch_up(group, until=3)
    split._writer.feed.catch_up(group)
    assert split.online("weather", {"origin": "EWR"}).values == {"temp": 8.0, "visib": 10.0}
    assert split.quality.doctor().healthy


def test_what_retention_drops_gives_its_values_to_the_confirmations_that_stay(store, skipping, weather, at, clock):
    store.apply(weather(on_unchanged="skip", ttl=None, known="event", retention="5h"))
    store.write("weather", load(at, 0))
    store.catalog.split("weather", cold=["visib"])
    for hour in range(1, 11):
        store.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0)))
    newest = values(store, latest=True)
    clock.move(hours=20)
    (done,) = store.compact("weather")
    assert done.dropped > 0
    assert values(store, latest=True) == newest
    assert {family for family, *_ in files(store)} == {""}
    assert store.write("weather", load(at, 11, EWR=(15.0, 11.0))).unchanged == 2
    assert values(store, latest=True)[0] == ("EWR", at(11), 15.0, 11.0)


def test_forget_erases_a_key_from_both_families(split, at, folder):
    for hour in range(1, 4):
        split.write("weather", load(at, hour, EWR=(hour + 5.0, 10.0), JFK=(2.0, hour + 20.0)))
    counted = {each.place: each.rows for each in split._eraser.count("airport", {"origin": "EWR"}, reason="").erased}
    certificate = split.forget("airport", {"origin": "EWR"})
    erased = {each.place: each.rows for each in certificate.erased}
    assert erased["history"] == counted["history"] == 4
    assert [row[0] for row in values(split, latest=True)] == ["JFK", "LGA"]
    assert values(split, latest=True)[0] == ("JFK", at(3), 2.0, 23.0)
    for place in (folder / "history").rglob("*.parquet"):
        assert "EWR" not in pq.read_table(place, columns=["origin"])["origin"].to_pylist()
    assert split.quality.doctor().healthy


def test_retracting_a_row_that_changed_one_family_leaves_its_values_to_its_confirmations(split, at, clock):
    clock.move(hours=3)
    wrong = split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    split.write("weather", load(at, 2, EWR=(5.0, 12.0)))
    split.retract(wrong, reason="wrong")
    assert values(split, latest=True)[0] == ("EWR", at(2), 5.0, 12.0)
    last = split.write("weather", load(at, 2.5, EWR=(5.0, 12.0)))
    assert last.unchanged == 3
    assert split.quality.doctor().healthy


def test_features_that_are_added_later_are_hot(split, weather, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    more = [*group_of(split).definition.features, Feature("wind", "float64")]
    split.apply(weather(on_unchanged="skip", ttl=None, known="event", features=more))
    assert group_of(split).cold == ("visib",)
    rows = [{**row, "wind": 1.0} for row in load(at, 2, EWR=(5.0, 10.0))]
    commit = split.write("weather", rows)
    assert commit.changed == {"temp": 0, "visib": 0, "wind": 3}
    assert values(split, latest=True)[0] == ("EWR", at(2), 5.0, 10.0, 1.0)
    assert ("cold", True, 3) in files(split)


def test_a_static_group_is_split_by_commit(store, airport):
    group = FeatureGroup(
        "airports",
        entity=airport,
        features=[Feature("name", "string"), Feature("visits", "int64")],
        online=True,
        on_unchanged="skip",
    )
    store.apply(group)
    rows = [{"origin": "JFK", "name": "Kennedy", "visits": 1}, {"origin": "LGA", "name": "La Guardia", "visits": 1}]
    store.write("airports", rows)
    store.catalog.split("airports", cold=["name"])
    assert store.write("airports", [{**row, "visits": 2} for row in rows]).unchanged == 0
    assert files(store, "airports") == [("", False, 2), ("cold", True, 2), ("hot", False, 2)]
    assert store.online("airports", {"origin": "LGA"}).values == {"name": "La Guardia", "visits": 2}
    store.compact("airports")
    latest = store.read("airports", latest=True, clocks=True).to_arrow().to_pylist()
    assert [(row["name"], row["visits"], row["__commit"]) for row in latest] == [
        ("Kennedy", 2, 2),
        ("La Guardia", 2, 2),
    ]


def test_a_retry_with_its_idempotency_key_changes_nothing(split, at):
    for _ in range(2):
        commit = split.write("weather", load(at, 1, EWR=(5.0, 10.0)), idempotency_key="once")
    assert commit.repeated
    assert len(files(split)) == 4
    assert split.quality.doctor().healthy


def test_an_explanation_names_the_files_of_both_families(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    split.compact("weather")
    found = split.quality.explain("weather", {"origin": "EWR"}, at=at(2))
    (answer,) = [each.answer for each in found.lookups]
    hot, cold = answer.file.split(", ")
    assert (".hot/" in hot, ".cold/" in cold) == (True, True)


def test_each_family_has_a_delta_table_with_its_own_rows(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0), JFK=(2.0, 11.0)))
    split._writer.upkeep.mirror(group_of(split))
    history = split._parts.history.folder

    def table(name):
        return DeltaTable(str(history / name)).to_pyarrow_table().sort_by("origin").select(names[name]).to_pylist()

    names = {
        "weather@1.1": ["origin", "temp", "visib"],
        "weather@1.1.hot": ["origin", "temp"],
        "weather@1.1.cold": ["origin", "visib"],
    }
    assert len(table("weather@1.1")) == 3
    assert table("weather@1.1.hot") == [{"origin": "EWR", "temp": 5.0}]
    assert table("weather@1.1.cold") == [{"origin": "JFK", "visib": 11.0}]


def test_a_removed_group_leaves_no_folder_of_a_family(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0), JFK=(2.0, 11.0)))
    split._writer.upkeep.close()
    history = split._parts.history.folder
    assert len([place for place in history.iterdir() if place.name.startswith("weather@1.1")]) == 3
    split.catalog.remove("weather")
    assert not [place for place in history.iterdir() if place.name.startswith("weather@1.1")]


def test_verify_and_replay_see_nothing_of_a_split(split, at):
    vector = split.online("weather", {"origin": "EWR"})
    split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    again = split.online("weather", {"origin": "EWR"})
    split.write("weather", load(at, 2, EWR=(5.0, 11.0)))
    for each in (vector, again):
        assert split.replay(each.receipt).values == each.values
    assert not split.verify("weather").differences


def test_describe_says_what_is_stored_apart(split):
    assert dict(split.catalog.describe("weather").facts)["split"] == "stored apart: visib"


def test_a_split_tells_what_it_would_have_saved_in_the_last_load(store, skipping, at):
    store.apply(skipping)
    store.write("weather", load(at, 0))
    store.write("weather", load(at, 1, EWR=(5.0, 10.0), JFK=(6.0, 11.0)))
    done = store.catalog.split("weather", cold=["visib"])
    assert (done.rows, done.cold_rows) == (2, 1)
    assert "2 of 3 rows compared had changed, at most 1 of them in cold features" in str(done)


def test_a_split_that_makes_no_sense_is_refused(store, weather, at):
    store.apply(weather())
    with pytest.raises(UsageError, match='on_unchanged="skip"'):
        store.catalog.split("weather", cold=["visib"])
    store.apply(weather(on_unchanged="skip"))
    with pytest.raises(NotFoundError, match="did you mean 'visib'"):
        store.catalog.split("weather", cold=["visibb"])
    store.catalog.split("weather", cold=["visib"])
    with pytest.raises(ConflictError, match="a split stays"):
        store.catalog.split("weather", cold=["temp"])


def test_a_group_that_stops_to_skip_stores_whole_rows(split, weather, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    split.apply(weather(ttl=None, known="event"))
    before = files(split)
    split.write("weather", load(at, 2, EWR=(5.0, 10.0)))
    assert files(split) == sorted([*before, ("", False, 3)])
    assert values(split, latest=True)[0] == ("EWR", at(2), 5.0, 10.0)


def test_streams_of_both_families_are_laid_side_by_side_whatever_their_batches():
    def reader(sizes, **columns):
        table, at, parts = pa.table(columns), 0, []
        for size in sizes:
            parts += table.slice(at, size).to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
            at += size
        return pa.RecordBatchReader.from_batches(table.schema, parts)

    numbers = list(range(10))
    for hot, cold in (([10], [1] * 10), ([3, 0, 7], [0, 5, 5]), ([4, 6], [6, 4]), ([10], [10])):
        found = _beside(reader(hot, a=numbers), reader(cold, b=numbers[::-1]), ["b", "a"]).read_all()
        assert found.to_pydict() == {"b": numbers[::-1], "a": numbers}
    with pytest.raises(PermanentError, match="other rows"):
        _beside(reader([10], a=numbers), reader([9], b=numbers[:9]), ["a", "b"]).read_all()


def test_doctor_tells_of_rows_that_one_family_lacks(split, at):
    split.write("weather", load(at, 1, EWR=(5.0, 10.0)))
    parts, group = split._parts, group_of(split)
    lost = [file.path for file, _ in parts.log.snapshot(group).files if file.family == "cold"]
    parts.log.replace_files(group, removed=lost, added=[], now_us=parts.now_us())
    diagnosis = split.quality.doctor()
    assert "3 rows lie in the hot family, 0 in the cold one" in str(diagnosis)
    with pytest.raises(PermanentError, match="other rows"):
        split.read("weather")
    assert split.read("weather", columns=["origin", "temp"], latest=True).to_arrow()["temp"].to_pylist() == [
        5.0,
        2.0,
        3.0,
    ]


def test_a_cold_feature_called_as_the_engine_calls_the_number_of_a_file_changes_no_hot_answer(store, airport, at):
    features = [Feature("temp", "float64"), Feature("file_index", "int64")]
    store.apply(FeatureGroup("g", entity=airport, event_time="at", features=features, on_unchanged="skip"))
    for number in (2, 1, 0):  # three files whose features count backwards
        store.backfill("g", [{"origin": "JFK", "at": at(1), "temp": float(number), "file_index": number}])
    store.catalog.split("g", cold=["file_index"])
    store.backfill("g", [{"origin": "LGA", "at": at(1), "temp": 0.0, "file_index": 0}])
    for hour in (2, 3):
        store.backfill("g", [{"origin": "LGA", "at": at(hour), "temp": float(hour), "file_index": 0}])
    rows = store.read("g", columns=["origin", "temp"], latest=True, clocks=True).to_arrow().to_pylist()
    assert [(row["origin"], row["temp"], row["__commit"]) for row in rows] == [("JFK", 0.0, 3), ("LGA", 3.0, 6)]
