"""API keys, and the audit log: who changed what that leaves no commit."""

import sqlalchemy as sa

from asof.registry.sql.column_types import TEXT, short_text
from asof.registry.sql.steps import create_index, create_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two tables; what was there stays as it is, and belongs to the default project."""
    create_table(
        "api_key",
        sa.Column("id", short_text(16), primary_key=True),
        sa.Column("name", short_text(63), nullable=False),
        sa.Column("digest", short_text(64), nullable=False),
        sa.Column("roles", TEXT, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("revoked_at_us", sa.BigInteger),
        sa.Column("used_at_us", sa.BigInteger),
    )
    create_table(
        "deed",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("what", short_text(32), nullable=False),
        sa.Column("about", TEXT, nullable=False),
        sa.Column("outcome", short_text(8), nullable=False),
        sa.Column("note", TEXT, nullable=False),
    )
    create_index("deed_by_time", "deed", ["at_us"])
