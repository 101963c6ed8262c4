"""Forgotten rows are in no object, and in no copy on this machine; another machine's go when it opens the store."""

import subprocess

import obstore
import pytest
from obstore.store import from_url
from tests.objects.weather import WEATHER, row, temps

import asof

NEEDLE = b"needle-anna"


def copies(cache):
    """Return the files of a cache that hold the needle, in their raw bytes."""
    done = subprocess.run(["grep", "-rlaF", NEEDLE, cache], capture_output=True, check=False)
    return done.stdout.decode().split()


def objects(bucket):
    """Return the objects that hold the needle."""
    store = from_url(bucket, client_options={"allow_http": True})
    names = [entry["path"] for entry in obstore.list(store).collect()]
    return [name for name in names if NEEDLE in bytes(obstore.get(store, name).bytes())]


def fill(store):
    store.apply(WEATHER)
    for day in range(3):
        rows = [row(o, 3 * day + h, 10.0 * day + h) for o in ("JFK", "needle-anna") for h in range(3)]
        store.backfill("weather", rows)
    store.push("weather", [row("needle-anna", 10, 1.0)])


def test_nothing_of_a_forgotten_key_is_left_in_bucket_and_cache(folder, bucket, cache):
    with asof.open(folder) as store:
        fill(store)
        before = temps(store)
        with_answers = store.read("weather", latest=True).to_arrow()
        assert with_answers.num_rows == 2
        assert len(copies(cache)) >= 3
        assert len(objects(bucket)) >= 3
        certificate = store.forget("airport", {"origin": "needle-anna"}, reason="asked by mail")
        assert copies(cache) == []
        assert objects(bucket) == []
        assert "cache" in certificate.places
        assert "file caches of other machines" in str(certificate)
        assert {name.rpartition("-")[2] for each in certificate.erased for name in [f.before for f in each.files]} == {
            f"{f.before_sha256}.parquet" for each in certificate.erased for f in each.files
        }
        assert temps(store) == before
        assert store.read("weather").to_arrow().num_rows == 9
        assert store.quality.doctor().healthy
    assert copies(cache) == []


def test_copies_that_a_reader_holds_are_deleted_too(folder, bucket, cache):
    with asof.open(folder) as store:
        fill(store)
        files = [file for file, _ in store._parts.log.snapshot(store.catalog._parts.registry.group("weather")).files]
        with store._parts.history.near(files):
            store.forget("airport", {"origin": "needle-anna"})
            assert copies(cache) == []


@pytest.mark.slow
def test_the_copies_of_another_machine_go_when_it_opens_the_store(folder, bucket, cache, tmp_path, monkeypatch):
    with asof.open(folder) as store:
        fill(store)
    there = tmp_path / "there"
    monkeypatch.setenv("ASOF_CACHE", str(there))
    with asof.open(folder) as store:
        temps(store)
    assert copies(there)
    monkeypatch.setenv("ASOF_CACHE", str(cache.parent))
    with asof.open(folder) as store:
        store.forget("airport", {"origin": "needle-anna"})
    assert copies(there)  # it is another machine's
    monkeypatch.setenv("ASOF_CACHE", str(there))
    with asof.open(folder):
        assert copies(there) == []


def test_copies_of_files_that_were_compacted_elsewhere_go_with_an_erasure(folder, bucket, cache, tmp_path, monkeypatch):
    with asof.open(folder) as store:
        fill(store)
        temps(store)
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "there"))
    with asof.open(folder) as store:
        store.compact()
        store._writer.upkeep.sweep(now_us=store._parts.now_us(), grace_us=-1)
    assert copies(cache)
    monkeypatch.setenv("ASOF_CACHE", str(cache.parent))
    with asof.open(folder) as store:
        store.forget("airport", {"origin": "needle-anna"})
    assert copies(cache) == []
    assert objects(bucket) == []


def test_a_training_set_lies_in_the_bucket_and_loses_rows_there(folder, bucket, cache):
    with asof.open(folder) as store:
        fill(store)
        known = store.read("weather").to_arrow()
        spine = known.select(["origin", WEATHER.event_time]).rename_columns(["origin", "t"])
        made = store.training_set("bucket-1", "weather", spine, time="t")
        assert made.rebuild().to_arrow().equals(made.to_arrow())
        certificate = store.forget("airport", {"origin": "needle-anna"})
        assert certificate.training_sets == (made.ref,)
        assert objects(bucket) == copies(cache) == []
        found = store.training_set("bucket-1")
        assert set(found.to_arrow().column("origin").to_pylist()) == {"JFK"}
        assert store.quality.doctor().healthy
