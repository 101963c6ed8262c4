"""The tables of the registry. A change here needs a migration in `migrations/versions`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

REVISION = "0005"
"""The newest migration; a database with another one is migrated, or refused if it is newer."""

metadata = MetaData()

group_version = Table(
    "group_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("identity", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("known", String(8), nullable=False),
    Column("layout", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("horizon_us", BigInteger),
    Column("horizon_commit", BigInteger),
    Column("drops", BigInteger, nullable=False, server_default="0"),
    Column("cold", Text, nullable=False, server_default="[]"),
    UniqueConstraint("name", "version"),
    sqlite_autoincrement=True,  # an id is never used again: it names folders and online rows
)

view_version = Table(
    "view_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("identity", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    UniqueConstraint("name", "version"),
    sqlite_autoincrement=True,
)

commit_record = Table(
    "commit_record",
    metadata,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("committed_at_us", BigInteger, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("availability", String(8), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("min_event_us", BigInteger),
    Column("max_event_us", BigInteger),
    Column("target", BigInteger),
    Column("reason", Text, nullable=False),
    Column("idempotency_key", String(255)),
    Column("digest", String(64), nullable=False),
    Column("meta", Text, nullable=False),
    Column("writer", Text, nullable=False, server_default=""),
    Column("changes", Text, nullable=False, server_default="{}"),
    UniqueConstraint("group_id", "idempotency_key"),
)
_RETRACTS = commit_record.c.target.is_not(None)  # few commits are: the others must not pay for an index
Index(
    "commit_record_of_target",
    commit_record.c.group_id,
    commit_record.c.target,
    sqlite_where=_RETRACTS,
    postgresql_where=_RETRACTS,
)

journal = Table(
    "journal",
    metadata,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", LargeBinary, nullable=False),
)

data_file = Table(
    "data_file",
    metadata,
    Column("path", String(255), primary_key=True),
    Column("group_id", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("min_event_us", BigInteger, nullable=False),
    Column("max_event_us", BigInteger, nullable=False),
    Column("width", Integer),
    Column("confirms", Boolean, nullable=False, server_default=false()),
    Column("family", String(4)),
    Column("stamped", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("first_commit", BigInteger, nullable=False),
    Column("last_commit", BigInteger, nullable=False),
    Column("replaced_at_us", BigInteger),
)
Index("data_file_of_group", data_file.c.group_id, data_file.c.replaced_at_us)

tag = Table(
    "tag",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at_us", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("writer", Text, nullable=False),
)

tag_pin = Table(
    "tag_pin",
    metadata,
    Column("tag", String(63), primary_key=True),
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("entity", String(63), nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("writer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("pending", LargeBinary),  # until it is finished; then nothing of them is left but salted hashes
    Column("salt", LargeBinary, nullable=False),
    Column("certificate", Text),
)

erased_key = Table(
    "erased_key",
    metadata,
    Column("erasure_id", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
)

store_fact = Table(
    "store_fact",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("value", Text, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("roles", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger),
    Column("writer", Text, nullable=False),
    Column("revoked_at_us", BigInteger),
    Column("used_at_us", BigInteger),
)

deed = Table(
    "deed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("writer", Text, nullable=False),
    Column("what", String(32), nullable=False),
    Column("about", Text, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("note", Text, nullable=False),
)
Index("deed_by_time", deed.c.at_us)
