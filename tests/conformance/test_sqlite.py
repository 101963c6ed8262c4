"""The registry on SQLite passes the suites that asof ships."""

from asof.testing.commit_log import CommitLogSuite
from asof.testing.contents import ContentsSuite
from asof.testing.keys import DeedsSuite, KeysSuite
from asof.testing.marks import ErasuresSuite, TagsSuite
from asof.testing.models import ModelsSuite
from asof.testing.monitors import MonitorsSuite
from asof.testing.registry import RegistrySuite
from asof.testing.reports import ReportsSuite
from asof.testing.spans import StatisticsSuite
from asof.testing.stream_positions import StreamPositionsSuite
from asof.testing.training_sets import TrainingSetsSuite

URL = "sqlite:///{root}/registry.db"


class TestSqlite(RegistrySuite):
    adapter = "sqlite"
    url = URL


class TestSqliteLog(CommitLogSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteTags(TagsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteErasures(ErasuresSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteKeys(KeysSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteDeeds(DeedsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteStreams(StreamPositionsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteStatistics(StatisticsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteMonitors(MonitorsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteReports(ReportsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteModels(ModelsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteTrainingSets(TrainingSetsSuite):
    adapter = "sqlite"
    url = URL


class TestSqliteContents(ContentsSuite):
    adapter = "sqlite"
    url = URL
