"""Object storage that is busy, slow, cut off, or lies: nothing is lost, nothing is wrong, nothing waits for ever."""

import itertools
import os
import resource
import signal
import threading
import time
from pathlib import Path

import obstore
import pytest
from deltalake import DeltaTable
from obstore.store import from_url
from tests.objects.weather import row, temps

import asof
from asof.errors import PermanentError, TransientError
from asof.offline import objects
from asof.testing.processes import exit_code_of, in_processes

EXPECTED = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0, 22.0, 22.0, 22.0, 22.0]


def names(bucket):
    store = from_url(bucket, client_options={"allow_http": True})
    return [entry["path"] for entry in obstore.list(store).collect()]


def data(bucket):
    return [name for name in names(bucket) if name.endswith(".parquet") and "_delta_log" not in name]


def empty(cache):
    for place in cache.glob("*/files/*"):
        place.unlink()


def every(number, fault, methods=("GET", "PUT", "POST", "DELETE", "HEAD")):
    """Let every so-manyth request fail."""
    count = itertools.count(1)
    return lambda method, _: fault if method in methods and next(count) % number == 0 else None


@pytest.mark.parametrize("fault", ["busy", "broken", "cut", "lost", "half"])
def test_a_fault_now_and_then_is_not_noticed(fault, store, proxy, cache, bucket):
    proxy.fault = every(8 if fault == "half" else 3, fault)  # deltalake begins anew when an answer broke off
    store.backfill("weather", [row("JFK", 9, 30.0)])
    store._writer.upkeep.close()
    empty(cache)
    assert temps(store) == [*EXPECTED[:9], 30.0, 30.0, 30.0]
    store.compact()
    empty(cache)
    assert temps(store) == [*EXPECTED[:9], 30.0, 30.0, 30.0]
    proxy.fault = lambda *_: None
    assert proxy.faults >= 5
    assert store.quality.doctor(repair=True).healthy
    (group,) = store.catalog.groups()
    options = {"allow_http": "true", "endpoint": proxy.endpoint}
    mirrored = DeltaTable(f"{bucket}/weather@1.{group.id}", storage_options=options).to_pyarrow_dataset().to_table()
    assert mirrored.num_rows == 19


@pytest.mark.parametrize("fault", ["busy", "cut"])
def test_a_write_that_cannot_be_stored_is_a_transient_error_and_leaves_nothing(fault, store, proxy, cache, bucket):
    store._writer.upkeep.close()
    before, copies = data(bucket), sorted(cache.rglob("*.part")) + sorted(cache.glob("*/files/*"))
    proxy.fault = lambda method, _: fault if method == "PUT" else None
    begun = time.monotonic()
    with pytest.raises(TransientError, match=r"the object storage failed.*try again later"):
        store.backfill("weather", [row("JFK", 9, 30.0)])
    assert time.monotonic() - begun < 20
    assert proxy.faults > 3  # with rests in between
    proxy.fault = lambda *_: None
    assert data(bucket) == before
    assert sorted(cache.rglob("*.part")) + sorted(cache.glob("*/files/*")) == copies
    assert temps(store) == EXPECTED
    store.backfill("weather", [row("JFK", 9, 30.0)])
    assert temps(store)[9] == 30.0
    assert store.quality.doctor().healthy


def test_a_read_that_cannot_be_answered_is_a_transient_error_and_the_next_one_is_answered(store, proxy, cache):
    empty(cache)
    proxy.fault = lambda *_: "busy"
    with pytest.raises(TransientError, match="SlowDown") as caught:
        temps(store)
    assert "secret-of-tests" not in str(caught.value)
    proxy.fault = lambda *_: None
    assert temps(store) == EXPECTED
    assert not list(cache.rglob("held/*/*.p*"))


@pytest.mark.slow
def test_a_storage_that_does_not_answer_is_asked_again_and_given_up_on(folder, store, proxy, cache, monkeypatch):
    store.close()
    monkeypatch.setattr(objects, "REQUEST_SECONDS", 1)
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 6)
    with asof.open(folder) as opened:
        empty(cache)
        proxy.fault = lambda *_: "hang" if proxy.faults < 2 else None
        assert temps(opened) == EXPECTED
        empty(cache)
        proxy.fault = lambda *_: "hang"
        begun = time.monotonic()
        with pytest.raises(TransientError, match="the object storage failed"):
            temps(opened)
        assert time.monotonic() - begun < 30
        proxy.fault = lambda *_: None
        time.sleep(3)


