"""Erasures in the registry's database."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from asof.records import Erasure
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.tables import erased_key
from asof.registry.sql.tables import erasure as erasures


class SqlErasures:
    """The erasures port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def begin(self, entity: str, pending: bytes, *, reason: str, writer: str, now_us: int) -> Erasure:
        """See `Erasures.begin`."""
        values = {
            "entity": entity,
            "started_at_us": now_us,
            "writer": writer,
            "reason": reason,
            "pending": pending,
            "salt": secrets.token_bytes(16),
        }
        with self._database.write() as connection:
            (number,) = connection.execute(insert(erasures).values(**values)).inserted_primary_key or (0,)
        return Erasure(number, entity, now_us, writer, reason, pending)

    @repeated
    def finish(self, erasure: Erasure, certificate: str, *, keys: Sequence[bytes]) -> None:
        """See `Erasures.finish`."""
        mine = erasures.c.id == erasure.id
        with self._database.write() as connection:
            row = connection.execute(select(erasures).where(mine)).one()
            if not row.pending:  # another process finished it
                return
            digests = [{"erasure_id": row.id, "digest": _digest(key, row.salt)} for key in set(keys)]
            if digests:
                connection.execute(insert(erased_key), digests)
            connection.execute(update(erasures).where(mine).values(pending=b"", certificate=certificate))

    @repeated
    def close(self, erasure: Erasure) -> None:
        """See `Erasures.close`."""
        with self._database.write() as connection:
            done = (erasures.c.id == erasure.id) & (erasures.c.pending == b"")
            connection.execute(update(erasures).where(done).values(pending=None))

    @repeated
    def all(self) -> list[Erasure]:
        """See `Erasures.all`."""
        with self._database.read() as connection:
            return [_erasure_of(row) for row in connection.execute(select(erasures).order_by(erasures.c.id))]

    @repeated
    def of(self, entity: str, key: bytes) -> Erasure | None:
        """See `Erasures.of`."""
        query = select(erasures).where(erasures.c.entity == entity, erasures.c.certificate.is_not(None))
        with self._database.read() as connection:
            for row in connection.execute(query.order_by(erasures.c.id.desc())).all():
                held = (erased_key.c.erasure_id == row.id) & (erased_key.c.digest == _digest(key, row.salt))
                if connection.execute(select(erased_key.c.digest).where(held)).first() is not None:
                    return _erasure_of(row)
        return None

    def scrub(self) -> None:
        """See `Erasures.scrub`."""
        self._database.scrub()


def _digest(key: bytes, salt: bytes) -> bytes:
    return hashlib.blake2b(key, key=salt, digest_size=16).digest()


def _erasure_of(row: Any) -> Erasure:  # noqa: ANN401 - a row of SQLAlchemy, typed differently in 2.0 and 2.1
    return Erasure(row.id, row.entity, row.started_at_us, row.writer, row.reason, row.pending, row.certificate or "")
