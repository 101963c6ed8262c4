"""Training sets: kept as they were made, made again from history, erased, removed."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView, GroupSplit, RandomSplit, TimeSplit
from asof.aggregates import Count
from asof.errors import ConflictError, DataError, NotFoundError, TransientError, UnsupportedError, UsageError

HOURS = 20


@pytest.fixture
def arrivals(airport):
    return FeatureGroup("arrivals", entity=airport, event_time="at", features=[Feature("delay", "int64")])


@pytest.fixture
def filled(store, weather, arrivals, hourly, at):
    """Give the store with a day of weather, arrivals at half past each hour, and a view."""
    group = weather(ttl=None)
    store.apply(group, arrivals, FeatureView("departure", features=[group["temp"], group["visib"]], owner="ana"))
    store.backfill("weather", hourly())
    rows = [{"origin": o, "at": at(h + 0.5), "delay": h} for o in ("JFK", "LGA") for h in range(24)]
    store.backfill("arrivals", rows)
    return store


@pytest.fixture
def spine(at):
    """Give two airports at a quarter past each of the first hours."""
    return [{"origin": o, "t": at(h + 0.25), "n": h} for h in range(HOURS) for o in ("JFK", "LGA")]


def rows_of(made, split=None):
    return made.to_arrow(split).to_pylist()


def made_of(store, spine, name="departure-2024", **words):
    return store.training_set(name, view="departure", spine=spine, time="t", **words)


# ---- what it holds


def test_it_holds_what_historical_answers_in_the_order_of_the_spine(filled, spine):
    made = made_of(filled, spine)
    frame = filled.historical("departure", spine, time="t")
    assert made.to_arrow().equals(frame.to_arrow())
    assert (made.name, made.version, made.ref, made.view) == ("departure-2024", 1, "departure-2024@1", "departure@1")
    assert made.commits == frame.commits
    assert made.features == ("temp", "visib")
    assert made.spine == ("origin", "t", "n")
    assert (made.label, made.split, made.splits) == (None, None, {})
    assert len(made) == len(spine) == sum(batch.num_rows for batch in made.batches(rows=7))
    assert all(batch.num_rows <= 7 for batch in made.batches(rows=7))
    assert made.to_pandas()["temp"].tolist() == [row["temp"] for row in frame.to_arrow().to_pylist()]
    assert made.to_polars().shape == (len(spine), 5)
    assert pa.table(made).equals(frame.to_arrow())
    matrix, labels = made.to_numpy()
    assert matrix.shape == (len(spine), 2)
    assert labels is None
    assert made.statistics.columns["temp"].high == HOURS - 1
    said = made.manifest
    assert (said.given, said.rows, said.semantics, said.asof) == (40, 40, 1, asof.__version__)
    assert said.counts == {"weather": {"PRESENT": 80, "NULL": 0, "MISSING": 0, "EXPIRED": 0, "RETIRED": 0}}
    assert set(said.documents) == {"departure@1", "weather@1"}


def test_it_is_opened_by_its_name_or_that_of_a_version(filled, spine):
    first, second = made_of(filled, spine), made_of(filled, spine[1:])
    assert [first.ref, second.ref] == ["departure-2024@1", "departure-2024@2"]
    assert filled.training_set("departure-2024").ref == second.ref
    found = filled.training_set("departure-2024@1")
    assert (found.digest, found.to_arrow()) == (first.digest, first.to_arrow())
    assert [each.ref for each in filled.catalog.training_sets()] == [first.ref, second.ref]
    with pytest.raises(NotFoundError, match="did you mean 'departure-2024'"):
        filled.training_set("departure-2023")
    with pytest.raises(NotFoundError, match="training set 'departure-2024@9'"):
        filled.training_set("departure-2024@9")


def test_the_same_content_makes_no_other_version(filled, spine):
    words = {"split": RandomSplit((0.5, 0.5), 3)}
    first = made_of(filled, spine, **words)
    assert made_of(filled, spine, **words).ref == first.ref
    assert made_of(filled, spine).ref == "departure-2024@2"
    assert made_of(filled, spine, **words).ref == "departure-2024@3", "only the newest one is looked at"
    assert made_of(filled, spine, "other", **words).ref == "other@1"
    groups = [group.definition.name for group in filled.catalog.groups()]
    assert [name for name in groups if "_v" in name] == [
        "departure_2024_v1",
        "departure_2024_v2",
        "departure_2024_v3",
        "other_v1",
    ]


def test_neither_batches_nor_the_kind_of_the_frame_change_it(filled, spine, tmp_path):
    table = pa.Table.from_pylist(spine)
    parquet.write_table(table, tmp_path / "spine.parquet", row_group_size=9)
    split = TimeSplit(shares=(0.5, 0.5))
    digest = made_of(filled, spine, split=split).digest

    def reader():
        return pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=3)))

    for frame, rows in (
        (table, 1),
        (table, 7),
        (tmp_path / "spine.parquet", 11),
        (reader(), 5),
        (table.to_pandas(), None),
    ):
        made = made_of(filled, frame, split=split, batch_rows=rows)
        assert (made.digest, made.version) == (digest, 1)
        assert made.to_arrow().num_rows == 40


def test_values_of_every_type_come_back_as_they_were(store, at, airport):
    types = {
        "a": "decimal(9, 2)", "b": "vector<float32, 2>", "c": "list<string>", "d": "struct<x: int8, y: date>",
        "e": "bytes", "f": "bool", "g": "timestamp", "h": "int16",
    }  # fmt: skip
    group = FeatureGroup("g", entity=airport, event_time="at", features=[Feature(n, t) for n, t in types.items()])
    store.apply(group)
    full = {
        "a": Decimal("1.50"), "b": [1.0, 2.0], "c": ["x", None], "d": {"x": 1, "y": at(0).date()},
        "e": b"\x00", "f": True, "g": at(3), "h": 7,
    }  # fmt: skip
    store.backfill("g", [{"origin": "JFK", "at": at(1), **full}, {"origin": "LGA", "at": at(1), **dict.fromkeys(full)}])
    keys = [{"origin": o, "Odd Name": 1, "odd name": Decimal("2.5"), "t": at(2)} for o in ("JFK", "LGA", None)]
    made = store.training_set("g-1", "g", keys, time="t")
    assert made.to_arrow().equals(store.historical("g", keys, time="t").to_arrow())
    assert made.rebuild().to_arrow().equals(made.to_arrow())
    with pytest.raises(UnsupportedError, match="does not fit a float array"):
        made.to_numpy()


def test_an_empty_spine_makes_an_empty_one(filled, spine):
    made = made_of(filled, pa.Table.from_pylist(spine).slice(0, 0))
    assert len(made) == made.to_arrow().num_rows == 0
    assert made.rebuild().digest == made.digest


# ---- splits


def test_the_parts_of_a_split(filled, spine, at):
    made = made_of(filled, spine, split=TimeSplit([at(10)], gap="2h"))
    assert made.splits == {"train": 16, "test": 20}
    assert made.manifest.left_out == {"gap": 4}
    assert {row["split"] for row in rows_of(made)} == {"train", "test"}
    assert (
        max(row["t"] for row in rows_of(made, "train"))
        <= at(8)
        < at(10)
        < min(row["t"] for row in rows_of(made, "test"))
    )
    assert "split" not in made.to_arrow("train").column_names
    assert made.to_numpy("test")[0].shape == (20, 2)
    assert made.split.cuts == (at(10),)
    with pytest.raises(NotFoundError, match="part of the split 'valid'"):
        made.to_arrow("valid")
    with pytest.raises(NotFoundError):
        made_of(filled, spine, "plain").batches("train")


def test_shares_of_time_and_groups(filled, spine, at):
    made = made_of(filled, spine, split=TimeSplit(shares={"a": 0.25, "b": 0.75}))
    assert made.splits == {"a": 10, "b": 30}
    assert made.split.cuts == (at(4.25),)
    grouped = made_of(filled, spine, "by-airport", split=GroupSplit("origin", (0.5, 0.5), seed=1))
    assert all(len({row["split"] for row in rows_of(grouped) if row["origin"] == o}) == 1 for o in ("JFK", "LGA"))
    assert grouped.rebuild().digest == grouped.digest


# ---- labels


def test_a_label_is_what_became_of_the_row_and_rows_without_one_yet_are_left_out(filled, spine, arrivals, clock, at):
    label = arrivals["delay"].after("6h")
    made = made_of(filled, spine, label=label)
    assert made.label == "delay"
    assert [row["delay"] for row in rows_of(made)] == [h + 5 for h in range(18) for _ in range(2)]
    assert made.manifest.left_out == {"label not mature": 4}
    assert made.manifest.label.counts == {"labelled": 36, "null": 0, "no event": 0, "retired": 0}
    clock.now = at(26)
    assert len(made_of(filled, spine, label=label)) == 40
    assert made.to_numpy()[1].tolist()[:3] == [5.0, 5.0, 6.0]
    assert made.rebuild().digest == made.digest, "what is mature by now changes nothing"


def test_labels_without_an_event_are_null_and_counted(filled, spine, arrivals, at):
    filled.backfill("arrivals", [{"origin": "JFK", "at": at(1.4), "delay": None}])
    filled.write("arrivals", [{"origin": "JFK", "at": at(2.4), "delay": 77}])
    made = made_of(filled, spine, label=arrivals["delay"].after("12m"), known="served")
    assert made.manifest.label.counts == {"labelled": 0, "null": 1, "no event": 39, "retired": 0}
    made = made_of(filled, spine, label=arrivals["delay"].after("12m"), known="event")
    assert made.manifest.label.counts == {"labelled": 1, "null": 1, "no event": 38, "retired": 0}


def test_a_label_may_be_a_feature_of_the_view_and_a_key_of_another_name(filled, at, weather):
    group = weather(ttl=None)
    spine = [{"origin": "JFK", "dest": "LGA", "t": at(1.25)}]
    label = group.on(origin="dest")["temp"].after("2h")
    made = made_of(filled, spine, label=label)
    assert rows_of(made)[0] == {**spine[0], "temp": 1.0, "visib": 10.0, "temp_after_2h": 3.0}
    made = made_of(filled, spine, label=label.alias("then"))
    assert made.label == "then"
    assert rows_of(made)[0]["then"] == 3.0


def test_a_label_may_be_a_window_or_a_column_of_the_spine(filled, spine, airport, arrivals, at):
    counts = FeatureGroup("counts", entity=airport, source=arrivals, features=[Count(over="2h")])
    filled.apply(counts)
    made = made_of(filled, spine, label=counts["count_2h"].after("2h"))
    assert rows_of(made)[0]["count_2h"] == 2
    assert made.rebuild().digest == made.digest
    made = made_of(filled, spine, label="n")
    assert made.label == "n"
    assert made.manifest.label.counts == {"labelled": 40, "null": 0}
    assert made.to_numpy()[1].tolist()[:4] == [0, 0, 1, 1]


def test_pins_and_a_moment_k_say_what_is_mature(filled, spine, arrivals, clock, at):
    filled.catalog.tag("then")
    clock.now = at(30)
    filled.write("arrivals", [{"origin": "JFK", "at": at(29), "delay": 1}])
    late = [{"origin": "JFK", "t": at(25), "n": 0}, {"origin": "JFK", "t": at(28), "n": 0}]
    words = {"label": arrivals["delay"].after("4h"), "known": "event"}
    assert made_of(filled, late, "now", **words).manifest.left_out == {"label not mature": 1}
    assert len(made_of(filled, late, "pinned", commits="then", **words)) == 1, "it knows all until the next commit"
    words["known"] = at(24)
    assert made_of(filled, late, "k", **words).manifest.left_out == {"label not mature": 2}


# ---- made again


def test_it_is_made_again_after_later_writes_late_data_corrections_and_compaction(filled, spine, arrivals, at, clock):
    words = {"label": arrivals["delay"].after("3h"), "split": TimeSplit(shares=(0.7, 0.3), gap="3h")}
    made = made_of(filled, spine, **words)
    before = made.to_arrow()
    filled.backfill("weather", [{"origin": "JFK", "time_hour": at(3), "temp": -1.0, "visib": None}])
    filled.backfill("arrivals", [{"origin": "LGA", "at": at(4.6), "delay": 999}])
    filled.write("weather", [{"origin": "LGA", "time_hour": at(5.1), "temp": 50.0, "visib": 1.0}])
    filled.retract("arrivals:1", reason="wrong")
    clock.move(days=30)
    filled.compact()
    again = made.rebuild()
    assert again.digest == made.digest
    assert again.to_arrow().equals(before)
    assert again.to_arrow("test").equals(made.to_arrow("test"))
    assert filled.training_set("departure-2024").to_arrow().equals(before)
    other = made_of(filled, spine, **words)
    assert (other.version, other.digest == made.digest) == (2, False)


def test_a_feature_that_its_group_has_since_changes_nothing(filled, spine, weather, at):
    made = filled.training_set("w-1", "weather", spine, time="t")
    group = weather(ttl=None)
    filled.apply(weather(ttl=None, features=[*group.features, Feature("wind", "float64")]))
    filled.backfill("weather", [{"origin": "JFK", "time_hour": at(2), "temp": 0.0, "visib": 0.0, "wind": 1.0}])
    assert made.rebuild().to_arrow().equals(made.to_arrow())
    assert "wind" in filled.training_set("w-2", "weather", spine, time="t").features


def test_on_demand_features_are_made_of_the_spines_columns_and_made_again(store, place, at):
    from tests import on_demand_features as functions

    own = store if place == "embedded" else store._opened
    own.apply(functions.weather, functions.comfort, functions.view)
    rows = [
        {"origin": o, "time_hour": at(20), "temp": t, "wind": 4, "note": "n"} for o, t in (("JFK", 41.0), ("LGA", None))
    ]
    store.backfill("weather", rows)
    spine = [{"origin": o, "t": at(21), "hour": 12, "limit": 40.0} for o in ("JFK", "LGA", "XXX")]
    made = made_of(store, spine, batch_rows=2)
    assert made.features == ("temp", "warmer_at", "too_cold", "told", "wind")
    assert made.to_arrow().equals(store.historical("departure", spine, time="t").to_arrow())
    assert rows_of(made)[0]["warmer_at"] == 42.2
    assert made.rebuild().to_arrow().equals(made.to_arrow())
    assert {leak.kind for leak in made.leakage().leaks} == {"self-event", "late value"}


@pytest.mark.embedded(reason="the code is changed where the store is")
def test_code_that_changed_since_is_told(store, tmp_path, at):
    text = """
