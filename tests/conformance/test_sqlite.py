"""The registry on SQLite passes the suites that asof ships."""

from asof.testing.commit_log import CommitLogSuite
from asof.testing.registry import RegistrySuite


class TestSqlite(RegistrySuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"


class TestSqliteLog(CommitLogSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
