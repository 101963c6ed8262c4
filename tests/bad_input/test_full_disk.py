"""A full disk: the error says so, nothing of the write is visible, and all is well once there is space."""

import os
import subprocess
from contextlib import suppress
from datetime import timedelta

import pytest

import asof
from asof import FeatureView
from asof.errors import PermanentError
from asof.serving import log as serving_log

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """Give a folder on a disk of 8 MB: the log of the registry alone may take 4 before SQLite folds it in."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def free(place):
    return os.statvfs(place).f_bavail * os.statvfs(place).f_bsize


def fill(place, left):
    with suppress(OSError), (place / "ballast").open("wb", buffering=0) as file:  # the background takes its part
        file.write(b"\1" * max(free(place) - left, 0))


@pytest.fixture
def store_on_it(small_disk, weather, good):
    with asof.open(small_disk / "features") as store:
        store.apply(weather)
        store.backfill("weather", [good])
        yield store


def many(good, count):
    letters = [chr(65 + number // 26 % 26) + chr(65 + number % 26) for number in range(26 * 26)]
    return [
        {
            **good,
            "origin": letters[n % 676] * 20 + "A" * (n // 676),
            "temp": n % 100 + 0.123,
            "time_hour": good["time_hour"] - timedelta(seconds=n),
        }
        for n in range(count)
    ]


def assert_nothing_happened(store, small_disk, commits, rows):
    (small_disk / "ballast").unlink()
    store._writer.upkeep.close()
    assert len(store.catalog.commits("weather")) == commits
    assert len(store.read("weather")) == rows
    assert store.quality.doctor(repair=True).findings == ()


def test_a_write_that_does_not_fit_leaves_nothing(store_on_it, small_disk, good):
    fill(small_disk, 64_000)
    with pytest.raises(
        PermanentError, match=r"no space for the history: .*features/history/weather.*-> free some disk space"
    ):
        store_on_it.backfill("weather", many(good, 30_000))
    assert_nothing_happened(store_on_it, small_disk, 1, 1)
    assert store_on_it.backfill("weather", many(good, 100)).number == 2


def test_a_push_that_does_not_fit_leaves_nothing(store_on_it, small_disk, good):
    fill(small_disk, 0)
    large = {**good, "origin": "LGA", "box": {"at": None, "note": "x" * 500_000}}
    with pytest.raises(PermanentError, match=r"no space for the (registry|online store)") as caught:
        store_on_it.push("weather", large)
    if "is stored" not in str(caught.value):
        assert_nothing_happened(store_on_it, small_disk, 1, 1)
    assert "free some disk space" in str(caught.value)


def test_at_every_degree_of_fullness_a_write_happens_or_does_not(store_on_it, small_disk, good):
    kept = 1
    told = []
    for number, left in enumerate(range(0, 480_000, 16_000)):
        fill(small_disk, left)
        row = {**good, "origin": "LGA", "time_hour": good["time_hour"] + timedelta(seconds=number), "code": None}
        rows = [{**row, "box": {"at": None, "note": os.urandom(40_000).hex()}}, {**row, "origin": "SFO"}]
        try:
            store_on_it.backfill("weather", rows)
            happened = True
        except PermanentError as error:
            told.append(str(error))
            happened = "is stored" in str(error)  # published, and the online store has no room
        store_on_it._writer.upkeep.close()
        (small_disk / "ballast").unlink()
        kept += 2 * happened
        assert len(store_on_it.read("weather")) == kept, left
        store_on_it._writer.recover()
        if happened:
            assert store_on_it.online("weather", {"origin": "SFO"}).event_times["temp"] == row["time_hour"]
        store_on_it.compact()
        store_on_it._writer.upkeep.sweep(now_us=2**62)
    assert store_on_it.quality.doctor(repair=True).healthy
    assert store_on_it.quality.doctor().healthy
    assert told
    assert [text for text in told if "no space" not in text or "free some disk space" not in text] == []


def test_a_serving_log_that_does_not_fit_is_counted_and_reads_go_on(store_on_it, small_disk, weather, monkeypatch):
    monkeypatch.setattr(serving_log, "RETRY_SECONDS", (0.0,))
    store_on_it.apply(weather, FeatureView("departure", features=[weather], log=1.0))

    def read(count):
        for _ in range(count):
            assert store_on_it.online("departure", {"origin": "JFK"}, request={"note": os.urandom(100).hex()}).values
        return store_on_it.quality.serving_log("departure", flush=True)

    assert read(200).written == 200
    fill(small_disk, 0)
    counts = read(3000)
    assert (counts.written, counts.failed, counts.waiting) == (200, 3000, 0)
    assert "no space for the history" in counts.last_error
    assert [f.where for f in store_on_it.quality.doctor().findings if f.where != "upkeep"] == ["serving log"]
    (small_disk / "ballast").unlink()
    assert read(300).written == 500
    assert len(store_on_it.read("departure_log")) == 500
    assert store_on_it.quality.doctor(repair=True).healthy
    assert store_on_it.quality.doctor().healthy
