"""A Delta log that a power cut tore: deltalake does not sync it, and it only mirrors what the commit log says."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

import asof
from asof import Entity, Feature, FeatureGroup
from asof.ingest import upkeep

pytestmark = pytest.mark.slow

AT = datetime(2024, 1, 1, tzinfo=UTC)
GROUP = FeatureGroup("g", entity=Entity("thing", {"k": "int64"}), event_time="t", features=[Feature("x", "int64")])


def write(store, key):
    store.backfill("g", [{"k": key, "t": AT, "x": key}])
    store._writer.upkeep.work()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a store that wrote its Delta log three times."""
    monkeypatch.setattr(upkeep, "BACKGROUND", False)
    folder = tmp_path / "features"
    with asof.open(folder) as store:
        store.apply(GROUP)
        for key in range(3):
            write(store, key)
    return folder


def tear(folder, which, how):
    torn = sorted(folder.glob("history/*/_delta_log/*.json"))[which]
    if how == "gone":
        torn.unlink()
    else:
        os.truncate(torn, 0 if how == "empty" else torn.stat().st_size // 2)


@pytest.mark.parametrize("how", ["empty", "half", "gone"])
@pytest.mark.parametrize("which", [0, 1, -1])
@pytest.mark.parametrize("mends", ["write", "compact", "doctor"])
def test_a_torn_delta_log_is_made_anew(folder, which, how, mends):
    tear(folder, which, how)
    with asof.open(folder) as store:
        if mends == "write":
            write(store, 3)
        elif mends == "compact":
            store.compact()
        else:
            assert store.quality.doctor(repair=True).healthy
        assert store._writer.upkeep.failures == {}
        assert len(store.read("g")) == 3 + (mends == "write")
        (table,) = folder.glob("history/g@*")
        mirrored = {Path(uri).name for uri in DeltaTable(str(table)).file_uris()}
        assert mirrored == {Path(path).name for path, live in store._parts.log.files().items() if live}
