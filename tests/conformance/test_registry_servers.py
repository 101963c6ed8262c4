"""The registry on PostgreSQL and on MariaDB passes the suites that asof ships, as on SQLite."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from asof.registry.port import Metadata
from asof.testing.adapters import open_adapter
from asof.testing.commit_log import CommitLogSuite
from asof.testing.contents import ContentsSuite
from asof.testing.keys import DeedsSuite, KeysSuite
from asof.testing.marks import ErasuresSuite, TagsSuite
from asof.testing.models import ModelsSuite
from asof.testing.monitors import MonitorsSuite
from asof.testing.registry import OpensRegistry, RegistrySuite
from asof.testing.reports import ReportsSuite
from asof.testing.servers import MariaDbServer, PostgresServer
from asof.testing.spans import StatisticsSuite
from asof.testing.stream_positions import StreamPositionsSuite
from asof.testing.training_sets import TrainingSetsSuite

pytestmark = pytest.mark.slow


class OnServer(OpensRegistry):
    server: ClassVar[type[PostgresServer | MariaDbServer]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def served(cls, request: pytest.FixtureRequest) -> Iterator[None]:
        server = request.getfixturevalue("postgres_server" if cls.adapter == "postgresql" else "mariadb_server")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASOF_TEST_PORT", str(server.port))  # the suite's processes inherit it
            yield

    def open(self, root: Path) -> Metadata:
        server = self.server.__new__(self.server)
        server.port = int(os.environ["ASOF_TEST_PORT"])
        name = hashlib.sha256(str(root).encode()).hexdigest()[:20]
        return open_adapter("registry", self.adapter, server.registry_url(f"r{name}"))


class OnPostgres(OnServer):
    adapter = "postgresql"
    server = PostgresServer


class OnMariaDb(OnServer):
    adapter = "mysql"
    server = MariaDbServer


class TestPostgres(OnPostgres, RegistrySuite): ...


class TestPostgresLog(OnPostgres, CommitLogSuite): ...


class TestPostgresTags(OnPostgres, TagsSuite): ...


class TestPostgresErasures(OnPostgres, ErasuresSuite): ...


class TestMariaDb(OnMariaDb, RegistrySuite): ...


class TestMariaDbLog(OnMariaDb, CommitLogSuite): ...


class TestMariaDbTags(OnMariaDb, TagsSuite): ...


class TestMariaDbErasures(OnMariaDb, ErasuresSuite): ...


class TestPostgresKeys(OnPostgres, KeysSuite): ...


class TestPostgresDeeds(OnPostgres, DeedsSuite): ...


class TestMariaDbKeys(OnMariaDb, KeysSuite): ...


class TestMariaDbDeeds(OnMariaDb, DeedsSuite): ...


class TestPostgresStreams(OnPostgres, StreamPositionsSuite): ...


class TestMariaDbStreams(OnMariaDb, StreamPositionsSuite): ...


class TestPostgresStatistics(OnPostgres, StatisticsSuite): ...


class TestMariaDbStatistics(OnMariaDb, StatisticsSuite): ...


class TestPostgresMonitors(OnPostgres, MonitorsSuite): ...


class TestPostgresModels(OnPostgres, ModelsSuite): ...


class TestMariaDbModels(OnMariaDb, ModelsSuite): ...


class TestPostgresTrainingSets(OnPostgres, TrainingSetsSuite): ...


class TestMariaDbTrainingSets(OnMariaDb, TrainingSetsSuite): ...


class TestMariaDbMonitors(OnMariaDb, MonitorsSuite): ...


class TestPostgresReports(OnPostgres, ReportsSuite): ...


class TestMariaDbReports(OnMariaDb, ReportsSuite): ...


class TestPostgresContents(OnPostgres, ContentsSuite): ...


class TestMariaDbContents(OnMariaDb, ContentsSuite): ...
