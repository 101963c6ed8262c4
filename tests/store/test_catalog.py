"""Everything about knowing: groups, views, commits, search, describe, lineage, remove."""

import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, NotFoundError


@pytest.fixture
def known(store, weather, hourly):
    """Give a store with weather (and rows), planes, and a view over both."""
    planes = FeatureGroup(
        "planes",
        entity=Entity("aircraft", {"tailnum": "string"}),
        online=True,
        features=[Feature("seats", "int32", description="how many fit")],
    )
    group = weather(description="hourly observations", retention="400d")
    store.apply(group, planes, FeatureView("departure", features=[group["temp"], planes["seats"]], owner="ml"))
    store.backfill("weather", hourly())
    return store


def test_search_finds_names_descriptions_units_owners_and_tags(known):
    assert [hit.name for hit in known.catalog.search("temp")] == ["weather.temp", "departure"]
    assert known.catalog.search("air temperature")[0].name == "weather.temp"
    assert known.catalog.search("FLIGHTS")[0].where == "tag domain"
    assert {hit.name for hit in known.catalog.search("ml")} == {"departure"}
    assert [hit.name for hit in known.catalog.search("seats fit")] == ["planes.seats"]
    assert known.catalog.search("nothing like it") == []
    assert known.catalog.search("  ") == []


def test_describe_tells_what_there_is_to_know(known, at):
    group = known.catalog.describe("weather")
    facts = dict(group.facts)
    assert (group.name, group.kind) == ("weather@1", "group")
    assert facts["ttl"] == "6h"
    assert facts["known"] == "served (default of historical reads)"
    assert facts["online"] == "2 keys, up to commit 1"
    assert facts["rows"] == "48"
    assert facts["last event"] == "2024-01-01T23:00:00Z"
    assert facts["retention"] == "400d"
    assert "temp between -60 and 140" in facts["checks"]
    assert "air temperature" in str(group)
    view = known.catalog.describe("departure")
    assert dict(view.facts)["reads"] == "planes@1, weather@1"
    assert dict(view.facts)["keys"] == "origin: string, tailnum: string"
    with pytest.raises(NotFoundError, match="did you mean 'weather'"):
        known.catalog.describe("whether")
    with pytest.raises(NotFoundError, match="did you mean 'departure'"):
        known.catalog.describe("departures")


def test_lineage_goes_both_ways(known):
    assert known.catalog.lineage("departure").reads == ("planes@1", "weather@1")
    assert known.catalog.lineage("weather").read_by == ("departure@1",)
    assert str(known.catalog.lineage("weather")) == "weather@1\n  -> departure@1"


def test_remove_names_the_dependants_and_then_takes_the_data_along(known, folder, weather, hourly):
    with pytest.raises(ConflictError, match="view departure@1 reads weather@1 -> remove the view first") as caught:
        known.catalog.remove("weather")
    assert caught.value.data == {"dependants": ["departure@1"]}
    assert known.online("departure", {"origin": "JFK", "tailnum": "N1"}).values["temp"] == 23.0
    assert known.catalog.remove("departure") == []
    assert known.catalog.remove("weather") == ["weather@1"]
    known._writer.upkeep.close()  # the background may be mirroring it, and deletes what it wrote
    assert list((folder / "history").glob("weather*")) == []
    for use in (
        lambda: known.online("weather", {"origin": "JFK"}),
        lambda: known.read("weather"),
        lambda: known.backfill("weather", hourly()),
        lambda: known.catalog.remove("weather"),
    ):
        with pytest.raises(NotFoundError, match=r"unknown (group|view or group|group or view) 'weather'"):
            use()
    known.apply(weather())
    assert known.online("weather", {"origin": "JFK"}).statuses["temp"] == "MISSING"  # nothing comes back
    assert len(known.read("weather")) == 0
    known.backfill("weather", hourly(1))
    assert known.catalog.commits("weather")[0].id == "weather@1:1"
    assert known.quality.doctor().healthy


def test_one_version_can_be_removed(known, weather, hourly):
    known.apply(weather(ttl="1h"))
    known.backfill("weather@2", hourly(3))
    assert known.catalog.remove("weather@2") == ["weather@2"]
    assert [group.ref for group in known.catalog.groups()] == ["planes@1", "weather@1"]
    assert len(known.read("weather")) == 48
    with pytest.raises(NotFoundError, match="did you mean 'weather@1'"):
        known.read("weather@2")


def test_a_group_that_is_removed_while_it_is_mirrored_leaves_no_folder(known, folder, monkeypatch):
    group = known._parts.registry.group("weather")
    known._writer.upkeep.close()  # the background is not to be the one
    known.catalog.remove("departure")
    mirror = type(known._parts.history).mirror

    def after_its_removal(history, table, *, live):
        monkeypatch.undo()
        known.catalog.remove("weather")
        (history.folder / table.name / "_delta_log").mkdir(parents=True)
        mirror(history, table, live=())

    monkeypatch.setattr(type(known._parts.history), "mirror", after_its_removal)
    known._writer.upkeep._mirror_now(group)
    assert list((folder / "history").glob("weather*")) == []
