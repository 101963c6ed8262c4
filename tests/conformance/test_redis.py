"""Redis passes the suite that asof ships."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asof.online.port import Applied, OnlineStore
from asof.testing.adapters import open_adapter
from asof.testing.online import OnlineStoreSuite
from asof.testing.online_model import change_of
from asof.testing.servers import RedisServer


class TestRedis(OnlineStoreSuite):
    adapter = "redis"
    holds_snapshots = False
    waits = True

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def served(cls, redis_server: RedisServer) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASOF_TEST_REDIS", redis_server.url)  # the suite's processes inherit it
            yield

    def open(self, root: Path) -> OnlineStore:
        return open_adapter("online", self.adapter, os.environ["ASOF_TEST_REDIS"], root=str(root))


PIECE = "asof.online.redis.PIECE_ROWS"


@pytest.mark.slow
class TestRedisUnfolded(TestRedis):
    """Nearly every change is large, and its writer dies before it is folded in: it lies beside the rows."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def unfolded(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PIECE, 2)
            patch.setattr("asof.online.redis.RedisOnlineStore._fold_soon", lambda *_: None)
            yield

    def test_large_steps_are_not_skipped_where_another_process_cleared_what_came_before(self, tmp_path: Path) -> None:
        store, other = self.open(tmp_path), self.open(tmp_path)
        store.apply([change_of(1, {b"a": (1, b"one")})])
        other.clear(1)
        step = change_of(2, {b"a": (2, b"two"), b"b": (2, b"two"), b"c": (2, b"two")}, final=False)
        found = store.apply([change_of(1, {b"z": (1, b"one")}), step])
        assert found == {1: Applied(1, 10, applying=True)}
        assert store.count(1) == 4
        for each in (store, other):
            each.close()

    def test_many_rows_and_many_groups(self, store: OnlineStore) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PIECE, 3000)
            super().test_many_rows_and_many_groups(store)

    def test_a_change_of_many_rows_is_visible_in_one_step(self, store: OnlineStore) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PIECE, 1000)
            super().test_a_change_of_many_rows_is_visible_in_one_step(store)
