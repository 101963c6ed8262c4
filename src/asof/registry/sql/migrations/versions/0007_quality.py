"""What checks said of writes, what monitors found, and statistics of commits."""

import sqlalchemy as sa

from asof.registry.sql.column_types import BYTES, TEXT, short_text
from asof.registry.sql.steps import create_index, create_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add three tables; what was there stays as it is, and has none of it."""
    create_table(
        "check_report",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("group_id", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
    )
    create_index("check_report_of_group", "check_report", ["group_id", "number", "id"])
    create_table(
        "monitor_run",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("view", short_text(63), nullable=False),
        sa.Column("monitor", short_text(63), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
    )
    create_index("monitor_run_of_view", "monitor_run", ["view", "monitor", "id"])
    create_table(
        "statistics_span",
        sa.Column("group_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first_commit", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_commit", sa.BigInteger, nullable=False),
        sa.Column("first_committed_us", sa.BigInteger, nullable=False),
        sa.Column("last_committed_us", sa.BigInteger, nullable=False),
        sa.Column("commits", sa.BigInteger, nullable=False),
        sa.Column("body", BYTES, nullable=False),
    )