from asof import Entity, Feature, FeatureGroup, FeatureView, on_demand
airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup("weather", entity=airport, event_time="t", features=[Feature("temp", "float64")])

@on_demand(inputs=[weather["temp"]], output="float64")
def doubled(temp):
    return temp * 2

view = FeatureView("view", features=[weather["temp"], doubled])
"""
    file = tmp_path / "definitions_of_sets.py"
    file.write_text(text)
    store.apply(file)
    store.backfill("weather", [{"origin": "JFK", "t": at(1), "temp": 2.0}])
    made = store.training_set("v-1", "view", [{"origin": "JFK", "at": at(2)}], time="at")
    assert rows_of(made)[0]["doubled"] == 4.0
    file.write_text(text.replace("temp * 2", "temp * 30"))
    store.apply(file)
    with pytest.raises(ConflictError, match="the source of definitions_of_sets:doubled is not what it was"):
        made.rebuild()
    assert rows_of(made)[0]["doubled"] == 4.0
    sys.modules.pop("definitions_of_sets", None)


@pytest.mark.embedded(reason="looks at what the registry holds")
def test_what_is_not_the_same_is_told_with_the_column_and_the_row(filled, spine):
    made = made_of(filled, spine)
    kept = made._kept
    changed = kept.manifest.replace(made.manifest.columns["temp"], "0" * 64)
    filled._parts.training_sets.amend(
        type(kept)(**{**{n: getattr(kept, n) for n in kept.__slots__}, "manifest": changed})
    )
    with pytest.raises(ConflictError, match="departure-2024@1 is not the same when it is made again: column temp"):
        filled.training_set("departure-2024").rebuild()
    old = kept.manifest.replace('"semantics":1', '"semantics":0')
    filled._parts.training_sets.amend(type(kept)(**{**{n: getattr(kept, n) for n in kept.__slots__}, "manifest": old}))
    with pytest.raises(ConflictError, match="made under version 0 of the rules, this is 1"):
        filled.training_set("departure-2024").rebuild()


def test_what_retention_dropped_is_told(store, weather, hourly, spine, clock):
    group = weather(ttl=None, retention="1d")
    store.apply(group, FeatureView("departure", features=[group["temp"]]))
    store.backfill("weather", hourly())
    made = made_of(store, spine)
    clock.move(days=10)
    store.write("weather", [{"origin": "JFK", "time_hour": clock.now, "temp": 1.0, "visib": None}])
    store.compact()
    with pytest.raises(ConflictError, match=r"retention|cannot be made again"):
        made.rebuild()
    assert len(made.to_arrow()) == 40, "what is kept stays"


# ---- forget


def test_forget_takes_its_rows_and_says_so(filled, spine, arrivals, folder):
    words = {"label": arrivals["delay"].after("3h"), "split": RandomSplit((0.5, 0.5))}
    made, other = made_of(filled, spine, **words), made_of(filled, [r for r in spine if r["origin"] == "LGA"], "others")
    rest = [row for row in rows_of(made) if row["origin"] != "JFK"]
    dry = filled.forget("airport", {"origin": "JFK"}, dry_run=True)
    assert dry.training_sets == (made.ref,)
    assert made.rebuild().digest == made.digest
    certificate = filled.forget("airport", {"origin": "JFK"}, reason="asked")
    assert certificate.training_sets == (made.ref,)
    assert "training sets that held such rows: departure-2024@1" in str(certificate)
    assert filled.catalog.erasures()[-1].training_sets == (made.ref,)
    found = filled.training_set("departure-2024")
    assert rows_of(found) == rest
    assert len(found) == len(rest)
    assert found.digest == made.digest
    assert found.manifest.erased == {str(certificate.id): 20}
    assert found.statistics.rows == 20
    with pytest.raises(
        ConflictError, match=f"erased: 20 of 40 rows of departure-2024@1 are gone by erasure {certificate.id}"
    ):
        found.rebuild()
    assert other.rebuild().digest == other.digest
    for file in folder.rglob("*"):
        assert not file.is_file() or b"JFK" not in file.read_bytes(), file


@pytest.mark.embedded(reason="a store is opened again")
def test_a_broken_off_erasure_is_finished_by_the_next_open(filled, spine, folder, clock, monkeypatch):
    made = made_of(filled, spine)
    kind = type(filled._parts.history)
    before, calls = kind.discard, []

    def fails(self, paths):
        calls.append(list(paths))
        raise TransientError("the disk is away")

    monkeypatch.setattr(kind, "discard", fails)
    with pytest.raises(TransientError):
        filled.forget("airport", {"origin": "JFK"})
    monkeypatch.setattr(kind, "discard", before)
    assert calls
    filled.close()
    with asof.open(folder, clock=clock) as store:
        (certificate,) = store.catalog.erasures()
        assert certificate.training_sets == (made.ref,)
        found = store.training_set("departure-2024")
        assert {row["origin"] for row in rows_of(found)} == {"LGA"}
        assert found.manifest.erased == {"1": 20}
        assert found.statistics.rows == len(found) == 20
        assert store.quality.doctor().healthy


def test_forget_finds_rows_by_keys_under_other_names_and_from_answers(store, weather, airport, at):
    plane = Entity("plane", keys={"tailnum": "string"})
    group = weather(ttl=None)
    planes = FeatureGroup(
        "planes", entity=plane, event_time="at", features=[Feature("seats", "int64"), Feature("base", "string")]
    )
    labels = FeatureGroup("labels", entity=airport, event_time="at", features=[Feature("y", "int64")])
    view = FeatureView(
        "departure",
        features=[planes["seats"], group.on(origin=planes["base"])["temp"]],
    )
    store.apply(group, planes, labels, view)
    store.backfill(
        "planes", [{"tailnum": f"N{n}", "at": at(0), "seats": n, "base": b} for n, b in enumerate(("JFK", "LGA"))]
    )
    store.backfill("weather", [{"origin": o, "time_hour": at(0), "temp": 1.0, "visib": None} for o in ("JFK", "LGA")])
    spine = [{"tailnum": f"N{n}", "to Where": to, "t": at(1)} for n in (0, 1, 2) for to in ("EWR", "BOS")]
    made = made_of(store, spine, label=labels.on(origin="to Where")["y"].after("1h"))
    store.backfill("labels", [{"origin": "BOS", "at": at(0), "y": 1}])
    store.forget("airport", {"origin": "JFK"})
    assert [row["tailnum"] for row in rows_of(store.training_set("departure-2024"))] == ["N1", "N1", "N2", "N2"]
    store.forget("airport", {"origin": "BOS"})
    assert [row["to Where"] for row in rows_of(store.training_set("departure-2024"))] == ["EWR", "EWR"]
    store.forget("plane", {"tailnum": "N2"})
    found = store.training_set("departure-2024")
    assert [row["tailnum"] for row in rows_of(found)] == ["N1"]
    assert list(found.manifest.erased.values()) == [2, 2, 1]
    assert made.digest == found.digest


# ---- what is known of it


def test_the_catalog_knows_it(filled, spine, arrivals):
    made = made_of(filled, spine, label=arrivals["delay"].after("3h"), split=RandomSplit((0.5, 0.5)))
    described = filled.catalog.describe("departure-2024")
    assert (described.name, described.kind) == ("departure-2024@1", "training set")
    assert dict(described.facts)["rows"] == "40"
    assert described.features[-1] == ("delay", "int64", "", "the label")
    assert "label    delay (labelled 40" in repr(made)
    assert "<table" in made._repr_html_()
    assert filled.catalog.lineage("departure-2024").reads == ("departure@1", "arrivals@1", "weather@1")
    assert filled.catalog.lineage("departure").read_by == (made.ref,)
    assert made.ref in filled.catalog.lineage("arrivals").read_by
    own = filled.catalog.describe("departure_2024_v1")
    assert ("description", "rows of the training set departure-2024@1 of departure@1 (written by asof)") in own.facts
    assert ("owner", "ana") in own.facts


def test_what_it_was_made_with_is_not_removed_before_it(filled, spine, arrivals):
    made = made_of(filled, spine, label=arrivals["delay"].after("3h"))
    for name in ("departure", "departure@1", "arrivals", "departure_2024_v1"):
        with pytest.raises(ConflictError, match="asof training-set rm departure-2024@1"):
            filled.catalog.remove(name)
    with pytest.raises(ConflictError):
        filled.catalog.remove("weather")
    made_of(filled, spine[2:])
    assert filled.catalog.remove_training_set("departure-2024@1") == [made.ref]
    assert filled.catalog.remove_training_set("departure-2024") == ["departure-2024@2"]
    with pytest.raises(NotFoundError):
        filled.catalog.remove_training_set("departure-2024")
    assert [g for g in filled.catalog.groups() if "_v" in g.ref] == []
    assert filled.catalog.remove("departure") == []
    assert filled.catalog.remove("arrivals") == ["arrivals@1"]


def test_nobody_writes_into_its_group(filled, spine):
    made_of(filled, spine)
    for act in (
        lambda: filled.write("departure_2024_v1", [{"row": 1}]),
        lambda: filled.push("departure_2024_v1", {"row": 1}),
        lambda: filled.backfill("departure_2024_v1", [{"row": 1}]),
        lambda: filled.retire("departure_2024_v1", {"row": 1}),
        lambda: filled.retract("departure_2024_v1:1", reason="no"),
    ):
        with pytest.raises(UsageError, match="keeps the rows of the training set departure-2024@1"):
            act()
    assert len(filled.read("departure_2024_v1")) == 40


# ---- what is refused


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"view": "depature"}, NotFoundError, "did you mean 'departure'"),
        ({"time": "tt"}, NotFoundError, "spine column 'tt'"),
        ({"time": None}, UsageError, "at which time"),
        ({"time": 3}, UsageError, "neither a column nor a datetime"),
        ({"label": "m"}, NotFoundError, "spine column 'm'"),
        ({"label": 3}, UsageError, "label=3 is no label"),
        ({"split": "time"}, UsageError, "'time' is no split"),
        ({"split": GroupSplit("tail", (0.5, 0.5))}, NotFoundError, "spine column 'tail'"),
        (
            {"split": TimeSplit([datetime(2024, 1, 1, tzinfo=UTC)]), "time": datetime(2024, 1, 1, tzinfo=UTC)},
            UsageError,
            "needs times",
        ),
        ({"known": "sometimes"}, UsageError, "no knowledge mode"),
        ({"commits": {"wether": 1}}, NotFoundError, "did you mean 'weather'"),
        ({"commits": "no-tag"}, NotFoundError, "no-tag"),
        ({"batch_rows": 0}, UsageError, "batch_rows=0"),
        ({"spine": [{"origin": "JFK", "t": datetime(2024, 1, 1)}]}, DataError, "naive times"),  # noqa: DTZ001
        ({"spine": [{"origin": "JFK", "t": None}]}, DataError, "null"),
        ({"spine": [{"t": datetime(2024, 1, 1, tzinfo=UTC)}]}, NotFoundError, "spine column 'origin'"),
        ({"spine": []}, DataError, "no columns"),
        ({"spine": "nowhere.parquet"}, NotFoundError, "no file"),
        ({"spine": None}, UsageError, "of a view and a spine"),
        ({"name": "Departure"}, UsageError, "no name for a training set"),
        ({"name": "a--b"}, UsageError, "no name for a training set"),
        ({"name": "a" * 60}, UsageError, "no name for a training set"),
        ({"name": "weather"}, None, ""),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_nothing(filled, spine, words, error, message):
    given = {"name": "departure-2024", "view": "departure", "spine": spine, "time": "t"} | words
    if error is None:
        assert filled.training_set(**given).ref == "weather@1"
        return
    before = [group.ref for group in filled.catalog.groups()]
    with pytest.raises(error, match=message):
        filled.training_set(**given)
    assert filled.catalog.training_sets() == []
    assert [group.ref for group in filled.catalog.groups()] == before


def test_a_spine_that_breaks_off_leaves_nothing(filled, spine):
    table = pa.Table.from_pylist(spine)

    def batches():
        yield from table.to_batches()
        raise OSError("gone")

    before = [group.ref for group in filled.catalog.groups()]
    with pytest.raises(Exception, match="gone"):
        made_of(filled, pa.RecordBatchReader.from_batches(table.schema, batches()), batch_rows=10)
    assert [group.ref for group in filled.catalog.groups()] == before
    assert made_of(filled, spine).version == 1


def test_a_group_of_the_users_is_not_taken(filled, spine, airport):
    filled.apply(FeatureGroup("departure_2024_v1", entity=airport, features=[Feature("x", "int64")]))
    with pytest.raises(ConflictError, match="would be the group 'departure_2024_v1', which is something else"):
        made_of(filled, spine)
    assert len(filled.catalog.groups()) == 3


def test_labels_that_make_no_sense_are_refused(filled, airport, weather, arrivals):
    static = FeatureGroup("static", entity=airport, features=[Feature("x", "string")])
    with pytest.raises(UsageError, match="a static group knows no later value"):
        static["x"].after("1h")
    with pytest.raises(UsageError, match="a label is known after its row's time"):
        arrivals["delay"].after("0s")
    with pytest.raises(UsageError, match="no length of time"):
        arrivals["delay"].after("soon")
    with pytest.raises(UsageError, match="comes from another group's answer"):
        arrivals.on(origin=static["x"])["delay"].after("1h")


@pytest.mark.embedded(reason="the group lies on this machine's disk")
def test_files_outside_of_the_store_that_changed_are_told(filled, airport, tmp_path, at):
    file = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"origin": ["JFK"], "at": [at(0)], "x": [1]}), file)
    outside = FeatureGroup(
        "outside", entity=airport, event_time="at", features=[Feature("x", "int64")], external=f"parquet:{file}"
    )
    filled.apply(outside)
    made = filled.training_set("a", "outside", [{"origin": "JFK", "t": at(1)}], time="t")
    assert made.rebuild().digest == made.digest
    parquet.write_table(pa.table({"origin": ["JFK", "LGA"], "at": [at(0)] * 2, "x": [2, 3]}), file)
    with pytest.raises(ConflictError, match="the files are not those of the pinned read"):
        made.rebuild()
    assert rows_of(made)[0]["x"] == 1


@pytest.mark.embedded(reason="looks at what the registry holds")
def test_what_was_broken_off_is_cleared_away_a_day_later(filled, spine, clock):
    assert filled._parts.training_sets.begin("departure-2024", writer="", now_us=filled._parts.now_us()) == 1
    assert made_of(filled, spine).version == 2
    clock.move(hours=25)
    made_of(filled, spine, "other")
    assert filled._parts.training_sets.unfinished(before_us=filled._parts.now_us()) == []


KILLED = """
import os, sys
from datetime import datetime
import pyarrow as pa
import asof
now = datetime.fromisoformat(sys.argv[2])
rows = pa.table({"origin": ["JFK"] * 9, "t": [now] * 9})

