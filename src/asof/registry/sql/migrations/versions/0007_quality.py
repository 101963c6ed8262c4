"""Statistics of commits."""

import sqlalchemy as sa

from asof.registry.sql.column_types import BYTES
from asof.registry.sql.steps import create_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a table; what was there stays as it is, and has no statistics."""
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
