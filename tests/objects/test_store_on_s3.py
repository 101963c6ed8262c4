"""A store whose history lies on S3 is a store: every verb does what it does on a folder."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import obstore
import pytest
from deltalake import DeltaTable
from obstore.store import from_url
from tests.objects.weather import NOON, WEATHER, row, temps

import asof
from asof.testing.processes import exit_code_of, in_processes


def played(folder, clock):
    """Play one life of a store and give all its answers."""
    said = []
    with asof.open(folder, clock=clock) as store:
        store.apply(WEATHER)
        for day in range(3):
            store.backfill("weather", [row(o, 3 * day + h, 10.0 * day + h) for o in ("JFK", "LGA") for h in range(3)])
        said.append(temps(store))
        wrong = store.write("weather", [row("JFK", 9, -99.0)])
        store.push("weather", [row("LGA", 10, 5.0)])
        store.catalog.tag("before")
        store.retract(wrong, reason="wrong")
        store.retire("weather", {"origin": "LGA"}, event_time=row("", 11, 0)["at"])
        said += [temps(store), temps(store, commits="before")]
        store.compact()
        said += [temps(store), temps(store, commits="before"), store.read("weather").to_arrow().to_pylist()]
        said += [store.read("weather", end=row("", 2, 0)["at"], latest=True).to_arrow().to_pylist()]
        assert store.verify("weather").defects == ()
        erased = store.forget("airport", {"origin": "LGA"})
        said.append([(each.place, each.what, each.rows) for each in erased.erased])
        said.append(store.read("weather", clocks=True).to_arrow().to_pylist())
        diagnosis = store.quality.doctor()
        assert diagnosis.healthy, str(diagnosis)
    with asof.open(folder, clock=clock) as store:
        said.append(temps(store))
        said.append(store.online("weather", {"origin": "JFK"}).values)
    return said


@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
def test_a_life_on_s3_gives_the_answers_of_one_in_a_folder(folder, tmp_path):
    assert played(folder, clock=lambda: NOON) == played(tmp_path / "local", clock=lambda: NOON)
    assert not (folder / "history").exists()


def test_others_read_the_delta_tables_in_the_bucket(store, bucket, proxy):
    (group,) = store.catalog.groups()
    store._writer.upkeep.close()
    options = {"allow_http": "true", "endpoint": proxy.endpoint}
    table = DeltaTable(f"{bucket}/weather@1.{group.id}", storage_options=options)
    assert table.to_pyarrow_dataset().to_table().num_rows == 18


def test_files_of_the_same_bytes_are_files_of_their_own(store, folder, cache):
    rows = [row("BOS", h, float(h)) for h in range(3)]
    first, second = store.backfill("weather", rows), store.backfill("weather", rows)
    assert len(list(cache.glob("*/files/*"))) == 4
    stored = store.read("weather", start=None, clocks=True).to_arrow().to_pylist()
    found = sorted(each["__commit"] for each in stored if each["origin"] == "BOS")
    assert found == sorted([first.number, second.number] * 3)
    store.retract(first, reason="twice")
    store.compact()
    assert store.read("weather").to_arrow().num_rows == 18 + 3


def test_names_of_objects_end_with_the_hash_of_their_bytes(store, bucket):
    objects = from_url(bucket, client_options={"allow_http": True})
    names = [entry["path"] for entry in obstore.list(objects).collect() if "_delta_log" not in entry["path"]]
    data = [name for name in names if name.endswith(".parquet")]
    assert len(data) == 3
    for name in data:
        assert name.endswith(f"-{hashlib.sha256(bytes(obstore.get(objects, name).bytes())).hexdigest()}.parquet")


def test_the_second_read_asks_the_storage_for_nothing(store, answers, proxy, cache):
    first = answers(store)
    shutil.rmtree(next(cache.glob("*/files")))
    next(cache.glob("*/names")).with_name("files").mkdir()
    store._writer.upkeep.close()
    del proxy.requests[:]
    assert answers(store) == first
    assert [method for method, _ in proxy.requests] == ["GET"] * 3
    del proxy.requests[:]
    assert answers(store) == first
    assert proxy.requests == []


def test_a_repair_deletes_copies_of_files_that_are_no_more(store, cache):
    assert len(list(cache.glob("*/files/*"))) == 3
    (next(cache.glob("*/files")) / ("0" * 64)).write_bytes(b"a copy of a file that another machine has replaced")
    store.quality.doctor()
    assert len(list(cache.glob("*/files/*"))) == 4
    store.quality.doctor(repair=True)
    assert len(list(cache.glob("*/files/*"))) == 3


def test_opening_a_store_asks_the_storage_for_nothing(store, folder, proxy):
    store.close()
    del proxy.requests[:]
    with asof.open(folder) as again:
        assert len(again.catalog.groups()) == 1
    assert proxy.requests == []


def test_files_that_are_later_than_the_spine_or_out_of_the_range_are_not_fetched(store, answers, proxy, cache):
    for place in cache.glob("*/files/*"):
        place.unlink()
    store._writer.upkeep.close()
    del proxy.requests[:]
    assert answers(store, hours=range(3)) == [0.0, 1.0, 2.0]
    assert len(proxy.requests) == 1
    got = store.read("weather", start=row("", 5, 0)["at"]).to_arrow()
    assert sorted(set(got["temp"].to_pylist())) == [20.0, 21.0, 22.0]
    assert len(proxy.requests) == 2


def test_an_explained_read_tells_all_files_and_the_time_of_fetching(store):
    spine = {"origin": ["JFK"], "T": [row("", 1, 0)["at"]]}
    frame = store.historical("weather", spine, time="T", known="event", explain=True)
    assert "3 files" in str(frame.report.plan) or "of 3" in str(frame.report.plan), str(frame.report.plan)
    assert "fetch" in str(frame.report.plan)


def test_a_history_that_was_copied_from_a_folder_is_read_and_goes_on(tmp_path, bucket, answers, proxy, cache):
    folder = tmp_path / "moved"
    with asof.open(folder) as store:
        store.apply(WEATHER)
        store.backfill("weather", [row("JFK", h, float(h)) for h in range(6)])
        before = answers(store)
    objects = from_url(bucket, client_options={"allow_http": True})
    for place in (folder / "history").rglob("*"):
        if place.is_file():
            obstore.put(objects, str(place.relative_to(folder / "history")), place)
    shutil.rmtree(folder / "history")
    (folder / "asof.toml").write_text(f'format = 1\nhistory = "{bucket}"\n')
    with asof.open(folder) as store:
        assert answers(store) == before
        del proxy.requests[:]
        assert answers(store) == before
        assert proxy.requests == []
        store.backfill("weather", [row("JFK", h, float(h)) for h in range(6, 12)])
        assert answers(store) == [float(h) for h in range(12)]
        store.compact()
        assert answers(store) == [float(h) for h in range(12)]
        assert store.quality.doctor().healthy


def _write(folder, worker):
    with asof.open(folder) as store:
        for number in range(4):
            store.backfill("weather", [row(f"A{worker}", number, float(number))])


@pytest.mark.slow
def test_of_what_several_processes_write_nothing_is_lost(store, folder, bucket, proxy):
    in_processes(_write, [(str(folder), worker) for worker in range(2)])
    assert store.read("weather").to_arrow().num_rows == 18 + 8
    assert store.quality.doctor(repair=True).healthy
    (group,) = store.catalog.groups()
    options = {"allow_http": "true", "endpoint": proxy.endpoint}
    table = DeltaTable(f"{bucket}/weather@1.{group.id}", storage_options=options)
    assert table.to_pyarrow_dataset().to_table().num_rows == 18 + 8


def _forked(store):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        temps(store)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a child of pytest must end here
        os._exit(2 if "spawn" in str(error) else 3)


def _fork_and_read(folder, cache):
    with asof.open(folder) as store:
        assert store.quality.doctor().healthy  # reads the objects themselves
        temps(store)
        here = _forked(store)
        for place in Path(cache).glob("*/files/*"):
            place.unlink()
        os._exit(0 if (here, _forked(store)) == (0, 2) else 1)


@pytest.mark.slow
def test_a_forked_process_reads_from_the_cache_and_says_what_it_cannot_reach(store, folder, cache):
    del store
    assert exit_code_of(_fork_and_read, str(folder), str(cache)) == 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://key:secret@bucket/x", "credentials, endpoint and region come from variables"),
        ("s3://bucket/x?secret=1", "s3://BUCKET/PREFIX and nothing else"),
        ("s3:///x", "names no bucket"),
    ],
)
def test_a_url_that_is_no_place_or_holds_a_secret_is_refused(url, says, tmp_path, monkeypatch):
    monkeypatch.setenv("ASOF_HISTORY", url)
    with pytest.raises(asof.errors.UsageError, match=says) as caught:
        asof.open(tmp_path / "s")
    assert "secret=1" not in str(caught.value)
    assert "key:secret" not in str(caught.value)


def test_a_storage_without_its_settings_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASOF_HISTORY", "az://container/x")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(asof.errors.UsageError, match=r"Account must be specified \[az://container/x\]"):
        asof.open(tmp_path / "s")


def test_a_bucket_that_is_not_there_is_named(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("ASOF_HISTORY", "s3://no-such-bucket/x")
    with asof.open(tmp_path / "s") as store:
        store.apply(WEATHER)
        with pytest.raises(asof.errors.PermanentError, match=r"there is no such bucket \[s3://no-such-bucket/x/"):
            store.backfill("weather", [row("JFK", 1, 1.0)])


@pytest.mark.slow
def test_without_the_package_the_message_names_the_extra(tmp_path):
    program = (
        "import sys; sys.modules['obstore'] = None\nimport asof\n"
        "try: asof.open('s')\n"
        "except asof.errors.MissingDependencyError as error: print(error)"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", program],
        env=os.environ | {"ASOF_HISTORY": "s3://b/x"}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 'pip install "asof[objects]"' in done.stdout
