"""What an online store does with a time by which its answers must be there; part of `asof.testing.online`."""

import time

import pytest

from asof.errors import TransientError
from asof.online.port import OnlineStore
from asof.testing.online_model import change_of, row_of


class UntilSuite:
    """Reads that must end in time."""

    def test_a_read_whose_time_is_up_says_so(self, store: OnlineStore) -> None:
        if not store.waits:
            return  # it is never asked to
        store.apply([change_of(1, {b"k": (1, b"one")})])
        with store.snapshot(time.monotonic() - 1) as snapshot, pytest.raises(TransientError):
            snapshot.get([(1, b"k")])
        with store.snapshot(time.monotonic() - 1) as snapshot, pytest.raises(TransientError):
            snapshot.get_many([(1, [b"k"])])
        with store.snapshot(time.monotonic() - 1) as snapshot, pytest.raises(TransientError):
            _ = snapshot.applied

    def test_a_read_in_time_is_like_any_other(self, store: OnlineStore) -> None:
        if not store.waits:
            return
        store.apply([change_of(1, {b"k": (1, b"one")})])
        for _ in range(3):
            with store.snapshot(time.monotonic() + 60) as snapshot:
                assert snapshot.get([(1, b"k"), (1, b"none")]) == [row_of(1, 1, b"one"), None]
                assert snapshot.get_many([(1, [b"k"])]) == [[row_of(1, 1, b"one")]]
                assert snapshot.applied[1].commit == 1
