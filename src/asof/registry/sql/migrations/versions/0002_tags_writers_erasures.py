"""Tags, who wrote a commit, and erasures."""

import sqlalchemy as sa

from asof.registry.sql.column_types import BYTES, DIGEST, TEXT, Constant, short_text
from asof.registry.sql.steps import add_column, create_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column and four tables; what was there stays as it is."""
    add_column("commit_record", sa.Column("writer", TEXT, nullable=False, server_default=Constant("")))
    create_table(
        "tag",
        sa.Column("name", short_text(63), primary_key=True),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
    )
    create_table(
        "tag_pin",
        sa.Column("tag", short_text(63), primary_key=True),
        sa.Column("group_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    create_table(
        "erasure",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("entity", short_text(63), nullable=False),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("pending", BYTES),
        sa.Column("salt", BYTES, nullable=False),
        sa.Column("certificate", TEXT),
    )
    create_table(
        "erased_key",
        sa.Column("erasure_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", DIGEST, primary_key=True),
    )
