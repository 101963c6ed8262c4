"""The registry in a relational database, through SQLAlchemy Core."""

from asof.registry.port import Metadata
from asof.registry.sql.commits import SqlCommitLog
from asof.registry.sql.contents import SqlContents
from asof.registry.sql.database import Database
from asof.registry.sql.deeds import SqlDeeds
from asof.registry.sql.definitions import SqlRegistry
from asof.registry.sql.erasures import SqlErasures
from asof.registry.sql.keys import SqlKeys
from asof.registry.sql.models import SqlModels
from asof.registry.sql.monitors import SqlMonitors
from asof.registry.sql.reports import SqlReports
from asof.registry.sql.statistics import SqlStatistics
from asof.registry.sql.streams import SqlStreams
from asof.registry.sql.tags import SqlTags
from asof.registry.sql.training_sets import SqlTrainingSets

__all__ = [
    "SqlCommitLog",
    "SqlContents",
    "SqlDeeds",
    "SqlErasures",
    "SqlKeys",
    "SqlModels",
    "SqlMonitors",
    "SqlRegistry",
    "SqlReports",
    "SqlStatistics",
    "SqlStreams",
    "SqlTags",
    "SqlTrainingSets",
    "open_sql",
]


def open_sql(url: str) -> Metadata:
    """Open the ports of a registry in the database of a URL; they share it."""
    database = Database(url)
    return Metadata(
        SqlRegistry(database),
        SqlCommitLog(database),
        SqlTags(database),
        SqlErasures(database),
        SqlKeys(database),
        SqlDeeds(database),
        SqlStreams(database),
        SqlReports(database),
        SqlStatistics(database),
        SqlMonitors(database),
        SqlTrainingSets(database),
        SqlModels(database),
        SqlContents(database),
    )
