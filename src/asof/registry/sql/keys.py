"""API keys in the registry's database."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, or_, select, update

from asof.errors import ConflictError, NotFoundError
from asof.records import ApiKey, Deed
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.deeds import record, until
from asof.registry.sql.tables import api_key


class SqlKeys:
    """The keys port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def add(self, key: ApiKey) -> None:
        """See `Keys.add`."""
        values = {
            "id": key.id,
            "name": key.name,
            "digest": key.digest,
            "roles": json.dumps(dict(key.roles)),
            "created_at_us": key.created_at_us,
            "expires_at_us": key.expires_at_us,
            "writer": key.writer,
        }
        roles = ", ".join(f"{role} of {project or 'the default project'}" for project, role in key.roles.items())
        note = f"{roles} {until(key.expires_at_us)}".rstrip()
        with self._database.write() as connection:
            same = connection.execute(select(api_key).where(api_key.c.name == key.name)).all()
            if any(_key_of(row).valid(key.created_at_us) for row in same):
                todo = f"choose another name, or revoke it first: asof keys revoke STORE {key.name}"
                raise ConflictError(f"there is a key {key.name!r} already", todo=todo)
            connection.execute(insert(api_key).values(**values))
            record(connection, Deed(key.created_at_us, key.writer, "keys add", f"{key.name} ({key.id})", note=note))

    @repeated
    def all(self) -> list[ApiKey]:
        """See `Keys.all`."""
        with self._database.read() as connection:
            rows = connection.execute(select(api_key).order_by(api_key.c.created_at_us, api_key.c.id))
            return [_key_of(row) for row in rows]

    @repeated
    def revoke(self, name: str, *, writer: str, now_us: int) -> list[ApiKey]:
        """See `Keys.revoke`."""
        named = or_(api_key.c.name == name, api_key.c.id == name)
        with self._database.write() as connection:
            rows = connection.execute(select(api_key).where(named).order_by(api_key.c.created_at_us)).all()
            if not rows:
                raise NotFoundError.named("key", name, connection.execute(select(api_key.c.name)).scalars())
            todo = [row for row in rows if row.revoked_at_us is None]
            for row in todo:
                mine = update(api_key).where(api_key.c.id == row.id)
                connection.execute(mine.values(revoked_at_us=now_us))
            record(connection, *(Deed(now_us, writer, "keys revoke", f"{row.name} ({row.id})") for row in todo))
            rows = connection.execute(select(api_key).where(named).order_by(api_key.c.created_at_us)).all()
            return [_key_of(row) for row in rows]

    @repeated
    def used(self, used_at_us: Mapping[str, int]) -> None:
        """See `Keys.used`."""
        with self._database.write() as connection:
            for key, at_us in used_at_us.items():
                earlier = or_(api_key.c.used_at_us.is_(None), api_key.c.used_at_us < at_us)
                connection.execute(update(api_key).where(api_key.c.id == key, earlier).values(used_at_us=at_us))


def _key_of(row: Any) -> ApiKey:  # noqa: ANN401 - a row of SQLAlchemy, typed differently in 2.0 and 2.1
    return ApiKey(
        row.id, row.name, row.digest, json.loads(row.roles), row.created_at_us, row.expires_at_us, row.writer,
        row.revoked_at_us, row.used_at_us,
    )  # fmt: skip
