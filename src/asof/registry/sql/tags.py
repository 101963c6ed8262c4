"""Tags in the registry's database."""

from collections import defaultdict

from sqlalchemy import delete, func, insert, select

from asof.errors import ConflictError, NotFoundError
from asof.records import Deed, Tag
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.deeds import record
from asof.registry.sql.tables import commit_record, group_version, tag, tag_pin


class SqlTags:
    """The tags port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def add(self, name: str, *, message: str, writer: str, now_us: int) -> Tag:
        """See `Tags.add`."""
        last = func.coalesce(func.max(commit_record.c.number), 0)
        heads = (
            select(group_version.c.id, group_version.c.name, group_version.c.version, last.label("number"))
            .outerjoin(commit_record, commit_record.c.group_id == group_version.c.id)
            .group_by(group_version.c.id, group_version.c.name, group_version.c.version)
        )
        with self._database.write() as connection:
            if connection.execute(select(tag.c.name).where(tag.c.name == name)).first() is not None:
                raise ConflictError(f"there is a tag {name!r} already", todo="a tag never moves: choose another name")
            rows = connection.execute(heads).all()
            values = {"name": name, "created_at_us": now_us, "message": message, "writer": writer}
            connection.execute(insert(tag).values(**values))
            if rows:
                pins = [{"tag": name, "group_id": row.id, "number": row.number} for row in rows]
                connection.execute(insert(tag_pin), pins)
            record(connection, Deed(now_us, writer, "tag", name, note=message))
        return Tag(name, now_us, message, writer, {f"{row.name}@{row.version}": row.number for row in rows})

    @repeated
    def all(self) -> list[Tag]:
        """See `Tags.all`."""
        query = select(tag_pin.c.tag, tag_pin.c.number, group_version.c.name, group_version.c.version)
        pins: defaultdict[str, dict[str, int]] = defaultdict(dict)
        with self._database.read() as connection:
            for row in connection.execute(query.join(group_version, group_version.c.id == tag_pin.c.group_id)):
                pins[row.tag][f"{row.name}@{row.version}"] = row.number
            tags = connection.execute(select(tag).order_by(tag.c.created_at_us, tag.c.name)).all()
        return [Tag(row.name, row.created_at_us, row.message, row.writer, pins[row.name]) for row in tags]

    def get(self, name: str) -> Tag:
        """See `Tags.get`."""
        found = {each.name: each for each in self.all()}
        if name not in found:
            raise NotFoundError.named("tag", name, found)
        return found[name]

    @repeated
    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> None:
        """See `Tags.remove`."""
        with self._database.write() as connection:
            if not connection.execute(delete(tag).where(tag.c.name == name)).rowcount:
                raise NotFoundError.named("tag", name, connection.execute(select(tag.c.name)).scalars())
            connection.execute(delete(tag_pin).where(tag_pin.c.tag == name))
            record(connection, Deed(now_us, writer, "untag", name))
