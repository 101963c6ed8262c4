"""What is answered from rows that stay where they are, at every kind of place. Source: docs/decisions/0021."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.external.conftest import airport, hour, rows, spine, temps, weather

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import AsofError, ConflictError, DataError, UnsupportedError, UsageError


def test_the_newest_row_up_to_each_time_answers(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", 3, 30.0), ("LGA", 2, 20.0)))
    store.apply(weather(place.external))
    asked = [("JFK", 0), ("JFK", 1), ("JFK", 2), ("JFK", 3), ("LGA", 9), ("EWR", 9), (None, 9)]
    assert temps(store, *asked) == [None, 10.0, 10.0, 30.0, 20.0, None, None]


def test_new_rows_are_answered_without_a_copy(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    store.apply(weather(place.external))
    assert temps(store, ("JFK", 5)) == [10.0]
    place.put(rows(("JFK", 1, 10.0), ("JFK", 2, 20.0)))
    assert temps(store, ("JFK", 5)) == [20.0]
    assert store.catalog.commits("weather") == []


def test_rows_are_known_since_the_declared_column_says(store, place):
    place.put(rows(("JFK", 1, 10.0, 1), ("JFK", 2, 20.0, 6)))
    store.apply(weather(place.external, available_at="known_at", known="served"))
    asked = [("JFK", 3), ("JFK", 6)]
    assert temps(store, *asked) == [10.0, 20.0]
    assert temps(store, *asked, known="event") == [20.0, 20.0]
    assert temps(store, *asked, known=hour(5)) == [10.0, 10.0]


def test_without_that_column_rows_are_known_since_event_time_and_delay(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", 3, 30.0)))
    store.apply(weather(place.external, delay="2h"))
    assert temps(store, ("JFK", 4), ("JFK", 5), known="served") == [10.0, 30.0]


def test_of_rows_of_one_event_time_the_one_known_last_is_the_newest(store, place):
    place.put(rows(("JFK", 1, 11.0, 4), ("JFK", 1, 10.0, 1)))
    store.apply(weather(place.external, available_at="known_at"))
    assert temps(store, ("JFK", 2), ("JFK", 4), known="served") == [10.0, 11.0]
    assert temps(store, ("JFK", 2)) == [11.0]


def test_rows_that_tie_are_refused_with_their_key_if_they_answer_and_differ(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", 1, 11.0), ("JFK", 5, 50.0), ("LGA", 1, 1.0), ("LGA", 1, 1.0)))
    store.apply(weather(place.external))
    assert temps(store, ("LGA", 2), ("JFK", 5)) == [1.0, 50.0]
    with pytest.raises(DataError, match=r"JFK.* at 2024-01-01T01:00.* differ.*available_at="):
        temps(store, ("LGA", 2), ("JFK", 3))
    assert store.read("weather", latest=True).to_arrow().column("temp").to_pylist() == [50.0, 1.0]
    with pytest.raises(DataError, match=r"JFK.* differ"):
        store.read("weather", latest=True, end=hour(1)).to_arrow()


@pytest.mark.parametrize("plan", ["as-of", "whole", "hash", "numbered"])
def test_rows_that_tie_are_seen_whatever_plan_the_engine_has(tmp_path, files, monkeypatch, plan):
    monkeypatch.setenv("ASOF_ENGINE", f"duckdb:{plan}")
    pq.write_table(rows(("JFK", 1, 10.0), ("JFK", 1, 11.0), ("JFK", 5, 50.0)), files / "a.parquet")
    with asof.open(tmp_path / "features") as store:
        store.apply(weather(f"parquet:{files}"))
        assert temps(store, ("JFK", 5)) == [50.0]
        with pytest.raises(DataError, match=r"JFK.* differ"):
            temps(store, ("JFK", 3))


def test_a_static_group_has_a_row_for_each_key(store, place):
    place.put(rows(("JFK", 1, 10.0), ("LGA", 1, 20.0)))
    static = FeatureGroup("weather", entity=airport, features=[Feature("temp", "float64")], external=place.external)
    store.apply(static)
    assert temps(store, ("JFK", 0), ("LGA", 3), ("EWR", 3)) == [10.0, 20.0, None]
    assert store.quality.doctor().healthy
    place.put(rows(("JFK", 1, 10.0), ("JFK", 1, 20.0)))
    assert "JFK" in str(store.quality.doctor())


def test_ttl_and_nulls_count_as_in_the_store(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", 2, None)))
    store.apply(weather(place.external, ttl="2h"))
    frame = store.historical("weather", spine(("JFK", 1), ("JFK", 2), ("JFK", 4)), time="at", statuses=True)
    assert frame.to_arrow().column("temp__status").to_pylist() == ["PRESENT", "NULL", "EXPIRED"]


def test_views_mix_external_groups_with_stored_ones_and_keys_come_from_answers(store, place):
    place.put(rows(("JFK", 1, 10.0), ("LGA", 1, 20.0)))
    outside = weather(place.external)
    flights = FeatureGroup(
        "flights",
        entity=Entity("flight", keys={"flight": "int64"}),
        event_time="t",
        features=[Feature("dest", "string")],
    )
    view = FeatureView(
        "departure", features=[outside["temp"].alias("here"), outside.on(origin=flights["dest"])["temp"]]
    )
    store.apply(outside, flights, view)
    store.backfill("flights", pa.table({"flight": [1], "t": [hour(1)], "dest": ["LGA"]}))
    asked = spine(("JFK", 2), ("JFK", 2)).append_column("flight", pa.array([1, 2]))
    assert store.historical("departure", asked, time="at").to_arrow().select(["here", "temp"]).to_pylist() == [
        {"here": 10.0, "temp": 20.0},
        {"here": 10.0, "temp": None},
    ]


def test_read_gives_the_rows_as_they_lie(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", 2, 20.0), ("LGA", 3, 30.0)))
    store.apply(weather(place.external))
    assert store.read("weather", start=hour(1), end=hour(2)).to_arrow().column("temp").to_pylist() == [20.0]
    assert store.read("weather", columns=["temp"], latest=True).to_arrow().to_pylist() == [
        {"temp": 20.0},
        {"temp": 30.0},
    ]
    clocks = store.read("weather", clocks=True, batch_rows=2).to_arrow()
    assert clocks.column("__available_at").to_pylist() == [hour(1), hour(2), hour(3)]


def test_no_rows_answer_nothing(store, place):
    place.put(rows(("JFK", 1, 10.0)).slice(1))
    store.apply(weather(place.external))
    assert temps(store, ("JFK", 2)) == [None]
    assert len(store.read("weather")) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.write("weather", rows(("JFK", 1, 1.0))),
        lambda store: store.backfill("weather", rows(("JFK", 1, 1.0))),
        lambda store: store.push("weather", {"origin": "JFK", "t": hour(1), "temp": 1.0}),
        lambda store: store.retire("weather", {"origin": "JFK"}, event_time=hour(1)),
        lambda store: store.retract("weather:1", reason="wrong"),
        lambda store: store.together().__enter__().write("weather", rows(("JFK", 1, 1.0))),
    ],
    ids=["write", "backfill", "push", "retire", "retract", "together"],
)
def test_nothing_is_written_to_an_external_group(store, files, change):
    store.apply(weather(f"parquet:{files}"))
    with pytest.raises(UsageError, match=f"stay at parquet:{files}.*write them there"):
        change(store)


def test_what_needs_commits_is_refused_and_says_what_to_do(store, files):
    store.apply(weather(f"parquet:{files}"))
    for ask in (
        lambda: store.online("weather", {"origin": "JFK"}),
        lambda: store.verify("weather"),
        lambda: store.quality.explain("weather", {"origin": "JFK"}, at=hour(1)),
    ):
        with pytest.raises(UnsupportedError, match="external"):
            ask()
    store.catalog.tag("now")
    with pytest.raises(UsageError, match="no tag pins them"):
        temps(store, ("JFK", 1), commits="now")
    store.compact()


def test_the_report_says_what_was_read_and_whether_it_can_be_again(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    store.apply(weather(place.external))
    frame = store.historical("weather", spine(("JFK", 1)), time="at")
    read = frame.report.external["weather"]
    assert (read.place, read.reproducible) == (place.external, place.kind == "delta")
    assert ("pinned" if read.reproducible else "not reproducible") in str(frame.report)
    assert [size > 0 for _, size, _ in read.files] == ([] if place.kind == "postgresql" else [True])
    batches = store.historical("weather", spine(("JFK", 1), ("JFK", 2)), time="at", batch_rows=1)
    assert len(batches.to_arrow()) == 2
    assert batches.report.external["weather"].place == place.external


def test_a_pinned_read_is_the_same_or_refused(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    store.apply(weather(place.external))
    frame = store.historical("weather", spine(("JFK", 5)), time="at")
    if place.kind == "postgresql":
        assert frame.commits == {}
        with pytest.raises(UsageError, match="no pin for group weather@1, whose rows are outside"):
            temps(store, ("JFK", 5), commits=frame.commits)
        with pytest.raises(UnsupportedError, match="cannot be pinned"):
            temps(store, ("JFK", 5), commits={"weather": 1})
        return
    assert temps(store, ("JFK", 5), commits=frame.commits) == [10.0]
    place.put(rows(("JFK", 1, 10.0), ("JFK", 2, 20.0)))
    assert temps(store, ("JFK", 5)) == [20.0]
    if place.kind == "delta":
        assert temps(store, ("JFK", 5), commits=frame.commits) == [10.0]
        with pytest.raises(ConflictError, match="version 99"):
            temps(store, ("JFK", 5), commits={"weather": 99})
    else:
        with pytest.raises(ConflictError, match="not those of the pinned read"):
            temps(store, ("JFK", 5), commits=frame.commits)


def test_columns_must_be_those_declared(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    for features, said in (
        ([Feature("tmp", "float64")], "no column 'tmp'|'tmp'"),
        ([Feature("temp", "int64")], "'temp' is double, which is not always int64"),
    ):
        store.apply(weather(place.external, features=features))
        with pytest.raises(DataError, match=said) as refused:
            store.historical("weather", spine(("JFK", 1)), time="at").to_arrow()
        assert refused.value.data["column"] == features[0].name
        assert "external" in str(store.quality.doctor())


def test_nulls_in_event_times_are_refused(store, place):
    place.put(rows(("JFK", 1, 10.0), ("JFK", None, 20.0)))
    store.apply(weather(place.external))
    with pytest.raises(DataError, match="null event time"):
        temps(store, ("JFK", 1))


def test_what_is_not_there_is_said_with_its_place(store, place):
    store.apply(weather(place.external.replace("weather", "nothing").replace("files", "nowhere")))
    with pytest.raises(AsofError, match="there is no"):
        temps(store, ("JFK", 1))
    assert "external: weather@1" in str(store.quality.doctor())


def test_describe_search_and_certificates_name_the_place(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    group = weather(place.external)
    store.apply(group, FeatureView("departure", features=[group["temp"]]))
    assert place.external in str(store.catalog.describe("weather"))
    assert place.external in str(store.catalog.describe("departure"))
    assert any(hit.name == "weather" and place.external in hit.text for hit in store.catalog.search("external"))
    certificate = store.forget("airport", {"origin": "JFK"})
    assert any(place.external in note and "not reached" in note for note in certificate.notes)
    assert temps(store, ("JFK", 1)) == [10.0]


def test_the_default_of_historical_reads_may_be_declared_for_any_place(store, place):
    place.put(rows(("JFK", 1, 10.0)))
    store.apply(weather(place.external, known="served", delay="3h"))
    frame = store.historical("weather", spine(("JFK", 4)), time="at")
    assert frame.report.known == {"weather": "served"}
    assert frame.report.compare().differ == {"weather": 0}
