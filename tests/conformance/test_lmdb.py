"""LMDB passes the suite that asof ships."""

from asof.testing.online import OnlineStoreSuite


class TestLmdb(OnlineStoreSuite):
    adapter = "lmdb"
    url = "lmdb:online/"