def test_an_object_with_other_bytes_is_a_permanent_error_that_names_it(store, bucket, cache):
    store._writer.upkeep.close()
    place = from_url(bucket, client_options={"allow_http": True})
    name = data(bucket)[0]
    content = bytes(obstore.get(place, name).bytes())
    for damaged in (content[:-1] + b"?", content[:-10], content + b"more"):
        obstore.put(place, name, damaged)
        empty(cache)
        if len(damaged) <= len(content):
            with pytest.raises((PermanentError, TransientError)) as caught:
                temps(store)
            assert name in str(caught.value)
        assert name.rpartition("/")[2] in str(store.quality.doctor())
    obstore.put(place, name, content)
    assert temps(store) == EXPECTED
    obstore.delete(place, name)
    empty(cache)
    with pytest.raises(TransientError, match="a data file is gone"):
        temps(store)


def _write_much(folder):
    import pyarrow as pa

    count = 600_000
    noise = pa.array([os.urandom(24).hex() for _ in range(count)])
    times = pa.array(range(count), pa.int64()).cast(pa.timestamp("us", "UTC"))
    zeros = pa.array([0.0] * count)
    with asof.open(folder) as store:
        store.backfill("weather", pa.table({"origin": noise, "at": times, "temp": zeros, "sky": noise}))


def _killed_in_mid_upload(folder, seen):
    def kill():
        while not Path(seen).exists():
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    _write_much(folder)


@pytest.mark.slow
def test_a_writer_killed_in_mid_upload_leaves_nothing_that_counts(
    store, folder, proxy, bucket, s3_server, cache, tmp_path
):
    store._writer.upkeep.close()
    before = data(bucket)

    def fault(method, path):
        if method == "POST" and "uploads" in path:
            (tmp_path / "seen").touch()
            proxy.bytes_per_second = 4_000_000

    proxy.fault = fault
    assert exit_code_of(_killed_in_mid_upload, str(folder), str(tmp_path / "seen")) == -signal.SIGKILL
    proxy.bytes_per_second = 0
    assert data(bucket) == before
    assert temps(store) == EXPECTED
    time.sleep(0.5)
    with asof.open(folder) as again:
        assert temps(again) == EXPECTED
        again.quality.doctor(repair=True)
        diagnosis = again.quality.doctor()
        assert diagnosis.healthy, str(diagnosis)
        assert not list(cache.rglob("*.part"))
        _write_much(str(folder))
        assert again.read("weather").to_arrow().num_rows == 18 + 600_000
    # Its parts are no objects: only a rule of the bucket removes them (docs/object-storage.md).
    assert s3_server.request("GET", "?uploads").count(b"<Upload>") <= 1


@pytest.mark.slow
def test_an_upload_that_fails_in_the_middle_is_aborted(store, folder, proxy, bucket, s3_server):
    before, uploads = data(bucket), s3_server.request("GET", "?uploads").count(b"<Upload>")
    proxy.fault = lambda _, path: "busy" if "partNumber=3" in path else None
    with pytest.raises(TransientError):
        _write_much(str(folder))
    proxy.fault = lambda *_: None
    assert data(bucket) == before
    assert s3_server.request("GET", "?uploads").count(b"<Upload>") == uploads


def _write_few(folder, worker):
    with asof.open(folder) as store:
        for number in range(4):
            store.backfill("weather", [row(f"A{worker}", number, float(number))])
            store.compact()


@pytest.mark.slow
def test_several_writers_under_faults_lose_nothing(store, folder, proxy, bucket):
    count = itertools.count(1)
    faults = itertools.cycle(["busy", "cut", "lost", "half", "broken"])
    proxy.fault = lambda *_: next(faults) if next(count) % 9 == 0 else None
    in_processes(_write_few, [(str(folder), worker) for worker in range(3)])
    proxy.fault = lambda *_: None
    assert proxy.faults > 10
    assert store.quality.doctor(repair=True).healthy
    assert store.read("weather").to_arrow().num_rows == 18 + 12
    (group,) = store.catalog.groups()
    options = {"allow_http": "true", "endpoint": proxy.endpoint}
    table = DeltaTable(f"{bucket}/weather@1.{group.id}", storage_options=options)
    assert table.to_pyarrow_dataset().to_table().num_rows == 18 + 12


def _transfer(bucket, place):
    files = objects.ObjectFiles(bucket)
    part = Path("g@1.1/x.parquet.part")
    with files.create(part) as file:
        for _ in range(32):
            file.write(os.urandom(8 * 2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    name = files.rename(part, Path("g@1.1/x.parquet"))
    for copy in Path(place).glob("*/files/*"):
        copy.unlink()
    with files.near(Path(), [objects.DataFile(str(name), 1, 2**28, 0, 0)]):
        pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files.close()
    return (after - before) / 1024


@pytest.mark.slow
def test_the_memory_of_a_transfer_does_not_grow_with_the_file(bucket, cache):
    (grown,) = in_processes(_transfer, [(bucket, str(cache))])
    assert grown < 200, f"{grown:.0f} MB for a file of 256 MB"
