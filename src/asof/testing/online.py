"""The conformance suite of the online port.

class TestLmdb(OnlineStoreSuite):
    adapter = "lmdb"
    url = "lmdb:online/"
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asof.online.port import HEAD_BYTES, Applied, Change, OnlineStore, StaleSnapshotError, version_head, version_of
from asof.testing.adapters import open_adapter
from asof.testing.online_model import KEYS, Model, applied, change_of, changes_of, get, row_of
from asof.testing.online_until import UntilSuite
from asof.testing.processes import exit_code_of, in_processes

searched = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None)


class OnlineStoreSuite(UntilSuite):
    """What every online store must do; see `asof.online.port.OnlineStore`.

    Attributes:
        adapter: Name of the entry point.
        url: What a store's settings would say.
        persistent: Whether rows outlive a close, and two opens of one place are one store.
        shared: Whether several processes may use it at the same time.
        holds_snapshots: Whether a snapshot answers from its state whatever others write; else it raises
            StaleSnapshotError where it cannot.
        waits: Whether an answer waits for another process.
    """

    adapter: ClassVar[str]
    url: ClassVar[str]
    persistent: ClassVar[bool] = True
    shared: ClassVar[bool] = True
    holds_snapshots: ClassVar[bool] = True
    waits: ClassVar[bool] = False

    def open(self, root: Path) -> OnlineStore:
        """Open the store in a folder; the same folder is the same store, if it is persistent."""
        return open_adapter("online", self.adapter, self.url, root=str(root))

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Callable[[], OnlineStore]]:
        """Give a function that opens the store under test."""
        stores: list[OnlineStore] = []

        def opened() -> OnlineStore:
            stores.append(self.open(tmp_path))
            return stores[-1]

        yield opened
        for store in stores:
            store.close()

    @pytest.fixture
    def store(self, opened: Callable[[], OnlineStore]) -> OnlineStore:
        """Give a store that is empty."""
        return opened()

    def test_it_says_whether_an_answer_waits_for_another_process(self, store: OnlineStore) -> None:
        assert store.waits is self.waits

    def test_the_order_of_heads_is_the_version_order(self) -> None:
        versions = [(e, c) for e in (-(2**62), -1, 0, 1, 2**62) for c in (0, 1, 255, 256, 2**40)]
        heads = [version_head(event, commit) for event, commit in versions]
        assert heads == sorted(heads)
        assert [version_of(head + b"payload") for head in heads] == versions
        assert {len(head) for head in heads} == {HEAD_BYTES}

    def test_a_row_with_a_later_event_time_wins(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (10, b"one")})])
        store.apply([change_of(2, {b"k": (20, b"two")})])
        assert get(store, b"k") == row_of(20, 2, b"two")

    def test_a_late_row_replaces_no_newer_one(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (20, b"one")})])
        store.apply([change_of(2, {b"k": (10, b"late")})])
        assert get(store, b"k") == row_of(20, 1, b"one")
        assert applied(store).commit == 2

    def test_of_equal_event_times_the_later_commit_wins(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (10, b"one")})])
        store.apply([change_of(2, {b"k": (10, b"two")})])
        assert get(store, b"k") == row_of(10, 2, b"two")

    def test_event_times_before_1970_are_before_later_ones(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (5, b"one")})])
        store.apply([change_of(2, {b"k": (-5, b"two")})])
        assert get(store, b"k") == row_of(5, 1, b"one")

    def test_a_retirement_competes_like_any_row_and_has_an_empty_payload(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (10, b"one")})])
        store.apply([change_of(2, {b"k": (20, b"")})])
        assert get(store, b"k") == row_of(20, 2, b"")
        store.apply([change_of(3, {b"k": (15, b"late")})])
        assert get(store, b"k") == row_of(20, 2, b"")
        store.apply([change_of(4, {b"k": (30, b"back")})])
        assert get(store, b"k") == row_of(30, 4, b"back")

    def test_replace_sets_older_rows_too(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (10, b"one")})])
        store.apply([change_of(2, {b"k": (20, b"two")})])
        old = row_of(10, 1, b"one")
        store.apply([Change(1, 2, 3, 30, [b"k"], [old], replace=True)])
        assert get(store, b"k") == old

    def test_replace_with_nothing_deletes(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (10, b"one"), b"b": (10, b"one")})])
        store.apply([change_of(2, {b"a": None, b"b": (5, b"two"), b"never there": None}, replace=True)])
        assert get(store, b"a") is None
        assert get(store, b"b") == row_of(5, 2, b"two")
        assert store.count(1) == 1
        store.apply([change_of(3, {b"a": (1, b"three")})])
        assert get(store, b"a") == row_of(1, 3, b"three")

    def test_a_commit_that_is_applied_already_is_skipped(self, store: OnlineStore) -> None:
        first = change_of(1, {b"k": (10, b"one")})
        again = change_of(1, {b"k": (99, b"other"), b"new": (1, b"x")})
        assert store.apply([first]) == {1: Applied(1, 10)}
        assert store.apply([again]) == {1: Applied(1, 10)}
        assert get(store, b"k") == row_of(10, 1, b"one")
        assert get(store, b"new") is None

    def test_a_change_that_comes_too_early_applies_nothing_at_all(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (10, b"one")})])
        fits = change_of(1, {b"k": (10, b"two")}, group=2)
        early = change_of(3, {b"k": (30, b"three")})
        assert store.apply([fits, early]) == {1: Applied(1, 10), 2: Applied()}
        assert store.apply([early, fits]) == {1: Applied(1, 10), 2: Applied()}
        assert get(store, b"k") == row_of(10, 1, b"one")
        assert get(store, b"k", group=2) is None
        assert store.count(2) == 0

    def test_a_change_may_skip_numbers_if_nothing_lies_between(self, store: OnlineStore) -> None:
        store.apply([change_of(5, {b"k": (10, b"one")}, after=0)])
        assert store.apply([change_of(9, {b"k": (11, b"two")}, after=5)]) == {1: Applied(9, 90)}
        assert store.apply([change_of(12, after=3)]) == {1: Applied(12, 120)}, "it comes after more than it needs"

    def test_several_commits_of_a_group_apply_in_one_step(self, store: OnlineStore) -> None:
        assert store.apply([change_of(1, {b"a": (1, b"x")}), change_of(2, {b"a": (2, b"y"), b"b": (1, b"z")})]) == {
            1: Applied(2, 20)
        }
        assert get(store, b"a") == row_of(2, 2, b"y")
        assert store.apply([change_of(2, {b"a": (9, b"no")}), change_of(3, {b"a": (3, b"yes")})]) == {1: Applied(3, 30)}
        assert get(store, b"a") == row_of(3, 3, b"yes")

    def test_groups_have_keys_and_commits_of_their_own(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"k": (1, b"one")}), change_of(1, {b"k": (2, b"two")}, group=2)])
        store.apply([change_of(2, {b"k": (3, b"three")}, group=2)])
        assert get(store, b"k") == row_of(1, 1, b"one")
        assert get(store, b"k", group=2) == row_of(3, 2, b"three")
        assert (applied(store).commit, applied(store, 2).commit) == (1, 2)

    def test_a_commit_without_rows_is_applied(self, store: OnlineStore) -> None:
        assert store.apply([change_of(1)]) == {1: Applied(1, 10)}
        assert applied(store) == Applied(1, 10)
        assert store.apply([]) == {}

    def test_steps_of_a_commit_are_visible_but_it_is_applied_with_the_last(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one")})])
        assert store.apply([change_of(2, {b"a": (2, b"two")}, final=False)]) == {1: Applied(1, 10, applying=True)}
        assert applied(store) == Applied(1, 10, applying=True)
        assert get(store, b"a") == row_of(2, 2, b"two")
        assert store.apply([change_of(2, {b"b": (2, b"two")}, final=False)]) == {1: Applied(1, 10, applying=True)}
        assert store.apply([change_of(2, {b"c": (2, b"two")})]) == {1: Applied(2, 20)}
        assert applied(store) == Applied(2, 20)
        assert store.count(1) == 3

    def test_the_first_commit_of_a_group_may_come_in_steps(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one")}, final=False)])
        assert applied(store) == Applied(0, 0, applying=True)
        assert get(store, b"a") == row_of(1, 1, b"one")

    def test_steps_that_were_broken_off_can_be_done_again(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one")}, final=False)])
        store.apply([change_of(1, {b"a": (1, b"one")}, final=False)])
        store.apply([change_of(1, {b"b": (1, b"one")})])
        assert (applied(store), store.count(1)) == (Applied(1, 10), 2)
        store.apply([change_of(2, {b"a": (2, b"two")}, final=False)])
        assert store.apply([change_of(3, {b"a": (3, b"three")}, after=1)]) == {1: Applied(3, 30)}
        assert store.apply([change_of(2, {b"b": (2, b"two")})]) == {1: Applied(3, 30)}, "overtaken"
        assert get(store, b"b") == row_of(1, 1, b"one")

    # ---- reading

    def test_an_empty_store_has_nothing(self, store: OnlineStore) -> None:
        with store.snapshot() as snapshot:
            assert dict(snapshot.applied) == {}
            assert snapshot.get([(1, b"k"), (7, b"k")]) == [None, None]
            assert snapshot.get([]) == []
        assert store.count(1) == 0
        assert store.check() == []
        assert not store.suspect
        assert store.mended == ""

    def test_rows_come_in_the_order_of_the_requests(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"a"), b"b": (1, b"b")}), change_of(1, {b"a": (2, b"c")}, group=2)])
        with store.snapshot() as snapshot:
            found = snapshot.get([(2, b"a"), (1, b"zz"), (1, b"b"), (1, b"a"), (3, b"a"), (1, b"b")])
            many = snapshot.get_many([(3, [b"a"]), (1, [b"b", b"zz", b"b"]), (2, []), (2, [b"a"])])
        assert many == [[None], [row_of(1, 1, b"b"), None, row_of(1, 1, b"b")], [], [row_of(2, 1, b"c")]]
        assert found == [row_of(2, 1, b"c"), None, row_of(1, 1, b"b"), row_of(1, 1, b"a"), None, row_of(1, 1, b"b")]

    def test_keys_and_rows_are_bytes_of_any_kind(self, store: OnlineStore) -> None:
        keys = [b"\0", b"\0\0", b"a", b"a\0", b"a\0\0", b"ab", b"\xff" * 511, b"x" * 510, b"x" * 511]
        large = bytes(range(256)) * 4096  # the largest row, 1 MB
        store.apply([change_of(1, {key: (1, key) for key in keys} | {b"large": (1, large)})])
        with store.snapshot() as snapshot:
            assert snapshot.get([(1, key) for key in keys]) == [row_of(1, 1, key) for key in keys]
            assert snapshot.get([(1, b"large")]) == [row_of(1, 1, large)]

    def test_many_rows_and_many_groups(self, store: OnlineStore) -> None:
        puts = {b"%06d" % number: (number % 7, b"%d" % number) for number in range(20_000)}
        store.apply([change_of(1, puts)])
        store.apply([change_of(2, dict.fromkeys(puts, (3, b"new")))])
        assert store.count(1) == 20_000
        with store.snapshot() as snapshot:
            found = snapshot.get([(1, key) for key in puts])
        newer = [row_of(3, 2, b"new") if event <= 3 else row_of(event, 1, value) for event, value in puts.values()]
        assert found == newer
        store.apply([change_of(1, {b"k": (1, b"%d" % group)}, group=group) for group in range(2, 302)])
        with store.snapshot() as snapshot:
            assert len(snapshot.applied) == 301
            assert snapshot.get([(301, b"k"), (2, b"k")]) == [row_of(1, 1, b"301"), row_of(1, 1, b"2")]

    def test_a_snapshot_stays_as_it_was_while_others_write(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one"), b"b": (1, b"one")})])
        with ThreadPoolExecutor(1) as pool:
            with store.snapshot() as snapshot:
                before = snapshot.get([(1, b"a")])
                written = pool.submit(store.apply, [change_of(2, {b"a": (2, b"two"), b"b": (2, b"two")})])
                for _ in range(20):
                    threading.Event().wait(0.001)
                    assert snapshot.applied[1] == Applied(1, 10)
                    with self.or_stale():
                        assert snapshot.get([(1, b"a"), (1, b"b")]) == [*before, row_of(1, 1, b"one")]
                seen = snapshot.applied
            assert written.result(timeout=30) == {1: Applied(2, 20)}
        assert seen[1] == Applied(1, 10), "receipts are made from it after the snapshot is closed"
        assert get(store, b"b") == row_of(2, 2, b"two")

    def or_stale(self) -> AbstractContextManager[object]:
        """Allow a snapshot that cannot answer any more to say so, if the store holds none open."""
        return nullcontext() if self.holds_snapshots else suppress(StaleSnapshotError)

    @pytest.mark.parametrize("first", ["rows", "applied"])
    @pytest.mark.parametrize("meanwhile", ["newer", "gone", "older", "cleared", "erased", "new group"])
    def test_all_answers_of_a_snapshot_are_of_one_state(self, store: OnlineStore, first: str, meanwhile: str) -> None:
        store.apply([change_of(1, dict.fromkeys((b"a", b"b", b"same"), (1, b"one")))])
        change: dict[str, Callable[[], object]] = {
            "newer": lambda: store.apply([change_of(2, {b"b": (2, b"two")})]),
            "gone": lambda: store.apply([change_of(2, {b"b": None}, replace=True)]),
            "older": lambda: store.apply([Change(1, 1, 2, 20, [b"b"], [row_of(0, 1)], replace=True)]),
            "cleared": lambda: store.clear(1),
            "erased": lambda: store.erase(1, [b"b"]),
            "new group": lambda: store.apply([change_of(1, {b"b": (1, b"new")}, group=2)]),
        }
        with ThreadPoolExecutor(1) as pool:
            with store.snapshot() as snapshot:
                seen = snapshot.get([(1, b"a")]) if first == "rows" else snapshot.applied
                changed = pool.submit(change[meanwhile])
                threading.Event().wait(0.05)
                with self.or_stale():
                    assert snapshot.get([(1, b"b"), (2, b"b")]) == [row_of(1, 1, b"one"), None]
                assert dict(snapshot.applied) == {1: Applied(1, 10)}
                if meanwhile in {"newer", "new group"}:
                    assert snapshot.get([(1, b"same")]) == [row_of(1, 1, b"one")], "nobody changed that"
                assert seen in ([row_of(1, 1, b"one")], {1: Applied(1, 10)})
            changed.result(timeout=30)

    def test_readers_see_all_groups_of_a_step_or_none(self, store: OnlineStore) -> None:
        done = threading.Event()
        keys = [(group, key) for group in (1, 2, 3) for key in (b"a", b"b")]

        def read() -> int:
            reads = 0
            while not done.is_set() or not reads:
                with store.snapshot() as snapshot:
                    rows = set(snapshot.get(keys))
                    commits = {mark.commit for mark in snapshot.applied.values()}
                assert len(commits) <= 1
                assert rows == ({row_of(c, c) for c in commits} or {None})
                reads += 1
            return reads

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            try:
                for commit in range(1, 101):
                    puts = {b"a": (commit, b"v"), b"b": (commit, b"v")}
                    store.apply([change_of(commit, puts, group=group) for group in (1, 2, 3)])
            finally:
                done.set()
            assert all(reader.result(timeout=60) for reader in readers)

    def test_a_change_of_many_rows_is_visible_in_one_step(self, store: OnlineStore) -> None:
        keys = [b"%06d" % number for number in range(12_000)]
        store.apply([change_of(1, dict.fromkeys(keys, (1, b"one"))), change_of(1, {b"k": (1, b"one")}, group=2)])
        asked = [(2, b"k"), *((1, key) for key in keys[::400])]
        done = threading.Event()

        def read() -> int:
            reads = 0
            while not done.is_set() or not reads:
                with store.snapshot() as snapshot:
                    rows = snapshot.get(asked)
                    marks = set(snapshot.applied.values())
                assert len(set(rows)) == len(marks) == 1, (set(rows), marks)
                reads += 1
            return reads

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            try:
                for commit in (2, 3):
                    rows = dict.fromkeys(keys, (commit, b"new"))
                    other = change_of(commit, {b"k": (commit, b"new")}, group=2)
                    store.apply([change_of(commit, rows, replace=commit == 3), other])
                    store.apply([change_of(commit + 10, {b"other": (1, b"v")}, after=commit, final=False, group=3)])
                    store.clear(3)
            finally:
                done.set()
            assert reading.result(timeout=60)
        assert store.count(1) == len(keys)

    # ---- clear, erase and count

    def test_clear_deletes_the_rows_and_what_is_applied(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (9, b"one")}), change_of(1, {b"a": (1, b"two")}, group=2)])
        store.clear(1)
        assert (get(store, b"a"), applied(store), store.count(1)) == (None, Applied(), 0)
        assert (get(store, b"a", group=2), applied(store, 2)) == (row_of(1, 1, b"two"), Applied(1, 10))
        store.clear(1)
        store.clear(99)
        assert store.apply([change_of(4, {b"a": (1, b"new")}, after=0)]) == {1: Applied(4, 40)}
        assert get(store, b"a") == row_of(1, 4, b"new")

    def test_erase_deletes_rows_and_leaves_what_is_applied(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one"), b"b": (1, b""), b"c": (1, b"one")})])
        store.apply([change_of(1, {b"a": (1, b"other")}, group=2)])
        assert store.erase(1, [b"a", b"b"]) == 2
        assert (get(store, b"a"), get(store, b"b"), get(store, b"c")) == (None, None, row_of(1, 1, b"one"))
        assert get(store, b"a", group=2) == row_of(1, 1, b"other")
        assert (store.count(1), applied(store), applied(store, 2)) == (1, Applied(1, 10), Applied(1, 10))
        store.apply([change_of(2, {b"a": (0, b"again")})])
        assert get(store, b"a") == row_of(0, 2, b"again")

    def test_absent_keys_do_not_matter_to_erase(self, store: OnlineStore) -> None:
        assert store.erase(7, [b"a"]) == 0
        store.apply([change_of(1, {b"a": (1, b"one")})])
        assert store.erase(1, []) == 0
        assert store.erase(1, [b"a", b"never there"]) == 1
        assert store.erase(1, [b"a", b"never there"]) == 0
        assert (store.count(1), applied(store), applied(store, 7)) == (0, Applied(1, 10), Applied())

    def test_erased_rows_are_gone_after_reopening(self, opened: Callable[[], OnlineStore]) -> None:
        first = opened()
        first.apply([change_of(1, {b"%d" % number: (1, b"one") for number in range(100)})])
        assert first.erase(1, [b"%d" % number for number in range(50)]) == 50
        first.close()
        second = opened()
        assert second.count(1) == (50 if self.persistent else 0)
        assert get(second, b"7") is None
        assert applied(second) == (Applied(1, 10) if self.persistent else Applied())
        assert second.check() == []

    def test_count_counts_keys_retired_ones_too(self, store: OnlineStore) -> None:
        store.apply([change_of(1, {b"a": (1, b"one"), b"b": (1, b"")})])
        store.apply([change_of(2, {b"a": (2, b""), b"c": (1, b"one")})])
        assert store.count(1) == 3
        assert store.count(2) == 0

    # ---- against a model

    @pytest.fixture(scope="class")
    @classmethod
    def lasting(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineStore]:
        """Give one store to all examples of a property."""
        store = cls().open(tmp_path_factory.mktemp("online"))
        yield store
        store.close()

    @searched
    @given(data=st.data())
    def test_any_sequence_of_changes_does_what_the_port_says(self, lasting: OnlineStore, data: st.DataObject) -> None:
        for group in (1, 2):
            lasting.clear(group)
        model = Model()
        for _ in range(data.draw(st.integers(1, 8))):
            changes = data.draw(st.lists(changes_of(model), min_size=1, max_size=3))
            assert lasting.apply(changes) == model.apply(changes)
            with lasting.snapshot() as snapshot:
                assert dict(snapshot.applied) == model.applied
                rows = [[model.rows.get((group, key)) for key in KEYS] for group in (1, 2)]
                assert snapshot.get([(group, key) for group in (1, 2) for key in KEYS]) == [*rows[0], *rows[1]]
                assert snapshot.get_many([(1, KEYS), (2, KEYS)]) == rows
            assert [lasting.count(group) for group in (1, 2)] == [
                sum(place[0] == group for place in model.rows) for group in (1, 2)
            ]

    # ---- threads, opens and processes

    def test_threads_write_their_groups_at_the_same_time(self, store: OnlineStore) -> None:
        def write(group: int) -> None:
            for commit in range(1, 26):
                store.apply([change_of(commit, {b"k": (commit, b"v")}, group=group)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(1, 9)))
        for group in range(1, 9):
            assert applied(store, group) == Applied(25, 250)
            assert get(store, b"k", group) == row_of(25, 25)

    def test_of_threads_that_apply_the_same_commits_each_commit_applies_once(self, store: OnlineStore) -> None:
        def write(_: int) -> None:
            for commit in range(1, 26):  # a put that is not skipped would bring the deleted key back
                store.apply([change_of(commit, {b"k": None if commit == 25 else (1, b"v")}, replace=True)])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        assert (applied(store), get(store, b"k")) == (Applied(25, 250), None)

    def test_what_was_applied_is_there_after_reopening_if_the_store_is_persistent(
        self, opened: Callable[[], OnlineStore]
    ) -> None:
        first = opened()
        first.apply([change_of(1, {b"a": (1, b"one")})])
        first.apply([change_of(2, {b"b": (2, b"two")}, final=False)])
        first.close()
        second = opened()
        assert not second.suspect
        assert applied(second) == (Applied(1, 10, applying=True) if self.persistent else Applied())
        assert get(second, b"a") == (row_of(1, 1, b"one") if self.persistent else None)
        assert second.count(1) == (2 if self.persistent else 0)
        assert second.check() == []

    def test_two_opens_of_one_place_are_one_store_if_it_is_persistent(self, opened: Callable[[], OnlineStore]) -> None:
        one, other = opened(), opened()
        one.apply([change_of(1, {b"a": (1, b"one")})])
        one.apply([change_of(1, {b"a": (1, b"one")}, group=2)])
        assert get(other, b"a") == (row_of(1, 1, b"one") if self.persistent else None)
        one.close()
        if self.persistent:
            other.apply([change_of(2, {b"a": (2, b"two")})])
            assert get(other, b"a") == row_of(2, 2, b"two")

    def test_a_store_that_is_trusted_is_not_suspect(self, store: OnlineStore) -> None:
        store.trust()
        assert not store.suspect

    def test_processes_that_share_a_store_lose_nothing(self, store: OnlineStore, tmp_path: Path) -> None:
        if not self.shared:
            return
        store.apply([change_of(1, {b"k": (1, b"v")})])
        counts = in_processes(_count_up, [(type(self), str(tmp_path), b"%d" % worker) for worker in range(3)])
        assert sum(counts) == 60, "every commit was applied by exactly one"
        assert applied(store) == Applied(61, 610)
        assert get(store, b"k") == row_of(61, 61)
        assert store.count(1) == 61

    def test_a_killed_process_leaves_what_it_had_applied(
        self, opened: Callable[[], OnlineStore], tmp_path: Path
    ) -> None:
        if not self.shared:
            return
        assert exit_code_of(_apply_and_die, type(self), str(tmp_path)) == -signal.SIGKILL
        store = opened()
        assert (applied(store), get(store, b"k")) == (Applied(1, 10), row_of(1, 1, b"one"))
        assert store.check() == []


def _count_up(suite: type[OnlineStoreSuite], root: str, worker: bytes) -> int:
    """Apply commits until 61 are applied; return how many of them have the rows of this process."""
    store = suite().open(Path(root))
    mine = 0
    while (reached := applied(store)).commit < 61:
        commit = reached.commit + 1
        key = b"%d" % commit
        store.apply([change_of(commit, {key: (1, worker), b"k": (commit, b"v")}, replace=True)])
        mine += get(store, key) == row_of(1, commit, worker)
    store.close()
    return mine


def _apply_and_die(suite: type[OnlineStoreSuite], root: str) -> None:
    store = suite().open(Path(root))
    store.apply([change_of(1, {b"k": (1, b"one")})])
    os.kill(os.getpid(), signal.SIGKILL)
