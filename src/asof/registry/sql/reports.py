"""What checks said of writes, in the registry's database; `publication` writes what was said of commits."""

from sqlalchemy import delete, func, insert, select, update

from asof.records import Reported
from asof.registry.registered import RegisteredGroup
from asof.registry.reports import Redacted
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.tables import check_report, group_version

MOST_REFUSED = 1_000
"""Of a group: the oldest refusals go. Those of commits stay as long as their group."""


class SqlReports:
    """The port of reports over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def refused(self, group: RegisteredGroup, body: str, *, writer: str, now_us: int) -> None:
        """See `Reports.refused`."""
        of_group = (check_report.c.group_id == group.id, check_report.c.number == 0)
        row = {"group_id": group.id, "number": 0, "at_us": now_us, "writer": writer, "body": body}
        newest = select(check_report.c.id).where(*of_group).order_by(check_report.c.id.desc())
        with self._database.write() as connection:
            connection.execute(insert(check_report).values(**row))
            last = connection.execute(newest.offset(MOST_REFUSED).limit(1)).scalar()
            if last is not None:
                connection.execute(delete(check_report).where(*of_group, check_report.c.id <= last))

    @repeated
    def of(self, group: RegisteredGroup, *, limit: int | None = None) -> list[Reported]:
        """See `Reports.of`."""
        query = select(check_report).where(check_report.c.group_id == group.id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(check_report.c.id.desc()).limit(limit)).all()
        return [Reported(group.ref, row.number, row.at_us, row.writer, row.body) for row in reversed(rows)]

    @repeated
    def newest(self) -> dict[int, Reported]:
        """See `Reports.newest`."""
        last = select(func.max(check_report.c.id)).group_by(check_report.c.group_id)
        query = select(check_report, group_version.c.name, group_version.c.version)
        query = query.join(group_version, group_version.c.id == check_report.c.group_id)
        with self._database.read() as connection:
            rows = connection.execute(query.where(check_report.c.id.in_(last))).all()
        return {
            row.group_id: Reported(f"{row.name}@{row.version}", row.number, row.at_us, row.writer, row.body)
            for row in rows
        }

    @repeated
    def redact(self, group: RegisteredGroup, redacted: Redacted) -> int:
        """See `Reports.redact`."""
        with self._database.write() as connection:
            rows = connection.execute(select(check_report).where(check_report.c.group_id == group.id)).all()
            changed = [(row.id, body) for row in rows if (body := redacted(row.body)) != row.body]
            for number, body in changed:
                connection.execute(update(check_report).where(check_report.c.id == number).values(body=body))
        return len(changed)
