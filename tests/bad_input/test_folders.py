"""Folders that cannot be a store, or not by us: what is wrong, where, what to do; and nothing is made."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import asof
from asof.errors import NotFoundError, PermanentError, UsageError


def listing(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    before = listing(tmp_path)
    for create in (True, False):
        with pytest.raises((UsageError, NotFoundError)) as caught:
            asof.open(tmp_path, create=create)
        assert str(tmp_path) in str(caught.value)
    with pytest.raises(
        UsageError, match=r"is not a store, and not empty -> choose an empty folder; a store has a file asof.toml"
    ):
        asof.open(tmp_path)
    with pytest.raises(UsageError, match=r"notes.txt' is a file, no folder"):
        asof.open(tmp_path / "notes.txt")
    with pytest.raises(NotFoundError, match=r"there is no store in '.*absent' -> `asof init .*absent` makes one"):
        asof.open(tmp_path / "absent", create=False)
    assert listing(tmp_path) == before


def test_what_another_process_has_begun_to_make_is_no_obstacle(folder):
    folder.mkdir()
    (folder / ".asof.toml.12345").write_text("format = 1\n")
    with asof.open(folder) as store:
        assert store.catalog.groups() == []


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "format = 2\n",
            UsageError,
            r"the store has format 2, this asof reads up to 1 .*asof.toml\] -> a newer asof wrote it: upgrade",
        ),
        ("format = \n", UsageError, r"the settings cannot be read: .*asof.toml"),
        ("", UsageError, r"no format number .*-> add: format = 1"),
        ('format = 1\nhistroy = "x"\n', NotFoundError, r"unknown setting 'histroy' .*did you mean 'history'"),
        ('format = 1\nonline = "dynamo://x"\n', NotFoundError, r"unknown online adapter 'dynamo'.*lmdb, memory"),
        ('format = 1\nregistry = "nonsense"\n', NotFoundError, r"unknown registry adapter 'nonsense'"),
    ],
)
def test_settings_that_we_do_not_understand_are_refused(tmp_path, text, error, message):
    (tmp_path / "asof.toml").write_text(text)
    before = listing(tmp_path)
    with pytest.raises(error, match=message):
        asof.open(tmp_path)
    assert [name for name, _ in listing(tmp_path) if "asof.toml" in name] == [name for name, _ in before]


def test_a_registry_of_a_newer_version_is_refused_and_left_alone(store, folder):
    store.close()
    with closing(sqlite3.connect(folder / "registry.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = (folder / "registry.db").read_bytes()
    with pytest.raises(
        UsageError, match=r"the registry has schema 9999, this asof knows up to \d+ .*registry.db\] -> a newer asof"
    ):
        asof.open(folder)
    assert (folder / "registry.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty page"])
def test_a_damaged_registry_is_named(store, folder, damage):
    store.close()
    file = folder / "registry.db"
    content = file.read_bytes()
    broken = {
        "garbage": b"x" * len(content),
        "cut": content[: len(content) // 2],
        "empty page": content[:100] + bytes(4096),
    }
    file.write_bytes(broken[damage])
    with pytest.raises(
        PermanentError, match=r"the registry is damaged: .*registry.db\] -> bring the file back from a backup"
    ):
        asof.open(folder)


WITHOUT_RIGHTS = """
import os, sys
from datetime import UTC, datetime
import asof
row = {"origin": "SFO", "time_hour": datetime(2024, 1, 1, 5, tzinfo=UTC), "temp": 1.0, "runways": 1, "open": True,
       "code": "A", "parts": None, "box": None}
try:
    store = asof.open(sys.argv[1])
    store.backfill("weather", [row])
except asof.errors.PermanentError as error:
    print(error)
"""


def run_without_rights(folder):
    """Write as somebody who must respect permissions: root does not, unless it gives up its capabilities."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root respects no permissions, and there is no setpriv to give them up")
        prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*prefix, sys.executable, "-W", "error", "-c", WITHOUT_RIGHTS, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locked", "message"),
    [
        (".", "the registry cannot be written"),
        ("online", "the online store cannot be written"),
        ("history", "the history cannot be written"),
    ],
)
def test_a_read_only_folder_is_named_and_nothing_is_written(store, folder, locked, message):
    store.close()
    before = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places = [path for path in [folder / locked, *(folder / locked).rglob("*")] if not path.is_symlink()]
    modes = {path: path.stat().st_mode for path in places}
    for path in places:
        path.chmod(modes[path] & ~0o222)
    try:
        told = run_without_rights(folder)
    finally:
        for path in places:
            path.chmod(modes[path])
    assert message in told
    assert str(folder / locked.strip(".")) in told
    assert "permissions" in told
    assert {path for path in before if "online" not in path} <= {str(path) for path in folder.rglob("*")}
    with asof.open(folder, clock=store._clock) as again:
        assert len(again.read("weather")) == 2
        assert again.quality.doctor().healthy


def test_a_store_in_a_read_only_place_cannot_be_made(tmp_path):
    place = tmp_path / "locked"
    place.mkdir(mode=0o555)
    told = run_without_rights(place / "features")
    assert "the folder cannot be used: Permission denied" in told
    assert str(place / "features") in told
    assert list(place.iterdir()) == []
