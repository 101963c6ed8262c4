"""What a sceptical user broke: mistakes of callers, stores that came back from backups, erasures half done."""

import shutil

import pytest

import asof
from asof import FeatureView
from asof.errors import BackendError, DataError, NotFoundError, UsageError
from asof.online.lmdb import LmdbOnlineStore

SURROGATE = "\ud800"


def row(at, temp=1.0, **parts):
    return {"origin": "JFK", "time_hour": at(23), "temp": temp, "visib": None} | parts


@pytest.fixture
def filled(store, weather, at):
    store.apply(weather(), FeatureView("departure", features=[weather()]))
    store.push("weather", row(at))
    return store


@pytest.mark.parametrize("back", ["registry.db", "all but online"])
def test_an_online_store_that_is_ahead_of_a_restored_history_is_built_anew(filled, folder, clock, at, weather, back):
    filled.close()
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    with asof.open(folder, clock=clock) as store:
        clock.move(hours=1)
        store.push("weather", row(at, 2.0, time_hour=at(24)))
        store.push("weather", row(at, 3.0, origin="LGA"))
    for name in [p.name for p in kept.iterdir()] if back != "registry.db" else ["registry.db"]:
        if name == "online" and back != "registry.db":
            continue
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        (shutil.copytree if (kept / name).is_dir() else shutil.copy)(kept / name, place)
    for path in folder.glob("registry.db-*"):
        path.unlink()
    with asof.open(folder, clock=clock) as store:
        vectors = store.online("departure", [{"origin": "JFK"}, {"origin": "LGA"}])
        assert [v.values["temp"] for v in vectors] == [1.0, None]
        assert store.replay(vectors[0].receipt).values["temp"] == 1.0
        store.push("weather", row(at, 5.0, origin="LGA"))
        assert store.online("departure", {"origin": "LGA"}).values["temp"] == 5.0
        assert store.quality.doctor().healthy


def test_other_rows_under_the_same_numbers_are_found_by_their_times(filled, folder, clock, at):
    filled.close()
    shutil.copytree(folder / "online", folder.with_name("kept"))
    with asof.open(folder, clock=clock) as store:
        store.push("weather", row(at, 2.0, origin="LGA"))
        marks = store.online("departure", {"origin": "LGA"}).receipt.commits
    assert marks == {"weather@1": 2}
    with asof.open(folder, clock=clock) as store:
        parts = store._parts
        group = parts.registry.group("weather")
        with parts.online.snapshot() as snapshot:
            mark = snapshot.applied[group.id]
        feed = store._writer.feed
        assert not feed.is_foreign(group, mark)
        other = type(mark)(mark.commit, mark.committed_at_us + 1)
        assert feed.is_foreign(group, other)
        assert feed.is_foreign(group, type(mark)(mark.commit + 1, mark.committed_at_us))


def test_a_name_with_an_at_and_no_version_means_nothing(filled):
    for ask in (filled.catalog.remove, filled.catalog.describe, filled.read, filled.catalog.commits):
        with pytest.raises(UsageError, match="'weather@' names no version -> write 'weather', or 'weather@1'"):
            ask("weather@")
    assert filled.catalog.groups()


def test_together_stores_nothing_outside_of_its_block_and_says_so(filled, at):
    tx = filled.together()
    with pytest.raises(UsageError, match="outside of its block"):
        tx.write("weather", [row(at)])
    with filled.together() as tx:
        tx.write("weather", [row(at, 9.0)])
    with pytest.raises(UsageError, match="outside of its block"):
        tx.write("weather", [row(at)])
    with pytest.raises(UsageError, match="begun before"), tx:
        pass


@pytest.mark.parametrize("empty", [[{}], [{}, {}]])
def test_rows_without_columns_are_refused(filled, empty):
    for store in (filled.push, filled.write, filled.backfill):
        with pytest.raises(DataError, match="the rows have no columns"):
            store("weather", empty)
    with pytest.raises(DataError, match="the rows have no columns"):
        filled.push("weather", {})
    assert len(filled.catalog.commits("weather")) == 1


def test_text_that_no_file_can_hold_is_refused(filled, at):
    for said in (SURROGATE, 3):
        with pytest.raises(UsageError, match="is no"):
            filled.push("weather", row(at), meta={"who": said})
        with pytest.raises(UsageError, match="is no"):
            filled.write("weather", [row(at)], idempotency_key=said)
        with pytest.raises(UsageError, match="is no"):
            filled.catalog.tag("t", message=said)
        with pytest.raises(UsageError, match="is no"):
            filled.retract("weather:1", reason=said)
        with pytest.raises(UsageError, match="is no"):
            filled.forget("airport", {"origin": "JFK"}, reason=said)
        with pytest.raises(UsageError, match="is no"):
            filled.catalog.search(said)
    assert len(filled.catalog.commits("weather")) == 1


def test_names_that_are_no_text_are_refused(filled):
    for ask in (filled.catalog.remove, filled.catalog.describe, filled.catalog.search):
        with pytest.raises(UsageError, match="text"):
            ask(None)
    with pytest.raises(NotFoundError, match="unknown entity None -> known entities: airport"):
        filled.forget(None, {"origin": "JFK"})
    with pytest.raises(NotFoundError, match="unknown feature 3"):
        filled.quality.explain("departure", {"origin": "JFK"}, feature=3)
    with pytest.raises(UsageError, match="True is no commit number"):
        filled.read("weather", commits={"weather@1": True})


@pytest.mark.parametrize("what", ["instants", "keys"])
@pytest.mark.parametrize("number", [0, -1, 1.5, "a", True, 10**7])
def test_verify_looks_at_a_number_of_things(filled, what, number):
    with pytest.raises(UsageError, match=f"{what}=.* is no number of things to look at -> pass 1 to 1,000,000"):
        filled.verify("departure", **{what: number})


def test_verify_takes_no_more_keys_than_there_are(filled):
    few, many = (filled.verify("departure", instants=3, keys=n) for n in (1, 100_000))
    assert few.compared == many.compared > 0


def test_replay_says_that_an_erasure_is_not_finished(filled, monkeypatch):
    receipt = filled.online("departure", {"origin": "JFK"}).receipt

    def broken(*_, **__):
        raise BackendError("the server is down")

    with monkeypatch.context() as patch:
        patch.setattr(LmdbOnlineStore, "erase", broken)
        with pytest.raises(BackendError, match="begun and not finished"):
            filled.forget("airport", {"origin": "JFK"})
    with pytest.raises(NotFoundError, match="is being erased by erasure 1, which is not finished"):
        filled.replay(receipt)
    filled.forget("airport", {"origin": "LGA"})
    with pytest.raises(NotFoundError, match="was erased by erasure 1"):
        filled.replay(receipt)


def test_a_store_opened_by_a_relative_path_stays_where_it_is(tmp_path, monkeypatch, clock, weather, at):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    with asof.open("features", clock=clock) as store:
        store.apply(weather())
        monkeypatch.chdir(there)
        store.push("weather", row(at))
        store.write("weather", [row(at, time_hour=at(22))])
        store.compact()
        assert store.online("weather", {"origin": "JFK"}).values["temp"] == 1.0
        assert store.read("weather").to_arrow().num_rows == 2
    assert not list(there.iterdir())
