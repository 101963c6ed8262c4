"""`asof materialize`."""

import sys

import pytest

DEFINITIONS = """
from asof import Entity, Feature, FeatureGroup

flight = Entity("flight", keys={"flight": "int64"})
flights = FeatureGroup("flights", entity=flight, event_time="sched", features=[Feature("delay", "float64")])
departures = FeatureGroup("departures", entity=flight, source=flights, transform="cli_rows:late", features=[Feature("late", "bool")])
"""
CODE = """
import pyarrow.compute as pc

def late(table):
    return table.drop_columns(["delay"]).append_column("late", pc.greater(table["delay"], 15))
"""
ROWS = "flight,sched,delay\n1,2024-01-01T06:00:00Z,5.0\n2,2024-01-01T07:00:00Z,40.0\n"


@pytest.fixture
def place(tmp_path, typed, monkeypatch):
    for name, text in (("features.py", DEFINITIONS), ("cli_rows.py", CODE), ("flights.csv", ROWS)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "cli_rows", raising=False)
    typed("init", "--bare", "store")
    typed("apply", "store", "features.py")
    typed("backfill", "store", "flights", "flights.csv")
    yield tmp_path
    sys.modules.pop("cli_rows", None)  # its file is in this test's folder


def test_a_function_of_the_present_folder_is_run_and_told(place, typed, document, error):
    assert "departures@1:1: backfill of 2 rows" in typed("materialize", "store", "departures").stdout
    assert "nothing new" in typed("materialize", "store", "departures").stdout
    again = document("materialize", "store", "departures", "--full")
    assert [commit["kind"] for commit in again["commits"]] == ["backfill", "retract"]
    assert again["rows"] == 2
    part = document("materialize", "store", "departures", "--start", "2024-01-01T06:00:00Z")
    assert part["rows"] == 1
    assert "2 commits from before retracted" in typed("materialize", "store", "departures", "--full").stdout
    assert "has no transformation" in error("materialize", "store", "flights", code=2)
    assert document("read", "store", "departures", "--latest")["data"][1]["late"] is True


def test_a_module_that_is_not_there_is_one_line(place, typed, error, monkeypatch):
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    sys.modules.pop("cli_rows", None)
    said = error("materialize", place / "store", "departures", code=2)
    assert "cli_rows:late cannot be imported: ModuleNotFoundError" in said
    assert "set PYTHONPATH" in said


FILES = """
from asof import Entity, Feature, FeatureGroup, Files

flight = Entity("flight", keys={"flight": "int64"})
parts = {"entity": flight, "event_time": "sched", "features": [Feature("delay", "float64")]}
exported = FeatureGroup("exported", source=Files("../exports"), **parts)
called = FeatureGroup("called", source="cli_rows:pages", **parts)
"""
PAGES = """
from datetime import UTC, datetime

def pages(cursor):
    if cursor is None:
        yield [{"flight": 1, "sched": datetime(2024, 1, 1, tzinfo=UTC), "delay": 5.0}], "page 1"
"""


@pytest.fixture
def outside(place, typed, monkeypatch):
    (place / "exports").mkdir()
    (place / "exports" / "a.csv").write_text(ROWS)
    (place / "files.py").write_text(FILES)
    (place / "cli_rows.py").write_text(PAGES)
    monkeypatch.delitem(sys.modules, "cli_rows", raising=False)
    monkeypatch.syspath_prepend(place)
    assert "taken from files ../exports" in typed("apply", "store", "files.py").stdout
    return place


def test_files_are_taken_as_history_and_bad_ones_are_told(outside, typed, document, error):
    taken = document("materialize", "store", "exported", "--backfill")
    assert [(each["kind"], each["rows"], each["meta"]["source"]) for each in taken["commits"]] == [
        ("backfill", 2, "a.csv")
    ]
    assert "nothing new" in typed("materialize", "store", "exported").stdout
    (outside / "exports" / "b.csv").write_text("flight,sched\n3,2024-01-01T08:00:00Z\n")
    (outside / "exports" / "c.csv").write_text(ROWS.replace("1,2024", "9,2024"))
    assert "b.csv: column 'delay' is missing" in error("materialize", "store", "exported")
    assert document("describe", "store", "exported")["facts"]["materialized"] == "2 files"
    assert document("lineage", "store", "exported")["reads"] == ["files ../exports"]


def test_a_function_of_the_present_folder_gives_rows(outside, typed, document):
    taken = document("materialize", "store", "called")
    assert [each["meta"]["source"] for each in taken["commits"]] == ['cursor "page 1"']
    assert "nothing new" in typed("materialize", "store", "called").stdout
    assert document("describe", "store", "called")["facts"]["materialized"] == "up to cursor 'page 1'"
