"""What monitors found, in the registry's database."""

from collections.abc import Callable

from sqlalchemy import delete, insert, select, update

from asof.registry.monitors import MonitorFound
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.tables import monitor_run

MOST_RUNS = 1_000
"""Of a monitor: the oldest go."""

_C = monitor_run.c


class SqlMonitors:
    """The port of monitors over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, found: MonitorFound) -> None:
        """See `Monitors.add`."""
        mine = (_C.view == found.view, _C.monitor == found.monitor)
        row = {
            "view": found.view,
            "monitor": found.monitor,
            "at_us": found.at_us,
            "writer": found.writer,
            "body": found.body,
        }
        newest = select(_C.id).where(*mine).order_by(_C.id.desc())
        with self._database.write() as connection:
            connection.execute(insert(monitor_run).values(**row))
            last = connection.execute(newest.offset(MOST_RUNS).limit(1)).scalar()
            if last is not None:
                connection.execute(delete(monitor_run).where(*mine, _C.id <= last))

    @repeated
    def of(self, view: str, *, monitor: str | None = None, limit: int | None = None) -> list[MonitorFound]:
        """See `Monitors.of`."""
        query = select(monitor_run).where(_C.view == view)
        if monitor is not None:
            query = query.where(_C.monitor == monitor)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_C.id.desc()).limit(limit)).all()
        return [MonitorFound(row.view, row.monitor, row.at_us, row.writer, row.body) for row in reversed(rows)]

    @repeated
    def redact(self, redacted: Callable[[str], str]) -> int:
        """See `Monitors.redact`."""
        with self._database.write() as connection:
            rows = connection.execute(select(_C.id, _C.body)).all()
            changed = [(row.id, body) for row in rows if (body := redacted(row.body)) != row.body]
            for number, body in changed:
                connection.execute(update(monitor_run).where(_C.id == number).values(body=body))
        return len(changed)
