"""Tags, who wrote a commit, and erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column and four tables; what was there stays as it is."""
    op.add_column("commit_record", sa.Column("writer", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "tag",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
    )
    op.create_table(
        "tag_pin",
        sa.Column("tag", sa.String(63), primary_key=True),
        sa.Column("group_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("entity", sa.String(63), nullable=False),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("pending", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("certificate", sa.Text),
    )
    op.create_table(
        "erased_key",
        sa.Column("erasure_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
    )
