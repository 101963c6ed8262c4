"""`asof.moving.copy`: what a copy answers, whatever its parts; what it refuses; and that it goes on when it was cut off."""

import os
import signal
import threading
from multiprocessing import get_context

import pytest
from tests.moving.conftest import answers, at, same

import asof
from asof import Entity, Feature, FeatureGroup
from asof.clock import system_clock
from asof.errors import ConflictError, DataWarning, NotFoundError, TransientError, UsageError
from asof.moving import carrying, copy
from asof.offline.delta import DeltaHistory
from asof.parts import open_parts


def answers_of(folder):
    with asof.open(folder, create=False) as store:
        return answers(store)


def test_a_copy_answers_as_the_store_does(folder, expected, tmp_path):
    told = []
    moved = copy(folder, tmp_path / "copy", progress=lambda done, total: told.append((done, total)))
    assert moved.diagnosis.healthy
    assert moved.carried.models == 1
    assert (moved.carried.bytes, moved.carried.bytes) in told
    same(answers_of(tmp_path / "copy"), expected)
    same(answers_of(folder), expected)
    assert (tmp_path / "copy" / "monitors.toml").exists()
    assert "all is well" in str(moved)


@pytest.mark.slow
def test_a_store_moves_from_a_folder_to_servers_and_back(folder, expected, deployment, tmp_path):
    assert copy(folder, deployment).diagnosis.healthy
    same(answers_of(deployment), expected)
    with asof.open(deployment) as store:
        store.push("profile", {"user": 9, "at": at(12), "age": 99.0, "name": "later", "about": ""})
        store.compact()
    assert copy(deployment, tmp_path / "back").diagnosis.healthy
    with asof.open(tmp_path / "back") as back, asof.open(deployment) as store:
        assert back.online("profile", {"user": 9}).values["name"] == "later"
        same(answers(back), answers(store))


def test_what_is_written_later_is_brought_by_a_second_copy(folder, tmp_path):
    copy(folder, tmp_path / "copy")
    before = files_of(tmp_path / "copy")
    with asof.open(folder) as store:
        store.write("rates", {"place": ["SFO"], "rate": [3.0]})
        store.push("profile", {"user": 9, "at": at(12), "age": 99.0, "name": "later", "about": ""})
        store.catalog.tag("after")
        expected = answers(store)
    copy(folder, tmp_path / "copy")
    same(answers_of(tmp_path / "copy"), expected)
    after = files_of(tmp_path / "copy")
    assert {name: after[name] for name in before} == before, "no file is written twice"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda store: store.write("rates", {"place": ["SFO"], "rate": [3.0]}), "commit rates@1:2"),
        (lambda store: store.catalog.tag("mine"), "tag mine"),
        (lambda store: store.keys.add("mine", {"": "reader"}), "key "),
    ],
    ids=["commit", "tag", "key"],
)
def test_what_the_target_alone_has_is_not_lost(folder, tmp_path, change, named):
    copy(folder, tmp_path / "copy")
    with asof.open(tmp_path / "copy") as store:
        change(store)
        expected = answers(store)
    with asof.open(folder) as store:
        store.push("profile", {"user": 9, "at": at(12), "age": 99.0, "name": "later", "about": ""})
    with pytest.raises(ConflictError, match=f"the target has a {named}"):
        copy(folder, tmp_path / "copy")
    same(answers_of(tmp_path / "copy"), expected)


def test_another_store_is_not_replaced(folder, tmp_path):
    with asof.open(tmp_path / "other") as store:
        store.apply(FeatureGroup("mine", entity=Entity("k", keys={"k": "string"}), features=[Feature("x", "float64")]))
        store.write("mine", {"k": ["a"], "x": [1.0]})
    with pytest.raises(ConflictError, match="the target has a group mine@1"):
        copy(folder, tmp_path / "other")
    with asof.open(tmp_path / "other") as store:
        assert len(store.read("mine")) == 1
        assert store.quality.doctor(repair=True)
        assert store.quality.doctor().healthy


def test_a_store_is_not_copied_into_itself(folder, expected, tmp_path):
    with pytest.raises(UsageError, match="the same registry"):
        copy(folder, folder)
    (tmp_path / "beside").mkdir()
    settings = tmp_path / "beside" / "asof.toml"
    settings.write_text(f'format = 1\nregistry = "sqlite:///{folder}/registry.db"\n')
    with pytest.raises(UsageError, match="the same registry"):
        copy(folder, tmp_path / "beside")
    settings.write_text(f'format = 1\nhistory = "{folder}/history/"\n')
    with pytest.raises(UsageError, match="the same history"):
        copy(folder, tmp_path / "beside")
    same(answers_of(folder), expected)


