"""Positions in streams, and the letters of what of them was not stored."""

import sqlalchemy as sa

from asof.registry.sql.column_types import BYTES, TEXT, short_text
from asof.registry.sql.steps import create_index, create_table

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add two tables; what was there stays as it is."""
    create_table(
        "stream_position",
        sa.Column("group_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stream", short_text(127), primary_key=True),
        sa.Column("partition_name", short_text(127), primary_key=True),
        sa.Column("reached", short_text(63), nullable=False),
    )
    create_table(
        "letter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("group_id", sa.Integer, nullable=False),
        sa.Column("stream", short_text(127), nullable=False),
        sa.Column("partition_name", short_text(127), nullable=False),
        sa.Column("place", short_text(63), nullable=False),
        sa.Column("in_message", sa.Integer),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    create_index("letter_of_group", "letter", ["group_id", "id"])
