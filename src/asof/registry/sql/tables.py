"""The tables of the registry. A change here needs a migration in `migrations/versions`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    false,
)

from asof.registry.sql.column_types import BYTES, DIGEST, TEXT, Constant, short_text

REVISION = "0008"
"""The newest migration; a database with another one is migrated, or refused if it is newer."""

metadata = MetaData()

group_version = Table(
    "group_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", short_text(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("identity", short_text(64), nullable=False),
    Column("body", TEXT, nullable=False),
    Column("known", short_text(8), nullable=False),
    Column("layout", TEXT, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("horizon_us", BigInteger),
    Column("horizon_commit", BigInteger),
    Column("drops", BigInteger, nullable=False, server_default="0"),
    Column("cold", TEXT, nullable=False, server_default=Constant("[]")),
    UniqueConstraint("name", "version"),
    sqlite_autoincrement=True,  # an id is never used again: it names folders and online rows
)

view_version = Table(
    "view_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", short_text(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("identity", short_text(64), nullable=False),
    Column("body", TEXT, nullable=False),
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
    Column("kind", short_text(8), nullable=False),
    Column("availability", short_text(8), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("min_event_us", BigInteger),
    Column("max_event_us", BigInteger),
    Column("target", BigInteger),
    Column("reason", TEXT, nullable=False),
    Column("idempotency_key", short_text(255)),
    Column("digest", short_text(64), nullable=False),
    Column("meta", TEXT, nullable=False),
    Column("writer", TEXT, nullable=False, server_default=Constant("")),
    Column("changes", TEXT, nullable=False, server_default=Constant("{}")),
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
    Column("payload", BYTES, nullable=False),
)

data_file = Table(
    "data_file",
    metadata,
    Column("path", short_text(255), primary_key=True),
    Column("group_id", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("min_event_us", BigInteger, nullable=False),
    Column("max_event_us", BigInteger, nullable=False),
    Column("width", Integer),
    Column("confirms", Boolean, nullable=False, server_default=false()),
    Column("family", short_text(4)),
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
    Column("name", short_text(63), primary_key=True),
    Column("created_at_us", BigInteger, nullable=False),
    Column("message", TEXT, nullable=False),
    Column("writer", TEXT, nullable=False),
)

tag_pin = Table(
    "tag_pin",
    metadata,
    Column("tag", short_text(63), primary_key=True),
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("entity", short_text(63), nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("pending", BYTES),  # until it is finished; then nothing of them is left but salted hashes
    Column("salt", BYTES, nullable=False),
    Column("certificate", TEXT),
)

erased_key = Table(
    "erased_key",
    metadata,
    Column("erasure_id", Integer, primary_key=True, autoincrement=False),
    Column("digest", DIGEST, primary_key=True),
)

store_fact = Table(
    "store_fact",
    metadata,
    Column("name", short_text(63), primary_key=True),
    Column("value", TEXT, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", short_text(16), primary_key=True),
    Column("name", short_text(63), nullable=False),
    Column("digest", short_text(64), nullable=False),
    Column("roles", TEXT, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger),
    Column("writer", TEXT, nullable=False),
    Column("revoked_at_us", BigInteger),
    Column("used_at_us", BigInteger),
)

deed = Table(
    "deed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("what", short_text(32), nullable=False),
    Column("about", TEXT, nullable=False),
    Column("outcome", short_text(8), nullable=False),
    Column("note", TEXT, nullable=False),
)
Index("deed_by_time", deed.c.at_us)

stream_position = Table(
    "stream_position",
    metadata,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("stream", short_text(127), primary_key=True),
    Column("partition_name", short_text(127), primary_key=True),
    Column("reached", short_text(63), nullable=False),
)

letter = Table(
    "letter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("group_id", Integer, nullable=False),
    Column("stream", short_text(127), nullable=False),
    Column("partition_name", short_text(127), nullable=False),
    Column("place", short_text(63), nullable=False),
    Column("in_message", Integer),
    Column("reason", TEXT, nullable=False),
    Column("body", BYTES, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)
Index("letter_of_group", letter.c.group_id, letter.c.id)

check_report = Table(
    "check_report",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("group_id", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),  # 0: it was refused
    Column("at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),
)
Index("check_report_of_group", check_report.c.group_id, check_report.c.number, check_report.c.id)
monitor_run = Table(
    "monitor_run",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("view", short_text(63), nullable=False),
    Column("monitor", short_text(63), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),
)
Index("monitor_run_of_view", monitor_run.c.view, monitor_run.c.monitor, monitor_run.c.id)
statistics_span = Table(
    "statistics_span",
    metadata,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("first_commit", BigInteger, primary_key=True, autoincrement=False),
    Column("last_commit", BigInteger, nullable=False),
    Column("first_committed_us", BigInteger, nullable=False),
    Column("last_committed_us", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("body", BYTES, nullable=False),
)

training_set = Table(
    "training_set",
    metadata,
    Column("name", short_text(63), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("view", short_text(127), nullable=False),
    Column("group_ref", short_text(127), nullable=False),
    Column("reads", TEXT, nullable=False),
    Column("digest", short_text(64), nullable=False),  # "": it is being made
    Column("created_at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("manifest", TEXT, nullable=False),
    Column("statistics", BYTES),
)

model = Table(
    "model",
    metadata,
    Column("name", short_text(63), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("stage", short_text(15), nullable=False),
    Column("training_set", short_text(127), nullable=False),
    Column("training_digest", short_text(64), nullable=False),
    Column("view", short_text(127), nullable=False),
    Column("artefact", TEXT, nullable=False),
    Column("digest", short_text(64), nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("writer", TEXT, nullable=False),
    Column("facts", TEXT, nullable=False),
)