def test_what_is_no_store_is_refused(folder, tmp_path):
    with pytest.raises(NotFoundError, match="there is no store"):
        copy(tmp_path / "nothing", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    for source, target in ((folder, "asof://localhost:1"), ("asof://localhost:1", tmp_path / "copy")):
        with pytest.raises(UsageError, match="'asof://localhost:1' is no folder"):
            copy(source, target)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        copy(folder, tmp_path / "mine")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["photo"]


def die_at_file(source, target, number):
    """Copy, and die when so many files were taken over."""
    whole = DeltaHistory.adopt
    left = iter(range(number))

    def adopt(*arguments):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)

    DeltaHistory.adopt = adopt
    copy(source, target)


def test_a_copy_that_was_killed_goes_on(folder, expected, tmp_path):
    process = get_context("spawn").Process(target=die_at_file, args=(folder, tmp_path / "copy", 3))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with asof.open(tmp_path / "copy") as store:
        assert store.catalog.groups() == [], "nothing is visible yet"
    kept = files_of(tmp_path / "copy")
    copy(folder, tmp_path / "copy")
    same(answers_of(tmp_path / "copy"), expected)
    after = files_of(tmp_path / "copy")
    finished = {name: seen for name, seen in kept.items() if name.endswith(".parquet")}
    assert {name: after[name] for name in finished} == finished
    with asof.open(tmp_path / "copy") as store:
        assert store.quality.doctor().healthy, "what was half written is gone"


def test_a_store_is_copied_while_it_is_written_and_its_files_are_merged_and_go(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(carrying, "WRITERS", 1)
    whole, begun = DeltaHistory.adopt, threading.Event()
    with asof.open(folder) as store:
        upkeep, profile = store._writer.upkeep, store.catalog.find("profile")

        def adopt(*arguments):
            if not begun.is_set():
                begun.set()
                store.write("rates", {"place": ["SFO"], "rate": [3.0]})
                store.compact("profile")
                upkeep.discard_replaced([profile])  # as if it had taken a quarter of an hour
            return whole(*arguments)

        monkeypatch.setattr(DeltaHistory, "adopt", adopt)
        assert copy(folder, tmp_path / "copy").diagnosis.healthy
        expected = answers(store)
    same(answers_of(tmp_path / "copy"), expected)


def test_a_file_that_is_gone_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(carrying, "ATTEMPTS", 2)
    next((folder / "history").glob("rates*/*.parquet")).unlink()
    with pytest.raises(TransientError, match=r"files of it went while they were carried.*rates@1"):
        copy(folder, tmp_path / "copy")
    with asof.open(tmp_path / "copy") as store:
        assert store.catalog.groups() == []


def test_a_damaged_file_is_carried_and_told(folder, tmp_path):
    file = next((folder / "history").glob("rates*/*.parquet"))
    body = bytearray(file.read_bytes())
    body[60] ^= 0xFF
    file.write_bytes(body)
    moved = copy(folder, tmp_path / "copy")
    assert not moved.diagnosis.healthy
    assert file.name in str(moved)


def test_a_model_without_its_files_is_told(folder, tmp_path):
    next((folder / "models").glob("*/*")).write_bytes(b"torn")
    with pytest.warns(DataWarning, match="model delay@1 is carried without its files"):
        copy(folder, tmp_path / "copy")
    with asof.open(tmp_path / "copy") as store:
        assert [model.ref for model in store.models.all()] == ["delay@1"]


def test_an_erasure_is_finished_first(folder, tmp_path):
    parts = open_parts(folder, create=False, clock=system_clock)
    parts.erasures.begin("user", b"\x90", reason="", writer="", now_us=parts.now_us())
    parts.close()
    with pytest.raises(UsageError, match="erasure 1 of user is not finished"):
        copy(folder, tmp_path / "copy")


def test_nobody_else_copies_into_it(folder, tmp_path):
    asof.open(tmp_path / "copy").close()
    with carrying.alone(tmp_path / "copy"), pytest.raises(ConflictError, match="another process works on its files"):
        copy(folder, tmp_path / "copy")


def files_of(folder):
    """Return when each data file of a store was written."""
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in (folder / "history").rglob("*.parquet")}
