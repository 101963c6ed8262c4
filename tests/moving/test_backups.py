"""Backups: many in a folder, each whole; and what is brought back from them."""

import pytest
from tests.moving.conftest import answers, at, same

import asof
from asof.errors import ConflictError, NotFoundError, PermanentError, UsageError
from asof.moving import backup, backups, restore
from asof.offline.delta import DeltaHistory


@pytest.fixture
def kept(tmp_path):
    """Give the folder of backups."""
    return tmp_path / "backups"


def answers_of(folder):
    with asof.open(folder, create=False) as store:
        return answers(store)


def data_files(folder):
    return {file.name: file.stat().st_mtime_ns for file in (folder / "history").rglob("*.parquet")}


def without_tags(found):
    return {part: answer for part, answer in found.items() if part != "tags"}


def test_each_backup_is_the_store_as_it_was(folder, expected, kept, tmp_path):
    first = backup(folder, kept, tag="first")
    before = data_files(kept)
    with asof.open(folder) as store:
        store.write("rates", {"place": ["LGA"], "rate": [3.0]})
        store.push("profile", {"user": 9, "at": at(12), "age": 99.0, "name": "later", "about": ""})
        later = answers(store)
    second = backup(folder, kept)
    assert (second.files, second.commits) == (first.files + 1, first.commits + 2)
    after = data_files(kept)
    assert {name: after[name] for name in before} == before, "no file is written twice"
    names = [each.name for each in backups(kept)]
    assert names[1:] == ["first"]
    assert names[0].startswith("backup-20")
    assert restore(kept, tmp_path / "first", tag="first").diagnosis.healthy
    assert restore(kept, tmp_path / "newest").diagnosis.healthy
    same(without_tags(answers_of(tmp_path / "first")), without_tags(expected))
    same(without_tags(answers_of(tmp_path / "newest")), without_tags(later))
    with asof.open(tmp_path / "newest") as store:
        assert {tag.name for tag in store.catalog.tags()} == {"then", *names}
        assert store.read("rates", commits="first").to_arrow()["rate"].to_pylist() == [1.0, 2.0]


@pytest.mark.slow
def test_a_folder_is_restored_to_servers_and_servers_to_a_folder(folder, expected, kept, deployment, tmp_path):
    backup(folder, kept)
    assert restore(kept, deployment).diagnosis.healthy
    same(without_tags(answers_of(deployment)), without_tags(expected))
    backup(deployment, tmp_path / "others", tag="of-servers")
    assert restore(tmp_path / "others", tmp_path / "back").diagnosis.healthy
    same(without_tags(answers_of(tmp_path / "back")), without_tags(expected))


def test_old_backups_go_with_the_files_that_no_other_one_names(folder, kept, tmp_path):
    backup(folder, kept, tag="one")
    with asof.open(folder) as store:
        for rate in range(3):
            store.write("rates", {"place": ["LGA"], "rate": [float(rate)]})
        store.compact()
        expected = answers(store)
    backup(folder, kept, tag="two", keep=2)
    assert [each.name for each in backups(kept)] == ["two", "one"]
    both = data_files(kept)
    backup(folder, kept, tag="three", keep=2)
    assert [each.name for each in backups(kept)] == ["three", "two"]
    assert data_files(kept).keys() < both.keys()
    for name in ("two", "three"):
        restore(kept, tmp_path / name, tag=name)
        same(without_tags(answers_of(tmp_path / name)), without_tags(expected))


def test_a_backup_that_failed_leaves_no_name_behind(folder, kept, tmp_path, monkeypatch):
    whole = DeltaHistory.adopt

    def adopt(history, path, near):
        if "rates" in path:
            raise PermanentError("no space for the history")
        return whole(history, path, near)

    with monkeypatch.context() as patch:
        patch.setattr(DeltaHistory, "adopt", adopt)
        with pytest.raises(PermanentError, match="no space"):
            backup(folder, kept, tag="nightly")
    assert backups(kept) == []
    with pytest.raises(NotFoundError, match="there is no backup"):
        restore(kept, tmp_path / "back")
    backup(folder, kept, tag="nightly")
    assert restore(kept, tmp_path / "back").diagnosis.healthy


def test_a_name_is_given_once(folder, kept):
    with pytest.raises(ConflictError, match="then"):
        backup(folder, kept, tag="then")
    with asof.open(folder) as store:
        assert "then" in [tag.name for tag in store.catalog.tags()]
    assert backups(kept) == []


def test_what_is_not_there_is_named(folder, kept, tmp_path):
    with pytest.raises(NotFoundError, match="no folder of backups"):
        restore(kept, tmp_path / "back")
    backup(folder, kept, tag="nightly")
    with pytest.raises(NotFoundError, match="nightly"):
        restore(kept, tmp_path / "back", tag="nihgtly")
    with pytest.raises(NotFoundError, match="there is no store"):
        backup(tmp_path / "nothing", kept)
    with pytest.raises(UsageError, match="'s3://bucket/backups' is no folder"):
        backup(folder, "s3://bucket/backups")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        backup(folder, tmp_path / "mine")
    with pytest.raises(UsageError, match="no folder of backups"):
        backup(folder, tmp_path / "mine" / "photo")
    with pytest.raises(UsageError, match="no number of backups"):
        backup(folder, kept, keep=-1)
    (kept / "asof-backup").write_text("2\n")
    with pytest.raises(UsageError, match="newer asof"):
        backups(kept)


def test_a_store_with_other_commits_is_not_replaced(folder, kept, tmp_path):
    backup(folder, kept)
    with asof.open(folder) as store:
        store.write("rates", {"place": ["LGA"], "rate": [3.0]})
        expected = answers(store)
    with pytest.raises(ConflictError, match="the target has a commit rates@1:2"):
        restore(kept, folder)
    same(answers_of(folder), expected)


def test_a_file_that_is_gone_from_a_backup_is_told(folder, kept, tmp_path):
    backup(folder, kept)
    next((kept / "history").glob("rates*/*.parquet")).unlink()
    with pytest.raises(PermanentError, match="a data file of it is gone"):
        restore(kept, tmp_path / "back")
