"""A store with a limit of writes a second passes the suite of its port, and keeps to the limit."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import asof
from asof.clock import system_clock
from asof.errors import UsageError
from asof.online.limited import LimitedOnlineStore
from asof.online.port import Applied, Change, OnlineStore, version_head
from asof.parts import open_online
from asof.testing.online import OnlineStoreSuite

NOTED_LATE_SECONDS = 0.05
"""What comes is noted a moment after it is let go, on a busy machine."""


class TestLimited(OnlineStoreSuite):
    adapter = "memory"
    url = "memory:?max_writes_per_second=1000000"
    persistent = False
    shared = False

    def open(self, root: Path) -> OnlineStore:
        return open_online(self.url, root=str(root))


class Watched:
    """Remembers when how many rows came."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self.came: list[tuple[float, int, bool]] = []

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        self.came.append((time.monotonic(), sum(len(each.keys) for each in changes), changes[-1].final))
        return self._store.apply(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def change(commit: int, rows: int, group: int = 1) -> Change:
    keys = [number.to_bytes(4, "big") for number in range(rows)]
    return Change(group, commit - 1, commit, commit, keys, [version_head(commit, commit) + b"x"] * rows)


def test_a_large_change_comes_in_pieces_at_the_rate_asked_for() -> None:
    watched = Watched(open_online("memory:"))
    store = LimitedOnlineStore(watched, "1000")  # type: ignore[arg-type]
    assert store.apply([change(1, 450)]) == {1: Applied(1, 1)}
    assert [rows for _, rows, _ in watched.came] == [100, 100, 100, 100, 50]
    assert [final for *_, final in watched.came] == [False] * 4 + [True]
    assert watched.came[-1][0] - watched.came[0][0] >= 0.4 - NOTED_LATE_SECONDS
    assert store.count(1) == 450


def test_a_piece_is_seen_as_applying() -> None:
    inner = open_online("memory:")
    seen: list[Applied] = []

    class Looking(Watched):
        def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
            found = super().apply(changes)
            seen.append(found[1])
            return found

    LimitedOnlineStore(Looking(inner), "100").apply([change(1, 25)])  # type: ignore[arg-type]
    assert [mark.applying for mark in seen] == [True, True, False]


def test_what_belongs_together_stays_whole_and_the_next_waits_the_longer() -> None:
    watched = Watched(open_online("memory:"))
    store = LimitedOnlineStore(watched, "1000")  # type: ignore[arg-type]
    store.apply([change(1, 150, group=1), change(1, 150, group=2)])
    store.apply([change(2, 1, group=1)])
    assert [rows for _, rows, _ in watched.came] == [300, 1]
    assert watched.came[1][0] - watched.came[0][0] >= 0.3 - NOTED_LATE_SECONDS


def test_nothing_of_a_change_is_put_before_its_predecessor_and_nothing_twice() -> None:
    store = LimitedOnlineStore(open_online("memory:"), "100")
    assert store.apply([change(2, 25)]) == {1: Applied()}
    assert store.count(1) == 0
    store.apply([change(1, 3)])
    store.apply([change(2, 5)])
    assert store.apply([change(1, 25)]) == {1: Applied(2, 2)}
    assert store.count(1) == 5


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5"])
def test_a_limit_is_a_number_of_rows(given: str) -> None:
    with pytest.raises(UsageError, match="no number of rows"):
        open_online(f"memory:?max_writes_per_second={given}")


def test_loads_and_pushes_of_a_store_keep_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "asof.toml").write_text('format = 1\nonline = "lmdb:online/?max_writes_per_second=500"\n')
    user = asof.Entity("user", keys={"user": "int64"})
    group = asof.FeatureGroup("g", entity=user, event_time="ts", features=[asof.Feature("x", "float64")], online=True)
    now = system_clock()
    with asof.open(tmp_path) as store:
        store.apply(group)
        table = pa.table({"user": range(200), "ts": [now - timedelta(days=1)] * 200, "x": [1.0] * 200})
        start = time.monotonic()
        store.backfill("g", table)
        assert time.monotonic() - start >= 0.25
        start = time.monotonic()
        for number in range(50):
            store.push("g", {"user": number, "ts": now, "x": 2.0})
        assert time.monotonic() - start >= 0.08
        answers = store.online("g", [{"user": number} for number in range(200)])
        assert [each.values["x"] for each in answers] == [2.0] * 50 + [1.0] * 150
        assert not answers[0].receipt.applying
