"""PostgreSQL passes the suite that asof ships."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asof.online.port import OnlineStore
from asof.testing.adapters import open_adapter
from asof.testing.online import OnlineStoreSuite
from asof.testing.servers import PostgresServer


class TestPostgres(OnlineStoreSuite):
    adapter = "postgresql"
    holds_snapshots = False
    waits = True

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def served(cls, postgres_server: PostgresServer) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASOF_TEST_POSTGRES", postgres_server.url)  # the suite's processes inherit it
            yield

    def open(self, root: Path) -> OnlineStore:
        return open_adapter("online", self.adapter, os.environ["ASOF_TEST_POSTGRES"], root=str(root))
