"""The audit log in the registry's database: a deed is recorded in the transaction that does it."""

from collections.abc import Iterable

from sqlalchemy import Connection, String, cast, delete, insert, literal, select

from asof.clock import show_us
from asof.records import Deed
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.tables import commit_record, deed

MOST_DENIED = 10_000
"""Denied tries that are kept, the newest: those of somebody without rights must not fill the disk."""


MOST_NOTED = 10_000
"""Characters of a note: a new version of a very wide group has more to say than a row of some databases holds."""


class SqlDeeds:
    """The deeds port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def denied(self, deeds: Iterable[Deed]) -> None:
        """See `Deeds.denied`."""
        rows = [_row(each) for each in deeds]
        if not rows:
            return
        with self._database.write() as connection:
            connection.execute(insert(deed), rows)
            mine = select(deed.c.id).where(deed.c.outcome == "denied").order_by(deed.c.id.desc())
            oldest = connection.execute(mine.offset(MOST_DENIED).limit(1)).scalar()
            if oldest is not None:
                connection.execute(delete(deed).where(deed.c.outcome == "denied", deed.c.id <= oldest))

    @repeated
    def find(self, words: str, *, limit: int | None = None) -> list[Deed]:
        """See `Deeds.find`."""
        wanted = words.lower().split()
        found: list[Deed] = []
        with self._database.read() as connection:
            for row in connection.execute(select(deed).order_by(deed.c.at_us.desc(), deed.c.id.desc())):
                known = Deed(row.at_us, row.writer, row.what, row.about, row.outcome, row.note)
                if known.holds(wanted):
                    found.append(known)
                if len(found) == limit:
                    break
        return found[::-1]


def record(connection: Connection, *deeds: Deed) -> None:
    """Record what is done in this transaction."""
    if deeds:
        connection.execute(insert(deed), [_row(each) for each in deeds])


def keep_commits(connection: Connection, group_id: int, ref: str) -> None:
    """Record the commits of a group that is being removed: who wrote what stays known."""
    about = literal(f"{ref}:") + cast(commit_record.c.number, String(20))
    facts = (commit_record.c.committed_at_us, commit_record.c.writer, commit_record.c.kind, about)
    kept = select(*facts, literal("done"), commit_record.c.reason).where(commit_record.c.group_id == group_id)
    columns = ["at_us", "writer", "what", "about", "outcome", "note"]
    connection.execute(insert(deed).from_select(columns, kept.order_by(commit_record.c.number)))


def until(moment_us: int | None) -> str:
    """Say until when something is valid."""
    return "" if moment_us is None else f"until {show_us(moment_us)}"


def _row(each: Deed) -> dict[str, object]:
    given = {name: getattr(each, name) for name in ("at_us", "writer", "what", "about", "outcome")}
    return {**given, "note": each.note[:MOST_NOTED]}
