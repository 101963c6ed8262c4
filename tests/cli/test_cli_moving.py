"""`asof copy`, `asof backup` and `asof restore`, as typed."""

import pytest

import asof
from asof.cli.app import app


@pytest.fixture
def store(project):
    return project.store


def said(name):
    """Return what `--json` says that it prints."""
    return app.get_command(None, name).shape.keys()


def test_a_store_is_copied(document, typed, error, store, tmp_path):
    found = document("copy", store, tmp_path / "copy")
    assert found.keys() == said("copy")
    assert found["healthy"]
    assert found["commits"] > 0
    assert "all is well" in typed("copy", store, tmp_path / "copy").stdout
    with asof.open(store) as here, asof.open(tmp_path / "copy") as there:
        assert there.catalog.commits() == here.catalog.commits()
        there.catalog.tag("mine")
    assert "the target has a tag mine" in error("copy", store, tmp_path / "copy")
    assert "the same registry" in error("copy", store, store, code=2)
    assert "there is no store" in error("copy", tmp_path / "nothing", tmp_path / "else")


def test_a_damaged_copy_is_told(document, store, tmp_path):
    document("copy", store, tmp_path / "copy")
    next((tmp_path / "copy" / "history").rglob("*.parquet")).write_bytes(b"PAR1 torn")
    assert document("copy", store, tmp_path / "copy")["healthy"], "it is mended by what is copied"


def test_backups_are_kept_and_restored(document, typed, error, store, tmp_path):
    found = document("backup", store, tmp_path / "backups", "--tag", "one")
    assert found.keys() == said("backup")
    assert found["backup"] == "one"
    assert "backup two" in typed("backup", store, tmp_path / "backups", "--tag", "two", "--keep", "1").stdout
    assert [each["name"] for each in document("backup", store, tmp_path / "backups")["backups"]][1:] == ["two"]
    found = document("restore", tmp_path / "backups", tmp_path / "again", "--tag", "two")
    assert found.keys() == said("restore")
    assert found["healthy"]
    assert "two" in error("restore", tmp_path / "backups", tmp_path / "else", "--tag", "tow")
    assert "no folder of backups" in error("restore", tmp_path, tmp_path / "else")
    assert "0" in error("backup", store, tmp_path / "backups", "--keep", "0", code=2)