def batches():
    yield from rows.to_batches()
    os._exit(9)

with asof.open(sys.argv[1], clock=lambda: now) as store:
    spine = pa.RecordBatchReader.from_batches(rows.schema, batches())
    store.training_set("departure-2024", "departure", spine, time="t", batch_rows=3)
"""


@pytest.mark.embedded(reason="a process is killed")
def test_a_process_that_is_killed_leaves_nothing_that_counts(filled, spine, folder, clock):
    filled.close()
    command = [sys.executable, "-c", KILLED, str(folder), clock.now.isoformat()]
    assert subprocess.run(command, check=False, timeout=120).returncode == 9
    with asof.open(folder, clock=clock) as store:
        assert store.catalog.training_sets() == []
        made = made_of(store, spine)
        assert (made.version, made.rebuild().digest) == (2, made.digest)
        assert "departure_2024_v1@1" in [group.ref for group in store.catalog.groups()]
        clock.move(hours=25)
        made_of(store, spine, "other")
        names = [group.ref for group in store.catalog.groups()]
        assert [name for name in names if "_v" in name] == ["departure_2024_v2@1", "other_v1@1"]
        assert store.quality.doctor().healthy, str(store.quality.doctor())


@pytest.mark.embedded(reason="the two meet in this process")
def test_keys_that_are_erased_while_it_is_made_are_not_in_it(filled, spine):
    table = pa.Table.from_pylist(spine)

    def batches():
        yield from table.slice(0, 20).to_batches()
        filled.forget("airport", {"origin": "JFK"})
        yield from table.slice(20).to_batches()

    with pytest.raises(ConflictError, match="keys were erased while departure-2024@1 was being made"):
        made_of(filled, pa.RecordBatchReader.from_batches(table.schema, batches()), batch_rows=10)
    assert filled.catalog.training_sets() == []


def test_the_code_commit_is_kept(filled, spine, tmp_path, monkeypatch):
    assert made_of(filled, spine, code_commit="abc").manifest.code_commit == "abc"
    monkeypatch.chdir(tmp_path)
    assert made_of(filled, spine, "b").manifest.code_commit == ""
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert made_of(filled, spine, "c").manifest.code_commit == "1" * 40


def test_progress_is_told(filled, spine):
    told = []
    made_of(filled, spine, batch_rows=10, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (40, 40)
    assert told == sorted(told)


@pytest.mark.embedded(reason="a store is opened again")
def test_it_is_there_when_the_store_is_opened_again(filled, spine, folder, clock):
    made = made_of(filled, spine, split=RandomSplit((0.5, 0.5)))
    filled.close()
    with asof.open(folder, clock=clock) as store:
        found = store.training_set("departure-2024")
        assert found.rebuild().digest == found.digest == made.digest
        assert store.quality.doctor().healthy, str(store.quality.doctor())
    clock.now += timedelta(days=1)
