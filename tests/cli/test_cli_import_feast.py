"""`asof import feast`: what people see, and what `--json` says."""

import pytest
from tests.cli.test_cli_commands import same_shape
from tests.feast.conftest import TEMPLATE, trips, written

from asof.cli.commands.import_feast import SHAPE


@pytest.fixture
def repository(tmp_path):
    folder = written(tmp_path / "repo", features=TEMPLATE)
    trips(folder)
    return folder


def test_without_out_nothing_is_written(typed, document, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = typed("import", "feast", repository).stdout
    assert "driver_trips = FeatureGroup(" in lines
    assert "to look at:\n  features.py:" in lines
    assert lines.endswith("nothing was written yet: --out FILE.py writes these 2 groups and 3 views\n")
    found = document("import", "feast", repository)
    assert (found["out"], found["applied"]) == (None, None)
    assert found["text"].startswith('"Features of the Feast project rides')
    assert [each.name for each in tmp_path.iterdir()] == ["repo"]


def test_a_file_is_written_applied_and_loaded(typed, document, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = document("import", "feast", repository, "--out", "cli_rides.py", "--apply", "store")
    assert same_shape(SHAPE, found | {"settings": {"online": ""}})
    assert [each["name"] for each in found["groups"]] == ["driver_trips", "driver_trips_fresh"]
    assert found["groups"][0]["load"] == "asof materialize store driver_trips --backfill"
    assert found["functions"] == ["score", "good"]
    assert found["applied"]["anything"]
    assert document("plan", "store", "cli_rides.py")["anything"] is False
    typed("materialize", "store", "driver_trips", "--backfill")
    vector = document("online", "store", "ranking", "driver_id=1", "bonus=3", "more=1.5")
    assert vector["keys"] == {"driver_id": 1}
    text = typed("import", "feast", repository, "--out", "again.py").stdout
    assert "2 groups and 3 views in again.py" in text
    assert "must find again.py" in text
    assert "asof materialize STORE driver_trips --backfill" in text


def test_what_cannot_be_done_is_said(error, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("")
    assert "say with --out where" in error("import", "feast", repository, "--apply", "store", code=2)
    assert "is there already" in error("import", "feast", repository, "--out", "there.py", code=2)
    assert "is no module" in error("import", "feast", repository, "--out", "my-features.py", code=2)
    assert "there is no folder" in error("import", "feast", repository, "--out", "none/x.py", code=2)
    (tmp_path / "empty").mkdir()
    assert "no feature view is defined there" in error("import", "feast", tmp_path / "empty", "--out", "x.py", code=2)
    assert not (tmp_path / "x.py").exists()
