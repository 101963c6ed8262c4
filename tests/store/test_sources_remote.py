"""A server takes rows from files and functions that its own process named, whoever asks it to; and from no others."""

import importlib
import sys

import pytest

from asof import Entity, Feature, FeatureGroup, FeatureView, Files
from asof.errors import UnsupportedError, UsageError

airport = Entity("airport", keys={"origin": "string"})
TEXT = "origin,time_hour,temp\nJFK,2024-01-01T01:00:00Z,5.0\n"
CODE = "def rows(cursor):\n    yield [] if cursor else [{'origin': 'LGA', 'time_hour': None, 'temp': 1.0}], 1\n"


def weather(source, name="weather"):
    return FeatureGroup(
        name, entity=airport, event_time="time_hour", source=source, features=[Feature("temp", "float64")]
    )


@pytest.fixture
def applied(store, place, tmp_path):
    """Give a store whose own process applied a group of files."""
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "a.csv").write_text(TEXT)
    (store if place == "embedded" else store._opened).apply(weather(Files("../exports")))
    return store


def test_anybody_who_may_write_runs_it(applied, at):
    told = []
    (commit,) = applied.materialize("weather", backfill=True, progress=lambda *done: told.append(done))
    assert (commit.rows, commit.kind, commit.meta["source"]) == (1, "backfill", "a.csv")
    assert applied.materialize("weather") == []
    assert applied.read("weather", clocks=True).to_arrow().column("__available_at").to_pylist() == [at(1)]
    assert applied.catalog.find("weather").definition == weather(Files("../exports"))
    assert dict(applied.catalog.describe("weather").facts)["source"] == "files ../exports"
    assert applied.catalog.lineage("weather").reads == ("files ../exports",)
    assert [kind.kind for kind in applied.materialize("weather", full=True)] == ["write", "retract"]
    with pytest.raises(UsageError, match="taken from files"):
        applied.write("weather", [])


def test_a_client_names_no_file_and_no_function(applied, place, tmp_path, monkeypatch):
    if place == "embedded":
        return
    (tmp_path / "feeds_of_client.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    for group in (weather(Files("/etc/*.csv")), weather(Files("../exports")), weather("feeds_of_client:rows")):
        sys.modules.pop("feeds_of_client", None)
        for act in (applied.plan, applied.apply):
            with pytest.raises(UnsupportedError, match="not taken from a client"):
                act(group)
        assert "feeds_of_client" not in sys.modules
    other = weather(Files("/etc"), name="other")
    with pytest.raises(Exception, match="not registered"):
        applied.apply(FeatureView("view", features=[other["temp"]]))
    applied.apply(FeatureView("view", features=[weather(Files("../exports"))["temp"]]))
    applied.materialize("weather")
    assert [group.ref for group in applied.catalog.groups()] == ["weather@1"]
