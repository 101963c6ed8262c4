"""Rows that are erased leave no byte in LMDB's file, and none that comes back with later writes."""

import pytest

from asof.errors import TransientError
from asof.online.lmdb import LmdbOnlineStore
from asof.online.port import Change, version_head

NEEDLE = b"needle-in-the-hay"


def put(store, commit, rows, *, group=1):
    keys = sorted(rows)
    values = [version_head(commit, commit) + rows[key] for key in keys]
    store.apply([Change(group, commit - 1, commit, commit, keys, values)])


def found(folder):
    return (folder / "online" / "data.mdb").read_bytes().count(NEEDLE)


@pytest.fixture
def store(tmp_path):
    opened = LmdbOnlineStore("lmdb:online/", root=str(tmp_path))
    yield opened
    opened.close()


def test_no_byte_of_an_erased_row_is_left(store, tmp_path):
    plain = {b"k%05d" % n: b"v" * (n % 50) for n in range(5000)}
    first = {key: row + NEEDLE for key, row in list(plain.items())[::7]}
    keyed = {b"%05d" % n + NEEDLE: b"x" * n for n in range(0, 3000, 100)}  # some on pages of their own
    put(store, 1, plain | first | keyed)
    put(store, 2, dict.fromkeys(list(first)[::2], b"newer"))  # old versions lie on free pages
    assert found(tmp_path)
    assert store.erase(1, [*first, *keyed, b"absent"]) == len(first) + len(keyed)
    assert found(tmp_path) == 0
    put(store, 3, {b"later%d" % n: b"y" * 40 for n in range(3000)})
    assert found(tmp_path) == 0
    with store.snapshot() as snapshot:
        assert snapshot.applied[1].commit == 3
        kept = [key for key in plain if key not in first]
        assert snapshot.get([(1, key) for key in kept]) == [version_head(1, 1) + plain[key] for key in kept]
        assert snapshot.get([(1, key) for key in first]) == [None] * len(first)
    assert store.count(1) == len(kept) + 3000
    assert store.check() == []


def test_other_groups_keep_their_rows(store):
    put(store, 1, {b"k": NEEDLE}, group=1)
    put(store, 1, {b"k": NEEDLE}, group=2)
    assert store.erase(1, [b"k"]) == 1
    assert (store.count(1), store.count(2)) == (0, 1)
    assert store.erase(7, [b"k"]) == 0


def test_a_long_read_is_told(store, tmp_path):
    store.patience_seconds = 0.2
    put(store, 1, {b"k": NEEDLE})
    with store.snapshot(), pytest.raises(TransientError, match="end long reads"):
        store.erase(1, [b"k"])
    assert store.erase(1, [b"k"]) == 0
    assert found(tmp_path) == 0
