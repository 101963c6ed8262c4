"""`asof split`, and the hint that names it."""

from datetime import UTC, datetime

import asof
from asof import Entity, Feature, FeatureGroup
from asof.cli.app import app

GROUP = FeatureGroup(
    "profile",
    entity=Entity("customer", keys={"id": "int64"}),
    event_time="day",
    features=[Feature("balance", "float64"), Feature("country", "string"), Feature("born", "int64")],
    on_unchanged="skip",
)


def load(project, day, balance):
    lines = [f"{number},2026-03-{day:02}T00:00:00Z,{balance + number},PT,1990" for number in range(10)]
    return project.write(f"{day}.csv", "\n".join(["id,day,balance,country,born", *lines, ""]))


def test_a_write_names_the_command_that_stores_cold_features_apart_and_the_command_does_it(project, typed, document):
    with asof.open(project.store, clock=lambda: datetime(2026, 3, 20, tzinfo=UTC)) as store:
        store.apply(GROUP)
    assert "asof split" not in typed("backfill", project.store, "profile", load(project, 1, 0)).stdout
    said = " ".join(typed("backfill", project.store, "profile", load(project, 2, 1)).stdout.split())
    command = f"asof split {project.store} profile@1 --cold country,born"
    assert said.replace(" ", "").endswith(command.replace(" ", "")), said
    found = document(*command.split()[1:])
    assert found == {
        "group": "profile@1",
        "hot": ["balance"],
        "cold": ["country", "born"],
        "tables": found["tables"],
        "last": {"commit": "profile@1:2", "compared": 10, "changed": 10, "changed_cold_at_most": 0},
    }
    assert found.keys() == app.get_command(None, "split").shape.keys()
    assert found["last"].keys() == app.get_command(None, "split").shape["last"].keys()
    again = typed(*command.split()[1:]).stdout
    assert "profile@1 is split" in again
    assert "10 of 10 rows compared had changed" in again
    assert "asof split" not in typed("backfill", project.store, "profile", load(project, 3, 2)).stdout
    assert "stored apart: country, born" in typed("describe", project.store, "profile").stdout


def test_a_split_that_makes_no_sense_is_refused_in_one_line(project, error):
    assert "on_unchanged=" in error("split", project.store, "weather", "--cold", "visib", code=2)
    assert "which features" in error("split", project.store, "weather", "--cold", ",", code=2)
