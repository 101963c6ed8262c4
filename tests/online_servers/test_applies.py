"""One apply, and what may happen to the server or the wire in the middle of it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from asof.errors import TransientError
from asof.online.port import Applied, Change
from asof.parts import open_online
from asof.testing.online_model import applied, change_of, get, row_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("when", ["asked", "asking"])
def test_an_apply_whose_answer_is_lost_is_done_once(through_proxy, proxy, when):
    store = through_proxy
    store.apply([change_of(1, {b"k": (1, b"one"), b"gone": (1, b"one")})])
    proxy.when = when
    for commit in range(2, 6):
        proxy.cuts = 1
        change = change_of(commit, {b"k": (commit, b"new"), b"gone": None}, replace=True)
        assert store.apply([change]) == {1: Applied(commit, commit * 10)}
        assert (get(store, b"k"), get(store, b"gone")) == (row_of(commit, commit, b"new"), None)
    proxy.cuts = 1
    assert get(store, b"k") == row_of(5, 5, b"new")


@pytest.mark.parametrize("when", ["asked", "asking"])
def test_an_apply_that_is_cut_each_time_says_so_and_can_be_repeated(through_proxy, proxy, when):
    store = through_proxy
    store.apply([change_of(1, {b"k": (1, b"one")})])
    proxy.when, proxy.cuts = when, 1000
    start = time.monotonic()
    with pytest.raises(TransientError, match="cannot be reached") as refused:
        store.apply([change_of(2, {b"k": (2, b"two")})])
    assert time.monotonic() - start < 10
    assert f"127.0.0.1:{proxy.port}" in refused.value.where
    assert refused.value.todo
    proxy.cuts = 0
    assert store.apply([change_of(2, {b"k": (2, b"two")})]) == {1: Applied(2, 20)}
    assert get(store, b"k") == row_of(2, 2, b"two")


@pytest.mark.parametrize("final", [True, False])
def test_what_another_process_cleared_is_not_taken_for_applied(backend, online, tmp_path, monkeypatch, final):
    monkeypatch.setattr("asof.online.redis.PIECE_ROWS", 2)  # what follows is large
    first = change_of(1, {b"k": (1, b"one")})
    online.apply([first])
    other = open_online(backend.url, root=str(tmp_path))
    other.clear(1)
    large = change_of(1, {b"%d" % number: (1, b"v") for number in range(9)}, group=2, final=final)
    online.apply([first, large])
    assert (get(other, b"k"), applied(other).commit) == (row_of(1, 1, b"one"), 1)
    assert (other.count(2), applied(other, 2)) == (9, Applied(1, 10) if final else Applied(0, 0, applying=True))
    other.close()


@pytest.mark.parametrize("loss", ["empty", "go_back", "restart"])
def test_a_commit_in_steps_is_not_ended_where_its_first_steps_may_be_lost(online, backend, loss):
    if loss == "go_back":
        backend.save()
    online.apply([change_of(1, {b"a": (1, b"one")}, final=False)])
    if loss == "restart":
        backend.server.kill()
        backend.server.start()
    else:
        getattr(backend, loss)()
    with pytest.raises(TransientError, match="while commit 1 was applied in steps"):
        online.apply([change_of(1, {b"b": (1, b"one")})])
    assert applied(online).commit == 0
    online.apply([change_of(1, {b"a": (1, b"one")}, final=False)])
    assert online.apply([change_of(1, {b"b": (1, b"one")})]) == {1: Applied(1, 10)}
    assert (get(online, b"a"), online.count(1)) == (row_of(1, 1, b"one"), 2)


def test_large_changes_survive_a_server_that_is_killed_meanwhile(online, backend):
    keys = [b"%06d" % number for number in range(30_000)]
    online.apply([change_of(1, dict.fromkeys(keys[::2], (1, b"one")))])

    def persist(change):
        for _ in range(60):
            try:
                return online.apply([change])
            except TransientError:
                time.sleep(0.1)
        raise AssertionError(change.commit)

    with ThreadPoolExecutor(1) as pool:
        for commit in range(2, 6):
            change = change_of(commit, dict.fromkeys(keys, (commit, b"new")), replace=commit % 2 == 1)
            written = pool.submit(persist, change)
            time.sleep(0.03 * commit)
            backend.server.kill()
            backend.server.start()
            assert written.result(timeout=60) == {1: Applied(commit, commit * 10)}
            with online.snapshot() as snapshot:
                assert set(snapshot.get([(1, key) for key in keys])) == {row_of(commit, commit, b"new")}
            assert online.count(1) == len(keys)


def test_erased_bytes_are_in_no_file_of_the_server(online, backend):
    secret = b"a-secret-of-somebody"
    online.apply([change_of(1, {b"%d" % number: (1, b"%d-" % number + secret) for number in range(500)})])
    online.apply([change_of(2, {b"7": (2, b"7-newer-" + secret)})])
    backend.command(["CONFIG", "SET", "rdbcompression", "no"], "CHECKPOINT")
    assert found(backend, b"7-newer-" + secret)
    assert online.erase(1, [b"7"]) == 1
    backend.command(["PING"], "CHECKPOINT")
    assert not found(backend, b"\x007-" + secret)
    assert not found(backend, b"7-newer-" + secret)
    assert found(backend, b"8-" + secret), "the others are there"
    assert online.apply([Change(1, 2, 3, 30)]) == {1: Applied(3, 30)}


def found(backend, text):
    """Whether the server's tables hold bytes; PostgreSQL's log of changes is its own, and goes round."""
    folder = backend.server.folder
    files = [path for path in folder.rglob("*") if path.is_file() and "pg_wal" not in path.parts]
    return any(text in content(path) for path in files)


def content(path):
    """Return a file's bytes; none if the server took it away meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
