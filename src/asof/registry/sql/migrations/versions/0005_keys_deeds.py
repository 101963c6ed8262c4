"""API keys, and the audit log: who changed what that leaves no commit."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two tables; what was there stays as it is, and belongs to the default project."""
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("revoked_at_us", sa.BigInteger),
        sa.Column("used_at_us", sa.BigInteger),
    )
    op.create_table(
        "deed",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("deed_by_time", "deed", ["at_us"])
