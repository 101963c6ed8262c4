"""The store in memory passes the suite that asof ships."""

from asof.testing.online import OnlineStoreSuite


class TestMemory(OnlineStoreSuite):
    adapter = "memory"
    url = "memory:"
    persistent = False
    shared = False
